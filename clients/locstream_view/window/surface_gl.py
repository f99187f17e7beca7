"""The same with OpenGL, through vispy: the picture is a texture, and moving it costs nothing."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QOffscreenSurface, QOpenGLContext
from PySide6.QtWidgets import QWidget
from vispy import app, gloo, use
from vispy.visuals import ImageVisual
from vispy.visuals.transforms import STTransform

from locstream.rendering.colour import Rgb
from locstream.rendering.grid import Grid
from locstream_view.model.navigation import Navigation
from locstream_view.window.surface import target_rect


class GlSurface(app.Canvas):  # type: ignore[misc]  # vispy has no types
    """A texture on the screen.

    Raises
    ------
    RuntimeError
        There is no OpenGL here.
    """

    def __init__(self, parent: QWidget) -> None:
        _check_opengl()
        use(app="pyside6", gl="gl2")
        super().__init__(keys=None, parent=parent, show=False, autoswap=False)
        self.widget: QWidget = self.native
        self.widget.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._image = ImageVisual(np.zeros((1, 1, 3), np.uint8), interpolation="nearest", method="subdivide")
        self._grid: Grid | None = None
        self._where: Navigation | None = None

    def set_picture(self, rgb: Rgb, grid: Grid) -> None:
        """Show another picture."""
        self._image.set_data(np.ascontiguousarray(rgb))
        self._grid = grid
        self.update()

    def look(self, where: Navigation) -> None:
        """Show it from here."""
        self._where = where
        self.update()

    def on_resize(self, event: object) -> None:
        """Follow the size of the widget."""
        gloo.set_viewport(0, 0, *self.physical_size)

    def on_draw(self, event: object) -> None:
        """Draw the texture at its place, black around it."""
        gloo.clear((0, 0, 0, 1))
        if self._grid is None or self._where is None:
            return
        smooth = self._grid.bin_nm < self._where.nm_per_px
        self._image.interpolation = "bilinear" if smooth else "nearest"
        rect = target_rect(self._grid, self._where)
        scale = rect.width() / self._grid.columns, rect.height() / self._grid.rows
        self._image.transform = STTransform(scale=scale, translate=(rect.left(), rect.top()))
        self._image.transforms.configure(canvas=self, viewport=(0, 0, *self.physical_size))
        self._image.draw()


def _check_opengl() -> None:
    """Raise where no context can be made: vispy would only say so at the first draw, when it is too late."""
    context = QOpenGLContext()
    if not context.create():
        raise RuntimeError("no OpenGL context can be made")
    offscreen = QOffscreenSurface()
    offscreen.create()
    if not context.makeCurrent(offscreen):
        raise RuntimeError("the OpenGL context cannot be used")
    context.doneCurrent()
