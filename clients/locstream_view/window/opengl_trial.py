"""Draws a small picture through OpenGL and looks at it: prints the renderer's name where it has come back right."""

from __future__ import annotations

import sys

import numpy as np
from PySide6.QtWidgets import QApplication, QWidget
from vispy.gloo import gl

from locstream.rendering.grid import Grid
from locstream_view.model.navigation import Navigation
from locstream_view.model.settings import Window
from locstream_view.window.surface_gl import GlSurface

ABOVE, BELOW = (250, 10, 20), (30, 240, 40)
WIDTH, HEIGHT = 64, 32


def trial() -> str:
    """Return the name of the renderer; "" where the picture is not what was drawn."""
    window = QWidget()
    window.resize(WIDTH, HEIGHT)
    surface = GlSurface(window)
    surface.widget.setGeometry(0, 0, WIDTH, HEIGHT)
    surface.set_picture(np.array([[ABOVE] * 4, [BELOW] * 4], np.uint8), Grid(2, 4, 1.0, 0.0, 0.0))
    surface.look(Navigation(Window(0.0, 0.0, 4.0, 2.0), WIDTH, HEIGHT, 2.0, 1.0, 1 / 16))
    image = surface.native.grabFramebuffer()
    seen = [image.pixelColor(image.width() // 2, round(at * image.height())).getRgb()[:3] for at in (0.25, 0.75)]
    if seen != [ABOVE, BELOW]:
        return ""
    surface.native.makeCurrent()
    return str(gl.glGetParameter(gl.GL_RENDERER))


if __name__ == "__main__":
    application = QApplication([])
    name = trial()
    print(name)
    sys.stdout.flush()
    sys.exit(0 if name else 1)
