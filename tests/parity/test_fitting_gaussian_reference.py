"""The vectorized single precision fit finds what a plain double precision fit finds, and says as much of its errors.

Tolerances: a parameter within 10 % of its own uncertainty plus 0.002 px (positions, width) or 0.2 % (photons); a bound
within 2 %, and a tenth of the relative error of the photons, on which it depends. Both follow from where the kernel
stops: where 1 % of the uncertainty or 0.0002 px seems left, and the last step was at most four times that.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fitting_frames import integrated
from fitting_reference import Fit, gaussians, maximize
from locstream.fitting import FitStatus, fit_spots
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, X, Y

REFERENCE_ORDER = [X, Y, PHOTONS, SIGMA, BACKGROUND]
"""The kernel keeps its parameters in the order of the reference."""


def spot(x: float, y: float, photons: float, sigma: float, background: float, box: int) -> np.ndarray:
    return background + photons * np.outer(integrated(y, sigma, 0, box), integrated(x, sigma, 0, box))


def reference(counts: np.ndarray, variance: np.ndarray, theta: list[float]) -> Fit:
    box = counts.shape[0]
    return maximize(gaussians(1, 0, 0, box, box), np.array(theta), counts, variance)


def agree(estimate: np.ndarray, uncertainty: np.ndarray, expected: Fit) -> None:
    slack = 0.1 * expected.uncertainty + np.array([2e-3, 2e-3, 2e-3 * expected.theta[PHOTONS], 2e-3, 0.01])
    np.testing.assert_array_less(np.abs(estimate - expected.theta), slack)
    rtol = 0.02 + 0.1 * expected.uncertainty[PHOTONS] / expected.theta[PHOTONS]
    np.testing.assert_allclose(uncertainty, expected.uncertainty, rtol=rtol, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-0.6, 0.6),
    y=st.floats(-0.6, 0.6),
    photons=st.floats(300, 20_000),
    sigma=st.floats(0.8, 1.6),
    background=st.floats(5, 60),
    variance=st.floats(0, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_spot_with_noise(
    x: float, y: float, photons: float, sigma: float, background: float, variance: float, seed: int
) -> None:
    assume(photons > 40 * sigma * np.sqrt(background + variance))  # what no noise makes unrecognizable
    rng = np.random.default_rng(seed)
    mean = spot(3 + x, 3 + y, photons, sigma, background, 7)
    counts = rng.poisson(mean) + rng.normal(0, np.sqrt(variance), mean.shape)
    fit = fit_spots(counts[None].astype(np.float32), 1.2, variance)
    assert fit.status[0] == FitStatus.CONVERGED
    expected = reference(counts, np.full_like(counts, variance), [3 + x, 3 + y, photons, sigma, background])
    # a background that is all but none makes its own bound a matter of its last digits
    assume(expected.theta[BACKGROUND] > 2 * expected.uncertainty[BACKGROUND])
    agree(fit.estimate[0], fit.uncertainty[0], expected)
    assert fit.chi2[0] == pytest.approx(expected.chi2 / (49 - 5), rel=0.01)


@pytest.mark.parametrize("box", [5, 7, 9, 15])
def test_every_box_with_a_variance_of_its_own_in_each_pixel(box: int) -> None:
    rng = np.random.default_rng(box)
    n, middle = 40, box // 2
    truth = np.column_stack(
        [
            middle + rng.uniform(-0.5, 0.5, (n, 2)),
            rng.uniform(1500, 5000, n),
            rng.uniform(0.9, 1.1, n),
            rng.uniform(5, 20, n),
        ]
    )
    mean = np.array([spot(x, y, photons, sigma, background, box) for x, y, photons, sigma, background in truth])
    variance = rng.uniform(0.5, 4, mean.shape)
    variance[:, 0, 1] = 400  # a hot pixel
    counts = rng.poisson(mean) + rng.normal(0, 1, mean.shape) * np.sqrt(variance)
    fits = fit_spots(counts.astype(np.float32), 1.0, variance)
    assert (fits.status == FitStatus.CONVERGED).all()
    for k in range(n):
        agree(fits.estimate[k], fits.uncertainty[k], reference(counts[k], variance[k], list(truth[k])))


def test_little_is_left_of_the_way_where_a_fit_ends() -> None:
    rng = np.random.default_rng(5)
    xy = 3 + rng.uniform(-0.5, 0.5, (150, 2))
    mean = np.array([spot(x, y, 500, 1.3, 20, 7) for x, y in xy])
    counts = rng.poisson(mean) + rng.normal(0, 1.6, mean.shape)
    fits = fit_spots(counts.astype(np.float32), 1.3, 1.6**2)
    variance = np.full(mean.shape[1:], 1.6**2)
    exact = [reference(of_one, variance, [*at, 500, 1.3, 20]) for of_one, at in zip(counts, xy, strict=True)]
    left = [np.abs(fits.estimate[k] - one.theta) / one.uncertainty for k, one in enumerate(exact)]
    assert np.quantile(np.max(left, axis=1), 0.95) < 0.01


def test_the_bound_is_what_the_errors_turn_out_to_be() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    xy = 3 + rng.uniform(-0.5, 0.5, (n, 2))
    mean = np.array([spot(x, y, 1000, 1.3, 10, 7) for x, y in xy])
    counts = rng.poisson(mean) + rng.normal(0, 1.6, mean.shape)
    fits = fit_spots(counts.astype(np.float32), 1.3, 1.6**2)
    truth = np.column_stack([xy, np.full(n, 1000), np.full(n, 1.3), np.full(n, 10)])
    pull = (fits.estimate - truth) / fits.uncertainty
    np.testing.assert_allclose(pull.std(axis=0), 1, atol=0.06)
    assert np.abs(pull[:, :2].mean(axis=0)).max() < 0.06
    assert fits.chi2.mean() == pytest.approx(1, abs=0.02)
