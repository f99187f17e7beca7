"""What shows an array of colours at its place in the sample: vispy through OpenGL, or Qt's own painter."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from locstream.rendering.colour import Rgb
from locstream.rendering.grid import Grid
from locstream_view.model.navigation import Navigation
from locstream_view.window.image import image_of


class Surface(Protocol):
    """Shows one picture; between two of them it only moves."""

    widget: QWidget

    def set_picture(self, rgb: Rgb, grid: Grid) -> None:
        """Show another picture: shape (rows, columns, 3), uint8, at its place in the sample."""

    def look(self, where: Navigation) -> None:
        """Show it from here."""


class RasterSurface(QWidget):
    """Draws with Qt's own painter: on every screen, over remote desktops, and without a screen."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.widget: QWidget = self
        self._image: QImage | None = None
        self._grid: Grid | None = None
        self._where: Navigation | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def set_picture(self, rgb: Rgb, grid: Grid) -> None:
        """Show another picture."""
        self._image = image_of(rgb)
        self._grid = grid
        self.update()

    def look(self, where: Navigation) -> None:
        """Show it from here."""
        self._where = where
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture at its place, black around it."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        if self._image is not None and self._grid is not None and self._where is not None:
            # Where pixels share one of the screen, each must count; where they are larger they are shown as they are.
            smooth = self._grid.bin_nm < self._where.nm_per_px
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
            painter.drawImage(target_rect(self._grid, self._where), self._image)
        painter.end()


def target_rect(grid: Grid, where: Navigation) -> QRectF:
    """Return where on the screen a picture lies, px."""
    left, top = where.to_px(grid.left_nm, grid.top_nm)
    scale = grid.bin_nm / where.nm_per_px
    return QRectF(left, top, grid.columns * scale, grid.rows * scale)


def make_surface(parent: QWidget, *, gl: bool) -> Surface:
    """Return a surface: through OpenGL, which must work here (`locstream_view.window.opengl`), or Qt's painter."""
    if gl:
        from locstream_view.window.surface_gl import GlSurface  # only now: vispy takes a moment

        return GlSurface(parent)
    return RasterSurface(parent)
