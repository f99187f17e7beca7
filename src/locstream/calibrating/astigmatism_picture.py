"""An astigmatism calibration as a picture: the widths of the beads over depth, the curves, and what is left over."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from locstream.calibrating.astigmatism import MeasuredAstigmatism
from locstream.rendering.colour import Rgb
from locstream.rendering.lettering import draw_text, spelled, text_width

Doubles = npt.NDArray[np.float64]

WIDTH_PX, CURVES_PX, RESIDUALS_PX = 860, 380, 150
LEFT_PX, MARGIN_PX, LINE_PX, FONT_PX = 64, 16, 21, 14
DOT_PX = 2
TICKS = 6
BACKGROUND, INK, FAINT, GRID = "#101010", "#e0e0e0", "#909090", "#303030"
COLOURS = {"x": "#4fc3f7", "y": "#ffb74d"}


class _Plot:
    """A rectangle with axes: z in nm across, a value in px up."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, top: int, height: int, z: tuple[float, float], values: tuple[float, float]
    ) -> None:
        self._draw = draw
        self._top, self._bottom = top, top + height
        self._right = WIDTH_PX - MARGIN_PX
        self._z, self._values = z, values
        for tick in _ticks(*values):
            row = self._row(tick)
            draw.line((LEFT_PX, row, self._right, row), fill=GRID)
            words = f"{tick:.3g}"
            draw_text(draw, LEFT_PX - 6 - text_width(words, FONT_PX), row + 5, words, FONT_PX, FAINT)
        for tick in _ticks(*z):
            column = self._column(tick)
            draw.line((column, top, column, self._bottom), fill=INK if tick == 0 else GRID)

    def label_depths(self) -> None:
        """Write the depths below."""
        for tick in _ticks(*self._z):
            words = f"{tick:.0f}"
            left = self._column(tick) - text_width(words, FONT_PX) / 2
            draw_text(self._draw, left, self._bottom + LINE_PX, words, FONT_PX, FAINT)

    def dots(self, z: Doubles, values: Doubles, colour: str) -> None:
        """Draw a dot for each value."""
        for depth, value in zip(z, values, strict=True):
            column, row = self._column(depth), self._row(value)
            self._draw.ellipse((column - DOT_PX, row - DOT_PX, column + DOT_PX, row + DOT_PX), fill=colour)

    def line(self, z: Doubles, values: Doubles, colour: str) -> None:
        """Draw a line through values."""
        points = [(self._column(depth), self._row(value)) for depth, value in zip(z, values, strict=True)]
        self._draw.line(points, fill=colour, width=2)

    def _column(self, z: float) -> float:
        low, high = self._z
        return LEFT_PX + (z - low) / (high - low) * (self._right - LEFT_PX)

    def _row(self, value: float) -> float:
        low, high = self._values
        return self._bottom - (value - low) / (high - low) * (self._bottom - self._top)


def astigmatism_picture(measured: MeasuredAstigmatism, title: str) -> Rgb:
    """Return the widths of the beads with the curves, and below by how much they depart.

    Parameters
    ----------
    measured
        What was measured.
    title
        One line above; letters the font lacks are spelled.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns, 3), uint8.
    """
    calibration, widths = measured.calibration, measured.widths
    z_nm = 1000 * widths.z_um
    curve_z = np.linspace(calibration.z_min_nm, calibration.z_max_nm, 400)
    span = min(calibration.z_min_nm, float(z_nm.min())), max(calibration.z_max_nm, float(z_nm.max()))
    largest = max(float(widths.sigma_x_px.max()), float(widths.sigma_y_px.max()))
    departs = max(float(np.abs([measured.residual_x_px, measured.residual_y_px]).max()), 1e-3)
    height = 5 * MARGIN_PX + 4 * LINE_PX + CURVES_PX + RESIDUALS_PX
    picture = Image.new("RGB", (WIDTH_PX, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw_text(draw, MARGIN_PX, MARGIN_PX + FONT_PX, spelled(title), FONT_PX, INK)
    left = MARGIN_PX
    for axis, colour in COLOURS.items():
        words = f"sigma {axis}, px"
        draw_text(draw, left, MARGIN_PX + LINE_PX + FONT_PX, words, FONT_PX, colour)
        left += round(text_width(words, FONT_PX)) + 2 * MARGIN_PX
    top = 2 * MARGIN_PX + 2 * LINE_PX
    curves = _Plot(draw, top, CURVES_PX, span, (0.0, 1.05 * largest))
    residuals = _Plot(draw, top + CURVES_PX + 2 * MARGIN_PX, RESIDUALS_PX, span, (-1.1 * departs, 1.1 * departs))
    residuals.label_depths()
    for axis, sigma, residual, width in (
        ("x", widths.sigma_x_px, measured.residual_x_px, calibration.sigma_x_px),
        ("y", widths.sigma_y_px, measured.residual_y_px, calibration.sigma_y_px),
    ):
        curves.dots(z_nm, sigma, COLOURS[axis])
        curves.line(curve_z, width(curve_z), COLOURS[axis])
        residuals.dots(z_nm, residual, COLOURS[axis])
    words = "above: widths of the beads and curves; below: what is left over, px; across: z, nm"
    draw_text(draw, LEFT_PX, height - MARGIN_PX, words, FONT_PX, FAINT)
    return np.array(picture)


def _ticks(low: float, high: float) -> Doubles:
    """Return round numbers within a range."""
    rough = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)
    return np.asarray(np.round(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step, 12))
