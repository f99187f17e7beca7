"""Drawing each localization as a Gaussian as wide as its own precision.

The weight of a rendered pixel is the integral of the Gaussian over that pixel, so a localization keeps its
mass however narrow it is, and the picture tends to the histogram as the precision tends to 0.
Drawing with individual precision follows Betzig et al., Science 313, 1642 (2006).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from locstream.compiled import exact
from locstream.rendering.grid import Grid, Picture, Tally

TRUNCATION = 3.0
"""A Gaussian is drawn into every pixel that its centre ± this many standard deviations touches."""


def accumulate(
    image: Picture,
    grid: Grid,
    x_nm: npt.NDArray[np.floating],
    y_nm: npt.NDArray[np.floating],
    sigma_x_nm: npt.NDArray[np.floating],
    sigma_y_nm: npt.NDArray[np.floating],
    *,
    min_blur_nm: float,
    max_blur_nm: float,
) -> Tally:
    """Add a Gaussian of mass 1 for each localization, in place.

    The mass over its whole support (± `TRUNCATION` σ, in whole pixels) is 1; the part of the support
    that lies outside the picture is lost. So the sum grows by the number of localizations whose
    support lies inside, plus a fraction for each that crosses the edge.

    Parameters
    ----------
    image
        Shape `grid.shape`, float32; changed.
    grid
        Where its pixels lie.
    x_nm, y_nm
        Shape (n,), nm from the centre of camera pixel (0, 0).
    sigma_x_nm, sigma_y_nm
        Shape (n,), nm: the precision of each localization along x and y, 1 σ. 0 stands for an unknown
        one and is drawn with `min_blur_nm`.
    min_blur_nm
        A smaller precision is drawn with this one, nm; above 0.
    max_blur_nm
        A localization with a larger one is not drawn, and counted as unusable, nm.

    Returns
    -------
    Tally
        How many lie inside, outside, or could not be drawn.
    """
    if image.shape != grid.shape:
        raise ValueError(f"the image has shape {image.shape}, its grid {grid.shape}")
    if not 0 < min_blur_nm <= max_blur_nm:
        raise ValueError(f"min_blur_nm = {min_blur_nm} nm must be above 0 and at most max_blur_nm = {max_blur_nm} nm")
    x, y, sigma_x, sigma_y = (np.ascontiguousarray(a, np.float32) for a in (x_nm, y_nm, sigma_x_nm, sigma_y_nm))
    blur_nm = float(min_blur_nm), float(max_blur_nm)
    return Tally(*_splat(image, x, y, sigma_x, sigma_y, grid.left_nm, grid.top_nm, grid.bin_nm, *blur_nm))


@exact
def _profile(weights: npt.NDArray[np.float32], centre: float, sigma: float) -> tuple[int, int]:
    """Fill the integrals of a Gaussian over the pixels it touches; return the first pixel and their number.

    `centre` counts in pixels from the left edge of pixel 0.
    """
    first = math.floor(centre - TRUNCATION * sigma)
    n = math.floor(centre + TRUNCATION * sigma) - first + 1
    scale = 1.0 / (sigma * math.sqrt(2.0))
    start = math.erf((first - centre) * scale)
    norm = 1.0 / (math.erf((first + n - centre) * scale) - start)
    below = start
    for k in range(n):
        above = math.erf((first + k + 1 - centre) * scale)
        weights[k] = (above - below) * norm
        below = above
    return first, n


@exact
def _splat(
    image: Picture,
    x_nm: npt.NDArray[np.float32],
    y_nm: npt.NDArray[np.float32],
    sigma_x_nm: npt.NDArray[np.float32],
    sigma_y_nm: npt.NDArray[np.float32],
    left_nm: float,
    top_nm: float,
    bin_nm: float,
    min_blur_nm: float,
    max_blur_nm: float,
) -> tuple[int, int, int]:
    rows, columns = image.shape
    widest = 2 * math.ceil(TRUNCATION * max_blur_nm / bin_nm) + 2
    across = np.empty(widest, np.float32)
    down = np.empty(widest, np.float32)
    inside = outside = unusable = 0
    for i in range(x_nm.size):
        sigma_x = max(sigma_x_nm[i], min_blur_nm) / bin_nm
        sigma_y = max(sigma_y_nm[i], min_blur_nm) / bin_nm
        x = (x_nm[i] - left_nm) / bin_nm
        y = (y_nm[i] - top_nm) / bin_nm
        # Written so that a NaN fails every comparison and ends here.
        known = 0.0 <= sigma_x_nm[i] <= max_blur_nm and 0.0 <= sigma_y_nm[i] <= max_blur_nm
        if not (known and np.isfinite(x) and np.isfinite(y)):
            unusable += 1
            continue
        if 0.0 <= x < columns and 0.0 <= y < rows:
            inside += 1
        else:
            outside += 1
            # Before any conversion to int: a far-off position has none.
            reach_x, reach_y = TRUNCATION * sigma_x, TRUNCATION * sigma_y
            if not (-reach_x <= x < columns + reach_x and -reach_y <= y < rows + reach_y):
                continue
        left, n_across = _profile(across, x, sigma_x)
        top, n_down = _profile(down, y, sigma_y)
        first, last = max(left, 0), min(left + n_across, columns)
        weights = across[first - left : last - left]
        for row in range(max(top, 0), min(top + n_down, rows)):
            target = image[row, first:last]
            mass = down[row - top]
            for k in range(weights.size):
                target[k] += mass * weights[k]
    return inside, outside, unusable
