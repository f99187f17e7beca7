"""A measured camera as a picture: each map as it lies on the sensor, and how often each of its values comes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from locstream.calibrating.measured_camera import MeasuredCamera
from locstream.calibrating.pixel_statistics import Map
from locstream.rendering.colour import Rgb, lookup_table
from locstream.rendering.lettering import draw_text, spelled

PANEL_PX = 384
"""Longer side of a map as it is shown, at most."""
HISTOGRAM_PX = 110
MARGIN_PX = 16
LINE_PX = 21
FONT_PX = 14
BINS = 96
SHOWN_PERCENT = (0.5, 99.5)
"""Percentiles that take the first and the last colour."""
BEYOND = 1.0
"""The histogram goes on by so many times that range to either side; what is further out is in its last bins."""
BACKGROUND, INK, FAINT = "#101010", "#e0e0e0", "#909090"


class Panel(NamedTuple):
    """One map: what it is, its unit in letters the font has, its values."""

    title: str
    unit: str
    values: Map


def camera_picture(camera: MeasuredCamera, title: str) -> Rgb:
    """Return offset, read noise and gain side by side, each over its histogram.

    Counts are on a logarithmic scale, so that single hot pixels show; dead ones do not count. Bars have the
    colours of the map. A map larger than its place is shown as the mean of squares of pixels, a smaller one
    is enlarged.

    Parameters
    ----------
    camera
        What was measured.
    title
        One line above; letters the font lacks are spelled.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns, 3), uint8.
    """
    panels = (
        Panel("offset", "ADU", camera.offset_adu),
        Panel("read noise", "e- rms", camera.read_noise_e),
        Panel("gain", "e-/ADU", camera.gain_e_per_adu),
    )
    ranges = [_shown_range(panel.values) for panel in panels]
    maps = [_coloured_map(panel.values, *shown) for panel, shown in zip(panels, ranges, strict=True)]
    map_height, map_width = maps[0].shape[:2]
    panel_width = max(PANEL_PX, map_width)
    width = MARGIN_PX + len(panels) * (panel_width + MARGIN_PX)
    height = 3 * MARGIN_PX + 3 * LINE_PX + map_height + HISTOGRAM_PX
    picture = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw_text(draw, MARGIN_PX, MARGIN_PX + FONT_PX, spelled(title), FONT_PX, INK)
    for n, (panel, shown, rgb) in enumerate(zip(panels, ranges, maps, strict=True)):
        left, top = MARGIN_PX + n * (panel_width + MARGIN_PX), MARGIN_PX + LINE_PX
        words = f"{panel.title}, {panel.unit}: median {np.median(panel.values):.4g}"
        draw_text(draw, left, top + FONT_PX, words, FONT_PX, INK)
        top += LINE_PX
        picture.paste(Image.fromarray(rgb), (left, top))
        _draw_histogram(draw, left, top + map_height + MARGIN_PX, panel_width, panel.values[~camera.dead], *shown)
    return np.array(picture)


def _shown_range(values: Map) -> tuple[float, float]:
    """Return the values that take the first and the last colour; never the same."""
    low, high = (float(value) for value in np.percentile(values, SHOWN_PERCENT))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _coloured_map(values: Map, low: float, high: float) -> Rgb:
    factor = -(-max(values.shape) // PANEL_PX)
    if factor > 1:
        edges = [np.arange(0, side, factor) for side in values.shape]
        sums, sizes = (
            np.add.reduceat(np.add.reduceat(of, edges[0], axis=0), edges[1], axis=1)
            for of in (values, np.ones_like(values))
        )
        return _coloured(sums / sizes, low, high)
    larger = PANEL_PX // max(values.shape)
    return _coloured(values, low, high).repeat(larger, axis=0).repeat(larger, axis=1)


def _coloured(values: Map, low: float, high: float) -> Rgb:
    share = np.clip((values - low) / (high - low), 0, 1)
    rgb: Rgb = lookup_table("viridis")[np.rint(255 * share).astype(np.uint8)]
    return rgb


def _draw_histogram(
    draw: ImageDraw.ImageDraw, left: int, top: int, width: int, values: Map, low: float, high: float
) -> None:
    """Draw bars in the colours of the map, and below them where the colours begin and end and how far values go."""
    first = max(float(values.min()), low - BEYOND * (high - low))
    last = min(float(values.max()), high + BEYOND * (high - low))
    first, last = (first, last) if last > first else (low, high)
    edges = np.linspace(first, last, BINS + 1)
    counts, _ = np.histogram(np.clip(values, first, last), edges)
    heights = np.log10(1 + counts) / np.log10(1 + counts.max()) * HISTOGRAM_PX
    colours = _coloured((edges[1:] + edges[:-1]) / 2, low, high)
    bottom = top + HISTOGRAM_PX
    for n, (height, colour) in enumerate(zip(heights, colours, strict=True)):
        if counts[n]:
            sides = (left + n * width // BINS, left + (n + 1) * width // BINS - 1)
            draw.rectangle((sides[0], bottom - max(1, round(height)), sides[1], bottom), fill=tuple(colour.tolist()))
    draw.line((left, bottom + 1, left + width, bottom + 1), fill=FAINT)
    words = f"colours {low:.4g} to {high:.4g}, values {values.min():.4g} to {values.max():.4g}"
    draw_text(draw, left, bottom + LINE_PX, words, FONT_PX, FAINT)
