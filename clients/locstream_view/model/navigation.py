"""Where the view is: which part of the sample the screen shows. Wheel, drag and double-click are arithmetic here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from locstream_view.model.settings import Window

FINEST_NM_PER_PX = 0.1
MARGIN = 1.04
"""The whole field is shown with a little room around it."""


@dataclass(frozen=True)
class Navigation:
    """A screen over a sample. Screen positions count from the upper left corner, px; y down on both.

    Parameters
    ----------
    field
        The camera's field of view.
    width_px, height_px
        Of the screen's area.
    centre_x_nm, centre_y_nm
        What lies in its middle.
    nm_per_px
        Edge of a pixel of the screen in the sample.
    """

    field: Window
    width_px: int
    height_px: int
    centre_x_nm: float
    centre_y_nm: float
    nm_per_px: float

    @classmethod
    def whole(cls, field: Window, width_px: int, height_px: int) -> Self:
        """Show the whole field."""
        width_px, height_px = max(width_px, 1), max(height_px, 1)
        nm_per_px = MARGIN * max(field.width_nm / width_px, field.height_nm / height_px)
        centre = field.left_nm + field.width_nm / 2, field.top_nm + field.height_nm / 2
        return cls(field, width_px, height_px, *centre, nm_per_px)

    @property
    def window(self) -> Window:
        """What the screen shows."""
        width, height = self.width_px * self.nm_per_px, self.height_px * self.nm_per_px
        return Window(self.centre_x_nm - width / 2, self.centre_y_nm - height / 2, width, height)

    @property
    def inside(self) -> Window:
        """What the screen shows of the field."""
        left, top, width, height = self.window
        field = self.field
        right, bottom = (
            min(left + width, field.left_nm + field.width_nm),
            min(top + height, field.top_nm + field.height_nm),
        )
        left, top = max(left, field.left_nm), max(top, field.top_nm)
        return Window(left, top, max(right - left, 0.0), max(bottom - top, 0.0))

    def to_nm(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Return the place in the sample under a place on the screen."""
        left, top, _, _ = self.window
        return left + x_px * self.nm_per_px, top + y_px * self.nm_per_px

    def to_px(self, x_nm: float, y_nm: float) -> tuple[float, float]:
        """Return the place on the screen over a place in the sample; the inverse of `to_nm`."""
        left, top, _, _ = self.window
        return (x_nm - left) / self.nm_per_px, (y_nm - top) / self.nm_per_px

    def zoomed(self, factor: float, x_px: float, y_px: float) -> Self:
        """Zoom in by a factor; what is under the cursor stays under it."""
        coarsest = Navigation.whole(self.field, self.width_px, self.height_px).nm_per_px * 2
        nm_per_px = min(max(self.nm_per_px / factor, FINEST_NM_PER_PX), coarsest)
        x_nm, y_nm = self.to_nm(x_px, y_px)
        moved = self.nm_per_px - nm_per_px
        return replace(
            self,
            nm_per_px=nm_per_px,
            centre_x_nm=self._held(x_nm - (x_px - self.width_px / 2) * nm_per_px, 0) if moved else self.centre_x_nm,
            centre_y_nm=self._held(y_nm - (y_px - self.height_px / 2) * nm_per_px, 1) if moved else self.centre_y_nm,
        )

    def dragged(self, right_px: float, down_px: float) -> Self:
        """Move the sample by a distance on the screen; its edge stops at the middle."""
        return replace(
            self,
            centre_x_nm=self._held(self.centre_x_nm - right_px * self.nm_per_px, 0),
            centre_y_nm=self._held(self.centre_y_nm - down_px * self.nm_per_px, 1),
        )

    def resized(self, width_px: int, height_px: int) -> Self:
        """Keep centre and magnification on a screen of another size."""
        return replace(self, width_px=max(width_px, 1), height_px=max(height_px, 1))

    def showing(self, window: Window) -> Self:
        """Show a part of the sample as large as it fits."""
        nm_per_px = max(window.width_nm / self.width_px, window.height_nm / self.height_px, FINEST_NM_PER_PX)
        centre = window.left_nm + window.width_nm / 2, window.top_nm + window.height_nm / 2
        return replace(self, centre_x_nm=centre[0], centre_y_nm=centre[1], nm_per_px=nm_per_px)

    def _held(self, centre_nm: float, axis: int) -> float:
        start, length = self.field[axis], self.field[axis + 2]
        return min(max(centre_nm, start), start + length)
