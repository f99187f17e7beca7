"""Counting localizations per rendered pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from locstream.compiled import exact
from locstream.rendering.grid import Grid, Picture, Tally


def accumulate(image: Picture, grid: Grid, x_nm: npt.NDArray[np.floating], y_nm: npt.NDArray[np.floating]) -> Tally:
    """Add 1 to the pixel under each localization, in place.

    Batches add up to the same picture in any order; counts are exact up to 2²⁴ per pixel.

    Parameters
    ----------
    image
        Shape `grid.shape`, float32; changed.
    grid
        Where its pixels lie.
    x_nm, y_nm
        Shape (n,), nm from the centre of camera pixel (0, 0).

    Returns
    -------
    Tally
        How many were counted, lay outside, or have no finite position.
    """
    if image.shape != grid.shape:
        raise ValueError(f"the image has shape {image.shape}, its grid {grid.shape}")
    x, y = (np.ascontiguousarray(a, np.float32) for a in (x_nm, y_nm))
    return Tally(*_count(image, x, y, grid.left_nm, grid.top_nm, grid.bin_nm))


@exact
def _count(
    image: Picture,
    x_nm: npt.NDArray[np.float32],
    y_nm: npt.NDArray[np.float32],
    left_nm: float,
    top_nm: float,
    bin_nm: float,
) -> tuple[int, int, int]:
    rows, columns = image.shape
    inside = outside = unusable = 0
    for i in range(x_nm.size):
        # Compared as floats: a far-off or NaN position has no integer, and a negative index would wrap.
        column = np.floor((x_nm[i] - left_nm) / bin_nm)
        row = np.floor((y_nm[i] - top_nm) / bin_nm)
        if 0.0 <= column < columns and 0.0 <= row < rows:
            image[int(row), int(column)] += np.float32(1.0)
            inside += 1
        elif np.isfinite(column) and np.isfinite(row):
            outside += 1
        else:
            unusable += 1
    return inside, outside, unusable
