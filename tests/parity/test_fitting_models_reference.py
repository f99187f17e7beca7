"""The fits with a width of each axis, and with a known width, against a plain fit in double precision.

Tolerances as for one width: 10 % of a parameter's own uncertainty plus 0.002 px or 0.2 %, a bound within 2 %.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fitting_frames import integrated
from fitting_reference import Fit, Model, derivatives, maximize
from locstream.fitting import FitStatus, fit_spots
from locstream.fitting.gaussian import (
    BACKGROUND,
    PHOTONS,
    SIGMA,
    SIGMA_Y,
    TWO_WIDTHS,
    X,
    Y,
    box_columns,
    fit_boxes,
    room_for_fits,
)

BOX = 11


def elliptic(box: int) -> Model:
    """Return the mean of a box after x, y, photons, sigma x, background, sigma y: the order of the kernel."""

    def model(theta: np.ndarray) -> np.ndarray:
        x, y, photons, sigma_x, background, sigma_y = theta
        return background + photons * np.outer(integrated(y, sigma_y, 0, box), integrated(x, sigma_x, 0, box))

    return model


def known_width(box: int, sigma: float) -> Model:
    """Return the mean of a box after x, y, photons, background."""

    def model(theta: np.ndarray) -> np.ndarray:
        x, y, photons, background = theta
        return background + photons * np.outer(integrated(y, sigma, 0, box), integrated(x, sigma, 0, box))

    return model


def agree(estimate: np.ndarray, uncertainty: np.ndarray, expected: Fit, slack: list[float]) -> None:
    photons = expected.theta[PHOTONS]
    np.testing.assert_array_less(np.abs(estimate - expected.theta), 0.1 * expected.uncertainty + np.array(slack))
    rtol = 0.02 + 0.1 * expected.uncertainty[PHOTONS] / photons
    np.testing.assert_allclose(uncertainty, expected.uncertainty, rtol=rtol, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-0.6, 0.6),
    y=st.floats(-0.6, 0.6),
    photons=st.floats(500, 20_000),
    sigma_x=st.floats(0.9, 2.4),
    sigma_y=st.floats(0.9, 2.4),
    background=st.floats(5, 60),
    variance=st.floats(0, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_width_of_each_axis(
    x: float, y: float, photons: float, sigma_x: float, sigma_y: float, background: float, variance: float, seed: int
) -> None:
    assume(photons > 60 * np.sqrt(sigma_x * sigma_y) * np.sqrt(background + variance))
    rng = np.random.default_rng(seed)
    truth = np.array([BOX // 2 + x, BOX // 2 + y, photons, sigma_x, background, sigma_y])
    mean = elliptic(BOX)(truth)
    counts = rng.poisson(mean) + rng.normal(0, np.sqrt(variance), mean.shape)
    fit = fit_spots(counts[None].astype(np.float32), 1.4, variance, "sigma_xy")
    assert fit.status[0] == FitStatus.CONVERGED
    expected = maximize(elliptic(BOX), truth, counts, np.full_like(counts, variance))
    assume(expected.theta[BACKGROUND] > 2 * expected.uncertainty[BACKGROUND])
    agree(fit.estimate[0], fit.uncertainty[0], expected, [2e-3, 2e-3, 2e-3 * photons, 2e-3, 0.01, 2e-3])
    assert fit.chi2[0] == pytest.approx(expected.chi2 / (BOX**2 - 6), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-0.6, 0.6),
    y=st.floats(-0.6, 0.6),
    photons=st.floats(300, 20_000),
    sigma=st.floats(0.8, 1.8),
    background=st.floats(2, 60),
    variance=st.floats(0, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_known_width(
    x: float, y: float, photons: float, sigma: float, background: float, variance: float, seed: int
) -> None:
    assume(photons > 40 * sigma * np.sqrt(background + variance))
    rng = np.random.default_rng(seed)
    truth = np.array([3 + x, 3 + y, photons, background])
    mean = known_width(7, sigma)(truth)
    counts = rng.poisson(mean) + rng.normal(0, np.sqrt(variance), mean.shape)
    fit = fit_spots(counts[None].astype(np.float32), sigma, variance, "fixed")
    assert fit.status[0] == FitStatus.CONVERGED
    expected = maximize(known_width(7, sigma), truth, counts, np.full_like(counts, variance))
    assume(expected.theta[3] > 2 * expected.uncertainty[3])
    columns = [X, Y, PHOTONS, BACKGROUND]
    agree(fit.estimate[0, columns], fit.uncertainty[0, columns], expected, [2e-3, 2e-3, 2e-3 * photons, 0.01])
    assert fit.estimate[0, SIGMA] == np.float32(sigma)
    assert fit.uncertainty[0, SIGMA] == 0
    assert fit.chi2[0] == pytest.approx(expected.chi2 / (49 - 4), rel=0.01)


@pytest.mark.parametrize("model", ["sigma_xy", "fixed"])
def test_every_pixel_with_a_variance_of_its_own(model: str) -> None:
    rng = np.random.default_rng(5)
    n = 30
    truth = np.column_stack([4 + rng.uniform(-0.5, 0.5, (n, 2)), rng.uniform(3000, 9000, n), np.full(n, 1.2)])
    truth = np.column_stack([truth, rng.uniform(5, 20, n), np.full(n, 1.2 if model == "fixed" else 1.5)])
    mean = np.array([elliptic(9)(theta) for theta in truth])
    variance = rng.uniform(0.5, 4, mean.shape)
    variance[:, 2, 3] = 400  # a hot pixel
    counts = rng.poisson(mean) + rng.normal(0, 1, mean.shape) * np.sqrt(variance)
    fits = fit_spots(counts.astype(np.float32), 1.2, variance, model)
    assert (fits.status == FitStatus.CONVERGED).all()
    for k in range(n):
        if model == "fixed":
            columns = [X, Y, PHOTONS, BACKGROUND]
            expected = maximize(known_width(9, 1.2), truth[k, columns], counts[k], variance[k])
            slack = [2e-3, 2e-3, 2e-3 * truth[k, PHOTONS], 0.01]
        else:
            columns = list(range(TWO_WIDTHS))
            expected = maximize(elliptic(9), truth[k], counts[k], variance[k])
            slack = [2e-3, 2e-3, 2e-3 * truth[k, PHOTONS], 2e-3, 0.01, 2e-3]
        agree(fits.estimate[k, columns], fits.uncertainty[k, columns], expected, slack)


@pytest.mark.parametrize(("sigma_x", "sigma_y"), [(1.3, 1.3), (1.1, 2.2), (2.2, 1.1)])
def test_the_correlation_of_the_widths(sigma_x: float, sigma_y: float) -> None:
    theta = np.array([5.2, 4.9, 3000, sigma_x, 20, sigma_y])
    mean = elliptic(BOX)(theta)
    spots = mean[None].astype(np.float32)
    fits = room_for_fits(1, "sigma_xy")
    flat = spots.reshape(1, -1)
    start = theta[None, :5].astype(np.float32)
    fit_boxes(flat, np.zeros_like(flat), start, sigma_x, 0.0, box_columns(BOX, "sigma_xy"), fits)
    slope = derivatives(elliptic(BOX), theta)
    covariance = np.linalg.inv((slope / mean.ravel()) @ slope.T)
    expected = covariance[SIGMA, SIGMA_Y] / np.sqrt(covariance[SIGMA, SIGMA] * covariance[SIGMA_Y, SIGMA_Y])
    assert fits.uncertainty[0, TWO_WIDTHS] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("model", ["sigma_xy", "fixed"])
def test_the_bound_is_what_the_errors_turn_out_to_be(model: str) -> None:
    rng = np.random.default_rng(3)
    n = 3000
    sigma_y = 1.3 if model == "fixed" else 1.7
    truth = np.column_stack([4 + rng.uniform(-0.5, 0.5, (n, 2)), np.tile([2000, 1.3, 10, sigma_y], (n, 1))])
    mean = np.array([elliptic(9)(theta) for theta in truth])
    counts = rng.poisson(mean) + rng.normal(0, 1.6, mean.shape)
    fits = fit_spots(counts.astype(np.float32), 1.3, 1.6**2, model)
    columns = [X, Y, PHOTONS, BACKGROUND] if model == "fixed" else list(range(TWO_WIDTHS))
    pull = (fits.estimate[:, columns] - truth[:, columns]) / fits.uncertainty[:, columns]
    np.testing.assert_allclose(pull.std(axis=0), 1, atol=0.07)
    assert np.abs(pull[:, :2].mean(axis=0)).max() < 0.07
    assert fits.chi2.mean() == pytest.approx(1, abs=0.02)
