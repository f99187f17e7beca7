"""The pixels that stand out of a row and of those beside are those that a plain loop finds."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locstream.fitting.instructions import SIXTEEN, lowest_bit, maxima

HEIGHT, WIDTH = 4, 3 * SIXTEEN


@numba.njit
def of_sixteen(
    smooth: np.ndarray, rows: tuple[int, int, int], column: int, limit: np.ndarray, slope: np.ndarray, row: int,
    first: int, part: np.float32,
) -> np.uint64:  # fmt: skip
    return maxima(smooth, rows, column, limit, slope, row, first, part)


@numba.njit
def lowest(bits: np.uint64) -> np.uint64:
    return lowest_bit(bits)


@settings(deadline=None)  # the first example waits for the compiler
@given(
    st.integers(0, 2**32 - 1), st.permutations(range(HEIGHT)), st.integers(1, WIDTH - SIXTEEN - 1),
    st.integers(0, WIDTH - SIXTEEN), st.integers(0, 1), st.sampled_from([0.0, 0.25, 1.0]),
)  # fmt: skip
def test_as_a_plain_loop(seed: int, rows: list[int], column: int, first: int, row: int, part: float) -> None:
    rng = np.random.default_rng(seed)
    smooth = rng.integers(0, 5, (HEIGHT, WIDTH)).astype(np.float32)  # many are equal
    smooth[rng.random(smooth.shape) < 0.1] = -np.inf
    limit, slope = rng.integers(-1, 4, (2, 2, WIDTH)).astype(np.float32)
    limit[:, -3:] = np.inf
    above, here, below = rows[:3]
    bits = int(of_sixteen(smooth, (above, here, below), column, limit, slope, row, first, np.float32(part)))
    for k in range(SIXTEEN):
        value, (i, x) = smooth[here, column + k], (column + k, first + k)
        stands_out = value > limit[row, x] + np.float32(part) * slope[row, x]
        first_of_equals = value > smooth[here, i - 1] and value > smooth[above, i]
        highest = first_of_equals and value >= smooth[here, i + 1] and value >= smooth[below, i]
        assert bool(bits >> k & 1) == bool(stands_out and highest), k
    assert bits < 1 << SIXTEEN


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 63])
@pytest.mark.parametrize("above", [0, 1 << 63])
def test_the_lowest_bit_that_is_set(bit: int, above: int) -> None:
    assert lowest(np.uint64(1 << bit | above)) == bit
