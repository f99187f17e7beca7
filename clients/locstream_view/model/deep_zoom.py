"""Zoomed in beyond the counts: each row in view as a Gaussian as wide as its own precision.

The kernel is `locstream.rendering.gaussian`, the one of the finished picture.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from locstream.localizations import Localizations
from locstream.rendering import gaussian
from locstream.rendering.grid import Grid, Picture
from locstream_view.model.settings import Window

MIN_BLUR_NM = 5.0
MAX_BLUR_NM = 250.0
"""As the finished picture has them by default."""
MARGIN_NM = gaussian.TRUNCATION * 80
"""How far outside the view a row may lie and still reach in, unless it is less certain than 80 nm."""
MOST_ROWS = 60_000
MOST_ADDITIONS = 8_000_000
"""Pixels that may be added to in one redraw; beyond, the picture is drawn at half the resolution."""
CLASSES = 24
"""Steps in which a mean value is told: the kernel adds up masses, so each step is drawn by itself."""


def with_margin(window: Window) -> Window:
    """Return the window from which rows reach into `window`."""
    left, top, width, height = window
    return Window(left - MARGIN_NM, top - MARGIN_NM, width + 2 * MARGIN_NM, height + 2 * MARGIN_NM)


def affordable_bin(rows: Localizations, nm_per_px: float) -> float:
    """Return the finest pixel, nm, at which the rows are drawn in time: `nm_per_px`, or twice, four times … that."""
    if not len(rows):
        return nm_per_px
    blur_nm = np.clip(0.5 * (rows["x_uncertainty_nm"] + rows["y_uncertainty_nm"]), MIN_BLUR_NM, MAX_BLUR_NM)
    reach_nm = 2 * gaussian.TRUNCATION * float(np.sqrt(np.mean(np.square(blur_nm, dtype=np.float64))))
    bin_nm = nm_per_px
    while len(rows) * (reach_nm / bin_nm + 1) ** 2 > MOST_ADDITIONS and bin_nm < reach_nm:
        bin_nm *= 2
    return bin_nm


def draw_gaussians(
    rows: Localizations, window: Window, bin_nm: float, values: npt.NDArray[np.floating] | None = None
) -> tuple[Picture, Picture | None, Grid]:
    """Draw rows; the same three as `CountPyramid.window` returns.

    Parameters
    ----------
    rows
        Shape (n,), those in `with_margin(window)`.
    window
        What is in view.
    bin_nm
        Edge of a pixel, nm.
    values
        Shape (n,): what is averaged, weighted by the Gaussians; None for no means.
    """
    rows_px, columns_px = (max(1, math.ceil(nm / bin_nm)) for nm in (window.height_nm, window.width_nm))
    grid = Grid(rows_px, columns_px, bin_nm, window.left_nm, window.top_nm)
    image = np.zeros(grid.shape, np.float32)
    if values is None:
        _splat(image, grid, rows)
        return image, None, grid
    sums = np.zeros(grid.shape, np.float32)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    steps = np.zeros(len(rows), np.int64)
    if high > low:
        steps[finite] = np.minimum((values[finite] - low) / (high - low) * CLASSES, CLASSES - 1).astype(np.int64)
    for step in np.unique(steps[finite]):
        one = np.zeros(grid.shape, np.float32)
        chosen = finite & (steps == step)
        _splat(one, grid, rows[chosen])
        image += one
        sums += one * np.float32(values[chosen].mean())
    means = np.full(grid.shape, np.nan, np.float32)
    np.divide(sums, image, out=means, where=image > 0)
    return image, means, grid


def _splat(image: Picture, grid: Grid, rows: Localizations) -> None:
    position = rows["x_nm"], rows["y_nm"], rows["x_uncertainty_nm"], rows["y_uncertainty_nm"]
    gaussian.accumulate(image, grid, *position, min_blur_nm=MIN_BLUR_NM, max_blur_nm=MAX_BLUR_NM)
