"""Contrast and colour: from localizations per pixel to what is seen on a screen."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from locstream.rendering.grid import Picture
from locstream.rendering.options import Colormap

Rgb = npt.NDArray[np.uint8]
"""A picture for a screen: shape (rows, columns, 3), uint8, red green blue."""

# Position along the map and its colour; straight lines between. Magma and viridis: eleven even steps of
# the tables by N. Smith and S. van der Walt (2015), which are in the public domain (CC0).
_MAGMA = "000004 140e36 3b0f70 641a80 8c2981 b73779 de4968 f7705c fe9f6d fecf92 fcfdbf"
_VIRIDIS = "440154 482475 414487 355f8d 2a788e 21918c 22a884 44bf70 7ad151 bddf26 fde725"
_CONTROL_POINTS: dict[Colormap, tuple[tuple[float, ...], str]] = {
    "hot": ((0, 3 / 8, 6 / 8, 1), "000000 ff0000 ffff00 ffffff"),
    "magma": (tuple(np.linspace(0, 1, 11)), _MAGMA),
    "viridis": (tuple(np.linspace(0, 1, 11)), _VIRIDIS),
    "gray": ((0, 1), "000000 ffffff"),
    "cyan": ((0, 1), "000000 00ffff"),
    "magenta": ((0, 1), "000000 ff00ff"),
}


@cache
def lookup_table(colormap: Colormap) -> Rgb:
    """Return the 256 colours of a map, from none to many: shape (256, 3), uint8, read-only."""
    positions, colours = _CONTROL_POINTS[colormap]
    points = np.array([list(bytes.fromhex(c)) for c in colours.split()], float)
    steps = np.linspace(0, 1, 256)
    channels = [np.interp(steps, positions, points[:, channel]) for channel in range(3)]
    table: Rgb = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    table.flags.writeable = False
    return table


def full_scale(image: Picture, contrast_percentile: float) -> float:
    """Return the value that takes the brightest colour.

    Empty pixels do not count: a field that is mostly dark would otherwise pull the contrast down to
    single localizations.

    Parameters
    ----------
    image
        Shape (rows, columns), float32, not negative.
    contrast_percentile
        Percentile of the pixels above 0, in (0, 100].

    Returns
    -------
    float
        In units of the image; 1 where every pixel is empty.
    """
    filled = image[image > 0]
    return float(np.percentile(filled, contrast_percentile)) if filled.size else 1.0


def colourise(image: Picture, brightest: float, *, colormap: Colormap, gamma: float = 1.0) -> Rgb:
    """Return the image in colour.

    Parameters
    ----------
    image
        Shape (rows, columns), float32, not negative.
    brightest
        Value that takes the brightest colour; what is above it takes it too.
    colormap
        Which colours.
    gamma
        Exponent: a pixel takes the colour at ``(value / brightest) ** gamma`` of the map.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns, 3), uint8.
    """
    level = np.clip(image / np.float32(brightest), 0, 1)
    if gamma != 1.0:
        level **= np.float32(gamma)
    rgb: Rgb = lookup_table(colormap)[np.rint(level * np.float32(255)).astype(np.uint8)]
    return rgb
