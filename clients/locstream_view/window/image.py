"""An array of colours as Qt has it."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage

from locstream.rendering.colour import Rgb


def image_of(rgb: Rgb) -> QImage:
    """Return a picture that holds its own copy of an array: shape (rows, columns, 3), uint8."""
    rows, columns = rgb.shape[:2]
    pixels = np.ascontiguousarray(rgb)
    return QImage(pixels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
