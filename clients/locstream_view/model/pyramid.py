"""Counts per pixel at every zoom: a histogram is additive, so each row is added to all levels at once.

A redraw reads the one level that suits the screen, so its cost does not depend on the number of rows.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from locstream.rendering.grid import Grid, Picture, Tally
from locstream_view.model.settings import Window

DEFAULT_PIXEL_NM = 20.0
FINEST_PIXEL_NM = 10.0
FINEST_PIXELS = 2**25
"""The finest level is 10 nm where it has no more pixels than this (128 MB); beyond, rows are drawn one by one."""
BASE_PIXELS = 2**27
"""Most pixels of the finest level at all: 512 MB, and a third more for all others; memory is taken as it is filled."""
COARSEST_SIDE = 256
"""No level is made below this, px."""


class CountPyramid:
    """Counts over the camera's field of view, at pixels of 10, 20, 40 … nm, doubling; for a large one from 20 nm on.

    Parameters
    ----------
    width_px, height_px
        Shape of the camera's frames, px.
    pixel_size_nm
        Edge of a camera pixel in the sample, nm.
    weighted
        Also add up a value of each row, so that its mean is known at every pixel.

    Attributes
    ----------
    tally
        Where the rows went.
    """

    def __init__(self, width_px: int, height_px: int, pixel_size_nm: float, *, weighted: bool = False) -> None:
        width_nm, height_nm = width_px * pixel_size_nm, height_px * pixel_size_nm
        bin_nm = FINEST_PIXEL_NM
        if _pixels(width_nm, height_nm, bin_nm) > FINEST_PIXELS:
            bin_nm = DEFAULT_PIXEL_NM
        while _pixels(width_nm, height_nm, bin_nm) > BASE_PIXELS:
            bin_nm *= 2
        edge_nm = -0.5 * pixel_size_nm
        self.levels: list[Grid] = []
        while True:
            rows, columns = _bins(height_nm, bin_nm), _bins(width_nm, bin_nm)
            self.levels.append(Grid(rows, columns, bin_nm, edge_nm, edge_nm))
            if max(rows, columns) <= COARSEST_SIDE:
                break
            bin_nm *= 2
        sizes = [grid.rows * grid.columns for grid in self.levels]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._columns = np.array([grid.columns for grid in self.levels], np.int64)
        self._counts = np.zeros(sum(sizes), np.uint32)
        self._sums = np.zeros(sum(sizes) if weighted else 0, np.float32)
        self.tally = Tally()

    @property
    def nbytes(self) -> int:
        """Memory of all levels, bytes; it does not grow."""
        return self._counts.nbytes + self._sums.nbytes

    def add(
        self,
        x_nm: npt.NDArray[np.floating],
        y_nm: npt.NDArray[np.floating],
        values: npt.NDArray[np.floating] | None = None,
    ) -> Tally:
        """Count rows at every level.

        Parameters
        ----------
        x_nm, y_nm
            Shape (n,), nm from the centre of camera pixel (0, 0).
        values
            Shape (n,): what is averaged, where the pyramid is weighted.
        """
        if (values is not None) != (len(self._sums) > 0):
            raise ValueError("values belong to a weighted pyramid, and to no other")
        x, y = np.ascontiguousarray(x_nm, np.float32), np.ascontiguousarray(y_nm, np.float32)
        weights = np.zeros(0, np.float32) if values is None else np.ascontiguousarray(values, np.float32)
        base = self.levels[0]
        where = base.rows, base.left_nm, base.top_nm, base.bin_nm
        tally = Tally(*_count(self._counts, self._sums, self._starts, self._columns, x, y, weights, *where))
        self.tally += tally
        return tally

    def level_for(self, nm_per_px: float) -> int:
        """Return the finest level whose pixels are not smaller than `nm_per_px`; the coarsest level where none is."""
        for number, grid in enumerate(self.levels):
            if grid.bin_nm >= nm_per_px * (1 - 1e-9):
                return number
        return len(self.levels) - 1

    def window(self, level: int, window: Window) -> tuple[Picture, Picture | None, Grid]:
        """Return the pixels of a level that a window touches.

        Returns
        -------
        tuple
            Counts, shape (rows, columns), float32, a copy; the mean value at each (NaN where empty), None where
            the pyramid is not weighted; and where these pixels lie.
        """
        grid = self.levels[level]
        top, bottom = _span(window.top_nm - grid.top_nm, window.height_nm, grid.bin_nm, grid.rows)
        left, right = _span(window.left_nm - grid.left_nm, window.width_nm, grid.bin_nm, grid.columns)
        start, stop = self._starts[level], self._starts[level + 1]
        counts = self._counts[start:stop].reshape(grid.shape)[top:bottom, left:right].astype(np.float32)
        means: Picture | None = None
        if len(self._sums):
            sums = self._sums[start:stop].reshape(grid.shape)[top:bottom, left:right]
            means = np.full(counts.shape, np.nan, np.float32)
            np.divide(sums, counts, out=means, where=counts > 0)
        left_nm, top_nm = grid.left_nm + left * grid.bin_nm, grid.top_nm + top * grid.bin_nm
        return counts, means, Grid(bottom - top, right - left, grid.bin_nm, left_nm, top_nm)


def _pixels(width_nm: float, height_nm: float, bin_nm: float) -> int:
    return _bins(width_nm, bin_nm) * _bins(height_nm, bin_nm)


def _bins(length_nm: float, bin_nm: float) -> int:
    return math.ceil(round(length_nm / bin_nm, 6)) or 1  # rounded: 3 × 0.1 / 0.1 is a hair above 3


def _span(offset_nm: float, length_nm: float, bin_nm: float, bins: int) -> tuple[int, int]:
    """Return the first bin that a stretch touches and the one after its last, inside 0 … `bins`, never empty."""
    first = min(max(math.floor(offset_nm / bin_nm), 0), bins - 1)
    end = min(max(math.ceil((offset_nm + length_nm) / bin_nm), first + 1), bins)
    return first, end


@njit(nogil=True, cache=True, error_model="numpy")
def _count(
    counts: npt.NDArray[np.uint32],
    sums: npt.NDArray[np.float32],
    starts: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    x_nm: npt.NDArray[np.float32],
    y_nm: npt.NDArray[np.float32],
    values: npt.NDArray[np.float32],
    rows: int,
    left_nm: float,
    top_nm: float,
    bin_nm: float,
) -> tuple[int, int, int]:
    inside = outside = unusable = 0
    for i in range(x_nm.size):
        # Compared as floats: a far-off or NaN position has no integer, and a negative index would wrap.
        column = np.floor((x_nm[i] - left_nm) / bin_nm)
        row = np.floor((y_nm[i] - top_nm) / bin_nm)
        if 0.0 <= column < columns[0] and 0.0 <= row < rows:
            r, c = int(row), int(column)
            for level in range(columns.size):
                at = starts[level] + (r >> level) * columns[level] + (c >> level)
                counts[at] += np.uint32(1)
                if values.size:
                    sums[at] += values[i]
            inside += 1
        elif np.isfinite(column) and np.isfinite(row):
            outside += 1
        else:
            unusable += 1
    return inside, outside, unusable
