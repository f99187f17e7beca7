"""Counts per pixel at every zoom: a histogram is additive, so each row is added to all levels at once.

A redraw reads the one level that suits the screen, so its cost does not depend on the number of rows.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from locstream.compiled import exact
from locstream.rendering.grid import Grid, Picture, grid
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
    """

    def __init__(self, width_px: int, height_px: int, pixel_size_nm: float, *, weighted: bool = False) -> None:
        area_nm2 = width_px * height_px * pixel_size_nm**2
        bin_nm = FINEST_PIXEL_NM if area_nm2 <= FINEST_PIXELS * FINEST_PIXEL_NM**2 else DEFAULT_PIXEL_NM
        while area_nm2 > BASE_PIXELS * bin_nm**2:
            bin_nm *= 2
        self.levels = [grid(height_px, width_px, pixel_size_nm, bin_nm)]
        while max(self.levels[-1].shape) > COARSEST_SIDE:
            bin_nm *= 2
            self.levels.append(grid(height_px, width_px, pixel_size_nm, bin_nm))
        sizes = [math.prod(level.shape) for level in self.levels]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._columns = np.array([level.columns for level in self.levels], np.int64)
        self._counts = np.zeros(sum(sizes), np.uint32)
        self._sums = np.zeros(sum(sizes) if weighted else 0, np.float32)

    @property
    def nbytes(self) -> int:
        """Memory of all levels, bytes; it does not grow."""
        return self._counts.nbytes + self._sums.nbytes

    def add(
        self,
        x_nm: npt.NDArray[np.floating],
        y_nm: npt.NDArray[np.floating],
        values: npt.NDArray[np.floating] | None = None,
    ) -> None:
        """Count rows at every level; one outside the field, or without a position, at none.

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
        _count(self._counts, self._sums, self._starts, self._columns, x, y, weights, *where)

    def level_for(self, nm_per_px: float) -> int:
        """Return the finest level whose pixels are not smaller than `nm_per_px`; the coarsest level where none is."""
        for number, level in enumerate(self.levels):
            if level.bin_nm >= nm_per_px * (1 - 1e-9):
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
        whole = self.levels[level]
        top, bottom = _span(window.top_nm - whole.top_nm, window.height_nm, whole.bin_nm, whole.rows)
        left, right = _span(window.left_nm - whole.left_nm, window.width_nm, whole.bin_nm, whole.columns)
        start, stop = self._starts[level], self._starts[level + 1]
        counts = self._counts[start:stop].reshape(whole.shape)[top:bottom, left:right].astype(np.float32)
        means: Picture | None = None
        if len(self._sums):
            sums = self._sums[start:stop].reshape(whole.shape)[top:bottom, left:right]
            means = np.full(counts.shape, np.nan, np.float32)
            np.divide(sums, counts, out=means, where=counts > 0)
        left_nm, top_nm = whole.left_nm + left * whole.bin_nm, whole.top_nm + top * whole.bin_nm
        return counts, means, Grid(bottom - top, right - left, whole.bin_nm, left_nm, top_nm)


def _span(offset_nm: float, length_nm: float, bin_nm: float, bins: int) -> tuple[int, int]:
    """Return the first bin that a stretch touches and the one after its last, inside 0 … `bins`, never empty."""
    first = min(max(math.floor(offset_nm / bin_nm), 0), bins - 1)
    end = min(max(math.ceil((offset_nm + length_nm) / bin_nm), first + 1), bins)
    return first, end


@exact
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
) -> None:
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
