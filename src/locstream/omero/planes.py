"""What an image's file holds, so that the server needs not look and what it has read can be held to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from locstream.omero.server import Pixels
from locstream.rendering.colour import full_scale
from locstream.stacks.open import open_stack

LOOKED_AT = 64
"""So many frames, evenly spread, give a stack's range."""
SHOWN_PERCENTILE = 99.5
_TYPES = {"uint8": "uint8", "uint16": "uint16", "float32": "float"}
"""OMERO's names of what we write."""


def pixels_of(path: Path) -> Pixels:
    """Return what the server must find in an OME-TIFF of ours.

    Raises
    ------
    OSError
        It cannot be read.
    """
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        *planes, size_y, size_x = series.shape
        return Pixels(size_x, size_y, int(np.prod(planes, dtype=np.int64)), _TYPES.get(series.dtype.name, "?"))


def range_of_stack(path: Path) -> tuple[float, float]:
    """Return between which values a stack is shown, ADU: the extremes of frames spread over all of it."""
    stack = open_stack(path)
    try:
        numbers = np.unique(np.linspace(0, len(stack) - 1, min(LOOKED_AT, len(stack))).astype(int))
        frames = (stack.read(int(number)) for number in numbers)
        extremes = [(int(frame.min()), int(frame.max())) for frame in frames]
    finally:
        stack.close()
    return float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))


def range_of_reconstruction(path: Path) -> tuple[float, float]:
    """Return between which values a reconstruction is shown, localizations per pixel.

    From its smallest copy: memory does not grow with the picture.
    """
    with tifffile.TiffFile(path) as tiff:
        smallest = tiff.series[0].levels[-1].asarray()
    return 0.0, full_scale(np.asarray(smallest, np.float32), SHOWN_PERCENTILE)
