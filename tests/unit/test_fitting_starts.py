"""Where the fits of isolated spots start: near enough, and a number whatever the pixels hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting_frames import integrated
from fitting_reference import derivatives
from locstream.compiled import Floats, kernel
from locstream.fitting import FitStatus, fit_spots
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, FitModel, X, Y, box_columns
from locstream.fitting.lanes import Columns, Unknowns
from locstream.fitting.scoring import MIN_BACKGROUND, MIN_PHOTONS
from locstream.fitting.starts import (
    FARTHEST,
    NARROWEST,
    TYPICAL_BACKGROUND,
    WIDEST,
    StartWeights,
    start_weights,
    write_start,
    write_starts,
)

FOCUS_PX = 1.3


@kernel
def started_with(
    light: Floats, weights: StartWeights, fewest: float, compiled_for: tuple[Columns, Unknowns], start: Floats
) -> None:
    write_start(light, weights, FOCUS_PX, fewest, compiled_for, start)


def spot(x: float, y: float, photons: float, sigma: float, background: float, box: int) -> np.ndarray:
    """Return the mean of each pixel, `x` and `y` from the middle of the box."""
    middle = box // 2
    image = np.outer(integrated(middle + y, sigma, 0, box), integrated(middle + x, sigma, 0, box))
    return photons * image + background


def noise(background: float) -> float:
    """Return twice the photons that noise alone seems to have: the variance of their sum is 4 π σ² b, if seen so."""
    return 2 * float(np.sqrt(4 * np.pi * FOCUS_PX**2 * background))


def started(spots: np.ndarray, model: FitModel = "sigma") -> np.ndarray:
    """Return where the fit of each spot starts."""
    n, box, _ = spots.shape
    compiled_for, start = box_columns(box, model), np.full((n, 5), np.nan, np.float32)
    weights = start_weights(box, FOCUS_PX, compiled_for[1])
    write_starts(spots.reshape(n, -1).astype(np.float32), weights, FOCUS_PX, compiled_for, start)
    return start


@pytest.mark.parametrize("box", [5, 7, 9, 15])
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.4, -0.3), (-0.5, 0.5)])
def test_a_spot_in_focus_is_all_but_found(box: int, x: float, y: float) -> None:
    start = started(spot(x, y, 1000, FOCUS_PX, 10, box)[None])[0]
    np.testing.assert_allclose(start[[X, Y]], [box // 2 + x, box // 2 + y], atol=0.03)
    assert start[PHOTONS] == pytest.approx(1000, rel=0.02)
    assert start[SIGMA] == pytest.approx(FOCUS_PX, abs=0.01)
    assert start[BACKGROUND] == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("box", [7, 9, 15])
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.4, -0.3), (-0.5, 0.5)])
@pytest.mark.parametrize("sigma", [1.15, 1.5])
def test_a_spot_of_another_width_is_guessed_within_a_step(box: int, x: float, y: float, sigma: float) -> None:
    start = started(spot(x, y, 1000, sigma, 10, box)[None])[0]
    np.testing.assert_allclose(start[[X, Y]], [box // 2 + x, box // 2 + y], atol=0.12)
    assert start[PHOTONS] == pytest.approx(1000, rel=0.1)
    assert start[SIGMA] == pytest.approx(sigma, abs=0.08)
    assert start[BACKGROUND] == pytest.approx(10, abs=1.5)


@settings(deadline=None)  # the first example of a box waits for the compiler
@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 7, 11]))
def test_it_is_the_step_of_least_squares_from_the_middle_of_the_box(seed: int, box: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, sigma = *rng.uniform(-0.6, 0.6, 2), rng.uniform(1.1, 1.6)
    seen = rng.poisson(spot(x, y, rng.uniform(300, 3000), sigma, rng.uniform(0, 60), box))
    in_focus = np.array([0, 0, 1, FOCUS_PX, 0])  # one photon
    slope = derivatives(lambda theta: spot(*theta, box), in_focus)
    weight = np.sqrt(1 / (TYPICAL_BACKGROUND + spot(*in_focus, box).ravel()))
    solved, *_ = np.linalg.lstsq((slope * weight).T, seen.ravel() * weight)
    photons = max(solved[PHOTONS], noise(max(solved[BACKGROUND], MIN_BACKGROUND)))
    at = np.clip(solved[[X, Y]] / photons, -(box // FARTHEST), box // FARTHEST)
    # What is beside the middle looks wider: ∂²/∂x² is 1/σ ∂/∂σ, and the width of both axes takes half of each.
    width = FOCUS_PX + solved[SIGMA] / photons - (at @ at) / (4 * FOCUS_PX)
    start = started(seen[None])[0]
    np.testing.assert_allclose(start[[X, Y]], box // 2 + at, atol=2e-4)
    assert start[PHOTONS] == pytest.approx(photons, rel=1e-4, abs=0.05)
    assert start[SIGMA] == pytest.approx(np.clip(width, NARROWEST * FOCUS_PX, WIDEST * FOCUS_PX), abs=1e-3)
    assert start[BACKGROUND] == pytest.approx(max(solved[BACKGROUND], MIN_BACKGROUND), abs=0.01)


def test_a_width_that_is_known_is_not_guessed() -> None:
    start = started(spot(0.3, -0.2, 1000, FOCUS_PX, 10, 7)[None], "fixed")[0]
    assert start[SIGMA] == np.float32(FOCUS_PX)
    np.testing.assert_allclose(start[[X, Y]], [3.3, 2.8], atol=0.05)
    assert start[PHOTONS] == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize(("box", "farthest", "off"), [(5, 1, 2.0), (7, 1, 3.0), (9, 2, 4.0), (15, 3, 6.0)])
def test_a_spot_far_from_the_middle_starts_within_reach_of_it(box: int, farthest: int, off: float) -> None:
    seen = np.stack([spot(off, 0, 2000, FOCUS_PX, 1, box), spot(0, -off, 2000, FOCUS_PX, 1, box)])
    start = started(seen)
    np.testing.assert_array_equal(start[:, [X, Y]].diagonal() - box // 2, [farthest, -farthest])
    assert (start[:, SIGMA] >= NARROWEST * FOCUS_PX).all()
    assert (start[:, SIGMA] <= WIDEST * FOCUS_PX * (1 + 1e-6)).all()


def test_a_bead_that_drifts_in_a_wide_box_is_followed() -> None:
    drift = np.linspace(-4, 4, 33)
    seen = np.stack([spot(d, -d, 5000, 2.5, 100, 15) for d in drift])
    fits = fit_spots(seen.astype(np.float32), 2.0, model="sigma_xy")
    assert (fits.status == FitStatus.CONVERGED).all()
    np.testing.assert_allclose(fits.estimate[:, X] - 7, drift, atol=0.01)
    np.testing.assert_allclose(fits.estimate[:, Y] - 7, -drift, atol=0.01)


@pytest.mark.parametrize("background", [0.5, 10.0, 200.0])
def test_a_spot_without_light_starts_in_the_middle_with_the_photons_of_noise(background: float) -> None:
    start = started(np.full((1, 7, 7), background))[0]
    np.testing.assert_allclose(start[[X, Y]], 3, atol=1e-3)
    assert start[PHOTONS] == pytest.approx(noise(background), rel=1e-3)
    assert start[BACKGROUND] == pytest.approx(background, rel=1e-3)


def test_a_fit_starts_with_no_fewer_photons_than_it_is_told() -> None:
    light = spot(0.2, -0.1, 500, FOCUS_PX, 10, 7).reshape(-1).astype(np.float32)
    compiled_for = box_columns(7)
    weights, start = start_weights(7, FOCUS_PX, compiled_for[1]), np.zeros((2, 5), np.float32)
    for fewest, of_one in zip((100.0, 2_000.0), start, strict=True):
        started_with(light, weights, fewest, compiled_for, of_one)
    assert start[0, PHOTONS] == pytest.approx(500, rel=0.02)
    assert start[1, PHOTONS] == 2_000
    np.testing.assert_allclose(start[1, [X, Y]] - 3, (start[0, [X, Y]] - 3) / 4, atol=0.01)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("pixel", [0, 10, 24, 48])
@pytest.mark.parametrize("model", ["sigma", "fixed"])
def test_any_start_is_a_number(value: float, pixel: int, model: FitModel) -> None:
    spots = np.full((3, 49), 20.0, np.float32)
    spots[1, pixel] = value
    start = started(spots.reshape(3, 7, 7), model)
    assert np.isfinite(start).all()
    assert (start[:, PHOTONS] >= MIN_PHOTONS).all()
    assert (start[:, BACKGROUND] >= MIN_BACKGROUND).all()
    assert (start[:, SIGMA] > 0).all()
    np.testing.assert_array_equal(start[0], start[2])
