"""The normal equations against numpy, whatever the room held before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locstream.fitting.normal_equations import covariance, eliminate, room_for_equations, sum_equations

MOST = 56
"""Eight molecules and three more with two widths each, and a background."""


def equations_with(fisher: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the equations in room that held what is no number."""
    size, room = len(score), room_for_equations(MOST)
    room[:] = np.nan
    room[:size, :size] = np.where(np.triu(np.ones((size, size))) > 0, fisher, np.nan)
    room[:size, size] = score
    return room


def some_fisher(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an information matrix whose unknowns have scales as different as px and photons, and a score."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(size, 3 * size)) * 10.0 ** rng.uniform(-2, 2, (size, 1))
    return slopes @ slopes.T, slopes @ rng.normal(size=3 * size)


@given(st.integers(1, MOST), st.integers(0, 2**32 - 1))
def test_step_and_covariances_are_those_of_numpy(size: int, seed: int) -> None:
    fisher, score = some_fisher(size, seed)
    equations = equations_with(fisher, score)
    assert eliminate(equations, size)
    scale = np.sqrt(np.diag(fisher))
    normalized = fisher / np.outer(scale, scale)
    step, expected = np.linalg.solve(normalized, score / scale), np.linalg.inv(normalized)
    assert -equations[size, :size] * scale == pytest.approx(step, rel=1e-6, abs=1e-6)
    found = [[covariance(equations, size, min(a, b), max(a, b)) for b in range(size)] for a in range(size)]
    assert np.array(found) * np.outer(scale, scale) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.integers(2, 20), st.integers(0, 2**32 - 1), st.data())
def test_what_is_not_positive_definite_is_refused(size: int, seed: int, data: st.DataObject) -> None:
    fisher, score = some_fisher(size, seed)
    which = data.draw(st.integers(0, size - 1))
    fisher[which, which] = data.draw(st.sampled_from([0.0, -1.0, np.nan]))
    assert not eliminate(equations_with(fisher, score), size)


@given(st.integers(1, 20), st.integers(1, 150), st.integers(0, 2**32 - 1))
def test_sums_over_the_pixels_are_those_of_numpy(size: int, pixels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    padded = -(-pixels // 16) * 16
    derivative = np.full((size + 4, padded + 16), np.nan, np.float32)
    derivative[: size + 1, :pixels] = rng.normal(size=(size + 1, pixels))
    derivative[: size + 1, pixels:padded] = 0
    weight = np.zeros(padded + 16, np.float32)
    weight[:pixels] = rng.uniform(0.1, 2, pixels)
    equations, weighted = room_for_equations(MOST), np.empty(padded + 16, np.float32)
    sum_equations(size, pixels, derivative, weight, weighted, equations)
    rows = derivative[: size + 1, :pixels].astype(float)
    expected = (rows * weight[:pixels]) @ rows.T
    upper = np.triu_indices(size, 0, size + 1)
    assert equations[:size, : size + 1][upper] == pytest.approx(expected[:size][upper], rel=1e-4, abs=1e-4)
