"""The picture as a texture in a vispy canvas: moving it and zooming in it is the graphics card's work."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from vispy import app, gloo, use

from locstream.rendering.colour import Rgb
from locstream.rendering.grid import Grid
from locstream_view.model.navigation import Navigation
from locstream_view.window.surface import target_rect

CORNERS = np.array([(0, 0), (1, 0), (0, 1), (1, 1)], np.float32)
"""Of the picture: its columns to the right, its rows down."""
PLACED = """
attribute vec2 corner;
uniform vec4 place;  // left, top, width, height; fractions of the screen, from its upper left corner
varying vec2 at;
void main() {
    at = corner;
    vec2 on_screen = place.xy + corner * place.zw;
    gl_Position = vec4(2.0 * on_screen.x - 1.0, 1.0 - 2.0 * on_screen.y, 0.0, 1.0);
}
"""
TEXEL = """
uniform sampler2D picture;
varying vec2 at;
void main() { gl_FragColor = vec4(texture2D(picture, at).rgb, 1.0); }
"""
PLAIN = {"depth_size": 0, "stencil_size": 0, "samples": 0}
"""One flat picture needs nothing more, and software OpenGL is quicker without."""


class GlSurface(app.Canvas):  # type: ignore[misc]  # vispy ships no types: its classes are Any to mypy
    """A texture on the screen.

    The window it is in must be destroyed by Qt when it is closed (``WA_DeleteOnClose``). Left to Python's collector of
    cycles it would be destroyed at any moment, also in the midst of another canvas's drawing; Qt leaves no OpenGL
    context current after that, and the next command ends the process.
    """

    def __init__(self, parent: QWidget) -> None:
        use(app="pyside6", gl="gl2")
        super().__init__(keys=None, parent=parent, show=False, autoswap=False, vsync=False, config=PLAIN)
        self.widget: QWidget = self.native
        self.widget.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._texture = gloo.Texture2D((1, 1, 3), format="rgb")
        self._program = gloo.Program(PLACED, TEXEL)
        self._program["corner"] = CORNERS
        self._program["picture"] = self._texture
        self._grid: Grid | None = None
        self._where: Navigation | None = None

    def set_picture(self, rgb: Rgb, grid: Grid) -> None:
        """Show another picture."""
        self._texture.set_data(np.ascontiguousarray(rgb))
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
        # Where pixels share one of the screen, each must count; where they are larger they are shown as they are.
        self._texture.interpolation = "linear" if self._grid.bin_nm < self._where.nm_per_px else "nearest"
        rect = target_rect(self._grid, self._where)
        width, height = self._where.width_px, self._where.height_px
        self._program["place"] = rect.left() / width, rect.top() / height, rect.width() / width, rect.height() / height
        self._program.draw("triangle_strip")
