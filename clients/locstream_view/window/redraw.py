"""When the picture is drawn anew: soon after the mouse, a few times a second while rows come, else never."""

from __future__ import annotations

import time

from locstream_view.model.model import ViewModel
from locstream_view.model.settings import ViewSettings
from locstream_view.model.shown import Drawn, brightest_per_um2, coloured, legend
from locstream_view.window.canvas import Canvas

ROWS_EVERY_S = 0.2
"""While rows come and nobody touches anything."""


class Redraw:
    """Draws a model on a canvas.

    Attributes
    ----------
    drawn, brightest
        What is on the screen; None before the first picture.
    """

    def __init__(self, canvas: Canvas) -> None:
        self.drawn: Drawn | None = None
        self.brightest = 1.0
        self._canvas = canvas
        self._wanted = True
        self._state: tuple[object, ...] = ()
        self._at = 0.0
        canvas.moved.connect(self.want)

    def want(self) -> None:
        """Something was changed by hand: draw at the next turn."""
        self._wanted = True

    def turn(self, model: ViewModel, settings: ViewSettings) -> bool:
        """Draw if there is a reason to; return whether it was done."""
        now = time.monotonic()
        counted = model.counted
        under = model.average if settings.under == "camera" else None
        state = (id(model), counted.total, counted.shown, under)
        if not self._wanted and (state == self._state or now - self._at < ROWS_EVERY_S):
            return False
        self._wanted, self._state, self._at = False, state, now
        where = self._canvas.where
        ratio = self._canvas.devicePixelRatioF()
        drawn = model.draw(where.inside, where.nm_per_px / ratio, settings)
        self.drawn, self.brightest = drawn, brightest_per_um2(drawn, settings)
        self._canvas.set_picture(coloured(drawn, settings, self.brightest), drawn.grid)
        self._canvas.overlay.legend = legend(drawn, settings, self.brightest)
        self._canvas.overlay.update()
        return True

    @property
    def words(self) -> str:
        """How the picture is drawn."""
        if self.drawn is None:
            return ""
        how = "counts" if self.drawn.how == "counts" else "Gaussians of own precision"
        return f"{how}, {self.drawn.grid.bin_nm:.3g} nm/px"
