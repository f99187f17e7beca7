"""Where the fits of isolated spots start: near enough, and a number whatever the pixels hold."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import integrated
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, X, Y, box_columns
from locstream.fitting.scoring import MIN_BACKGROUND, MIN_PHOTONS
from locstream.fitting.starts import prepare


def started(spots: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts with what is known, and the start of each fit."""
    n, box, _ = spots.shape
    counts, start = np.empty((n, box * box), np.float32), np.empty((n, 5), np.float32)
    prepare(spots.reshape(n, -1).astype(np.float32), known.astype(np.float32), 1.3, box_columns(box)[0], counts, start)
    return counts, start


@pytest.mark.parametrize("box", [7, 9, 15])
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.4, -0.3), (-0.5, 0.5)])
def test_a_spot_is_guessed_within_a_step(box: int, x: float, y: float) -> None:
    middle = box // 2
    mean = 10 + 1000 * np.outer(integrated(middle + y, 0.6, 0, box), integrated(middle + x, 0.6, 0, box))
    _, start = started(mean[None], np.zeros((1, box * box)))
    np.testing.assert_allclose(start[0, [X, Y]], [middle + x, middle + y], atol=0.15)
    assert start[0, PHOTONS] == pytest.approx(1000, rel=0.1)
    assert start[0, BACKGROUND] == pytest.approx(10, abs=3)
    assert start[0, SIGMA] == np.float32(1.3)


def test_what_is_known_is_added_to_the_counts_and_not_taken_for_light() -> None:
    spots = np.random.default_rng(0).poisson(20, (6, 7, 7)).astype(float)
    of_each = np.random.default_rng(1).uniform(1, 50, (6, 49))
    alone, start = started(spots, np.zeros((1, 49)))
    with_each, start_with_each = started(spots, of_each)
    with_one, start_with_one = started(spots, of_each[:1])
    np.testing.assert_array_equal(alone, spots.reshape(6, 49))
    np.testing.assert_allclose(with_each, spots.reshape(6, 49) + of_each, rtol=1e-6)
    np.testing.assert_allclose(with_one, spots.reshape(6, 49) + of_each[0], rtol=1e-6)
    np.testing.assert_array_equal(start, start_with_each)
    np.testing.assert_array_equal(start, start_with_one)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("pixel", [0, 10, 24, 48])
def test_any_start_is_a_number(value: float, pixel: int) -> None:
    spots = np.full((3, 49), 20.0, np.float32)
    spots[1, pixel] = value
    _, start = started(spots.reshape(3, 7, 7), np.zeros((1, 49)))
    assert np.isfinite(start).all()
    assert (start[:, PHOTONS] >= MIN_PHOTONS).all()
    assert (start[:, BACKGROUND] >= MIN_BACKGROUND).all()
    np.testing.assert_array_equal(start[0], start[2])
