"""The close-up of a region: the same picture, as large as the panel has room for."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from locstream.rendering.grid import Grid
from locstream_view.model.model import ViewModel
from locstream_view.model.settings import ViewSettings, Window
from locstream_view.model.shown import brightest_per_um2, coloured
from locstream_view.window.image import image_of

SIDE = 212
"""Edge of the square it fits in, px of the screen."""


class CloseUp(QWidget):
    """Shows a region as if one had zoomed in on it; nothing while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: tuple[QImage, QRectF] | None = None
        self.setFixedSize(SIDE, SIDE)
        self.setToolTip("the region, enlarged; its contrast is its own, unless it is locked")

    @property
    def image(self) -> QImage | None:
        """What is shown; None for nothing."""
        return self._picture[0] if self._picture is not None else None

    def show_region(self, model: ViewModel | None, window: Window | None, settings: ViewSettings) -> None:
        """Draw a region, or take the close-up away."""
        self._picture = None
        if model is not None and window is not None and min(window.width_nm, window.height_nm) > 0:
            nm_per_px = max(window.width_nm, window.height_nm) / (SIDE * self.devicePixelRatioF())
            drawn = model.draw(window, nm_per_px, settings)
            image = image_of(coloured(drawn, settings, brightest_per_um2(drawn, settings)))
            self._picture = image, _part(drawn.grid, window)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the part of the picture that is the region."""
        if self._picture is None:
            return
        image, part = self._picture
        scale = SIDE / max(part.width(), part.height())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < 1)
        painter.fillRect(QRectF(0, 0, part.width() * scale, part.height() * scale), Qt.GlobalColor.black)
        painter.drawImage(QRectF(0, 0, part.width() * scale, part.height() * scale), image, part)
        painter.end()


def _part(grid: Grid, window: Window) -> QRectF:
    """Return where a window lies in a picture, px from its corner."""
    left, top = (window.left_nm - grid.left_nm) / grid.bin_nm, (window.top_nm - grid.top_nm) / grid.bin_nm
    return QRectF(left, top, window.width_nm / grid.bin_nm, window.height_nm / grid.bin_nm)
