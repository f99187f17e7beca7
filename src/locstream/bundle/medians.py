"""Medians and counts of any number of rows in fixed memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from locstream.errors import ResultsError

MAX_FRAMES = 2**28
"""Frame numbers from here on are not believed: a month at 100 frames/s."""


class Median:
    """A median in fixed memory, from counts of the leading 18 bits of float32 values: bins 0.2 % wide."""

    DROPPED_BITS = 14

    def __init__(self) -> None:
        self._counts = np.zeros(2**32 >> self.DROPPED_BITS, np.int64)
        self._lowest, self._highest = np.inf, -np.inf

    def add(self, values: npt.NDArray[np.floating]) -> None:
        """Count the finite ones."""
        finite = np.ascontiguousarray(values[np.isfinite(values)], np.float32)
        if finite.size:
            bits = finite.view(np.uint32)
            # Bits of floats sort like the floats once the negative ones are turned over.
            ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
            np.add.at(self._counts, ordered >> self.DROPPED_BITS, 1)
            self._lowest = min(self._lowest, float(finite.min()))
            self._highest = max(self._highest, float(finite.max()))

    @property
    def value(self) -> float | None:
        """The median to 4 digits, None of nothing."""
        upto = np.cumsum(self._counts)
        n = int(upto[-1])
        if n == 0:
            return None
        bins = np.searchsorted(upto, [(n - 1) // 2, n // 2], side="right")
        centres = self._centre(bins).clip(self._lowest, self._highest)
        return float(f"{centres.mean():.4g}")

    def _centre(self, bins: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        ordered = ((bins << self.DROPPED_BITS) + (1 << self.DROPPED_BITS - 1)).astype(np.uint32)
        bits = np.where(ordered >> 31, ordered & np.uint32(0x7FFF_FFFF), ~ordered)
        return bits.view(np.float32).astype(np.float64)


class PerFrame:
    """How many localizations each frame has, whatever the order of the rows."""

    def __init__(self) -> None:
        self._counts = np.zeros(0, np.int64)

    def add(self, frames: npt.NDArray[np.uint32]) -> None:
        """Count rows by their frame number."""
        if not frames.size:
            return
        first, last = int(frames.min()), int(frames.max())
        if last >= MAX_FRAMES:
            raise ResultsError(f"a localization says it is of frame {last:,}: the table is damaged")
        if last >= self._counts.size:
            self._counts = np.pad(self._counts, (0, max(last + 1, 2 * self._counts.size) - self._counts.size))
        self._counts[first : last + 1] += np.bincount(frames - np.uint32(first))

    def over(self, fitted: int) -> npt.NDArray[np.int64]:
        """Return the counts of all fitted frames; those without a row count 0."""
        with_rows = self._counts[self._counts > 0]
        return np.pad(with_rows, (0, max(0, fitted - with_rows.size)))
