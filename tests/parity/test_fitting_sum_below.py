"""The sum of what does not exceed a ceiling is that of a plain loop, whatever the numbers and wherever the columns."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locstream.fitting.instructions import SIXTEEN, sum_below

HEIGHT, WIDTH = 5, 3 * SIXTEEN


@numba.njit
def of_four(
    values: np.ndarray, rows: tuple[int, ...], first: int, end: int, ceiling: np.float32
) -> tuple[float, float]:
    return sum_below(values, rows, first, end, ceiling)


@numba.njit
def of_eight(
    values: np.ndarray, rows: tuple[int, ...], first: int, end: int, ceiling: np.float32
) -> tuple[float, float]:
    return sum_below(values, rows, first, end, ceiling)


@given(
    st.integers(0, 2**32 - 1), st.sampled_from([4, 8]), st.integers(0, WIDTH - SIXTEEN), st.integers(0, 40),
    st.sampled_from([-np.inf, -1.0, 0.0, 0.7, 1e30, np.inf]),
)  # fmt: skip
def test_as_a_plain_loop(seed: int, taken: int, first: int, columns: int, ceiling: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.inf
    values[rng.random(values.shape) < 0.1] = np.nan
    rows = tuple(int(row) for row in rng.integers(0, HEIGHT, taken))
    total, count = (of_four if taken == 4 else of_eight)(values, rows, first, first + columns, np.float32(ceiling))
    looked_at = np.concatenate([values[row, first : first + min(columns, SIXTEEN)] for row in rows])
    below = looked_at[looked_at <= np.float32(ceiling)].astype(float)
    assert count == below.size
    assert total == pytest.approx(below.sum(), abs=1e-5 * max(taken * columns, 1))
