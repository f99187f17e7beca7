"""From what was drawn to what is on the screen: contrast, colour, legend. The saved picture goes the same way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from locstream.compiled import exact
from locstream.rendering.colour import Rgb, full_scale, lookup_table
from locstream.rendering.grid import Grid, Picture
from locstream_view.model.camera_average import Grey
from locstream_view.model.settings import ColourBy, Drawing, ViewSettings

# From blue over a pale grey to orange: as light at both ends, and told apart by every kind of colour-blind eye.
_BLUE_TO_ORANGE = ((0.0, 0.25, 0.5, 0.75, 1.0), "2f6bff 5db4ff e8e8e0 ffb347 ff7a00")
CONTRAST_PIXELS = 250_000
"""Pixels that the percentile is taken of; a larger view is thinned evenly."""
STEPS = 4096
"""Steps of brightness before gamma: fine enough that one step is never seen."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """One view of the sample with the quantities still in it.

    Parameters
    ----------
    image
        Shape `grid.shape`, float32, localizations per pixel.
    means
        Mean frame or depth at each pixel, NaN where empty; None where the colour says how many.
    grid
        Where its pixels lie.
    how
        "counts" or "gaussians".
    colour_by
        What `means` are of.
    span
        Values that take the first and the last colour.
    under
        Grey that lies under it, shape `grid.shape`, uint8; None for none.
    """

    image: Picture
    means: Picture | None
    grid: Grid
    how: Drawing
    colour_by: ColourBy = "density"
    span: tuple[float, float] = (0.0, 1.0)
    under: Grey | None = None

    @property
    def per_um2(self) -> float:
        """Localizations per µm² that one localization in a pixel stands for."""
        return 1e6 / self.grid.bin_nm**2


def brightest_per_um2(drawn: Drawn, settings: ViewSettings) -> float:
    """Return the density that takes the brightest colour: the one that is locked, or by the percentile."""
    if settings.brightest_per_um2 is not None:
        return settings.brightest_per_um2
    stride = math.ceil(math.sqrt(drawn.image.size / CONTRAST_PIXELS))
    image = np.ascontiguousarray(drawn.image[::stride, ::stride])
    return full_scale(image, settings.contrast_percentile) * drawn.per_um2


def coloured(drawn: Drawn, settings: ViewSettings, brightest: float) -> Rgb:
    """Return a view in colour: shape (rows, columns, 3), uint8.

    Parameters
    ----------
    drawn
        The view.
    settings
        Colours and gamma.
    brightest
        Localizations per µm² that take the brightest colour.
    """
    rgb: Rgb = np.empty((*drawn.image.shape, 3), np.uint8)
    per_step = (STEPS - 1) * drawn.per_um2 / brightest
    levels = (np.arange(STEPS, dtype=np.float32) / np.float32(STEPS - 1)) ** np.float32(settings.gamma)
    if drawn.means is None:
        table = lookup_table(settings.colormap)[np.rint(levels * 255).astype(np.uint8)]
        _paint(rgb, drawn.image, per_step, table)
    else:
        low, high = drawn.span
        hue_per_value = 255 / max(high - low, 1e-9)
        _paint_values(rgb, drawn.image, per_step, levels, drawn.means, low, hue_per_value, value_table())
    if drawn.under is not None:
        np.maximum(rgb, drawn.under[..., None], out=rgb)
    return rgb


@exact
def _paint(rgb: Rgb, image: Picture, per_step: float, table: Rgb) -> None:
    """Fill in the colour of each pixel by its place in a table; a tenth of the time that numpy takes."""
    last = len(table) - 1
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            step = min(int(image[row, column] * per_step + 0.5), last)
            for channel in range(3):
                rgb[row, column, channel] = table[step, channel]


@exact
def _paint_values(
    rgb: Rgb,
    image: Picture,
    per_step: float,
    levels: npt.NDArray[np.float32],
    means: Picture,
    low: float,
    hue_per_value: float,
    hues: Rgb,
) -> None:
    """Fill in the hue of each pixel's mean, as bright as its density; black where it is empty."""
    last = len(levels) - 1
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            mean = means[row, column]
            if np.isnan(mean):
                rgb[row, column] = 0
                continue
            level = levels[min(int(image[row, column] * per_step + 0.5), last)]
            hue = int(min(max((mean - low) * hue_per_value, 0.0), 255.0) + 0.5)
            for channel in range(3):
                rgb[row, column, channel] = np.uint8(hues[hue, channel] * level + 0.5)


@cache
def value_table() -> Rgb:
    """Return the 256 colours of time and depth, first to last: shape (256, 3), uint8, read-only."""
    positions, colours = _BLUE_TO_ORANGE
    points = np.array([list(bytes.fromhex(c)) for c in colours.split()], float)
    steps = np.linspace(0, 1, 256)
    table: Rgb = np.rint(np.stack([np.interp(steps, positions, points[:, c]) for c in range(3)], 1)).astype(np.uint8)
    table.flags.writeable = False
    return table


@dataclass(frozen=True, eq=False)
class Legend:
    """What the colours say.

    Parameters
    ----------
    colours
        Shape (256, 3), uint8, first to last.
    title, low, high
        Quantity with its unit, and the values at the ends.
    """

    colours: Rgb
    title: str
    low: str
    high: str


def legend(drawn: Drawn, settings: ViewSettings, brightest: float) -> Legend:
    """Return the legend of a coloured view."""
    low, high = drawn.span
    if drawn.means is not None and drawn.colour_by == "time":
        return Legend(value_table(), "frame", f"{low:,.0f}", f"{high:,.0f}")
    if drawn.means is not None:
        return Legend(value_table(), "z (nm)", f"{low:.0f}", f"{high:.0f}")
    even = np.rint(np.linspace(0, 1, 256) ** settings.gamma * 255).astype(np.uint8)  # the ramp is even in density
    return Legend(lookup_table(settings.colormap)[even], "localizations/µm²", "0", f"{brightest:,.0f}")
