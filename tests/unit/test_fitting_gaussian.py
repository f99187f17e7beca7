"""Fits of single spots: what they end with, and that one bad spot does no harm to those beside it."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import integrated
from locstream.fitting import FitStatus, fit_spots
from locstream.fitting.gaussian import BACKGROUND, LANES, PHOTONS, SIGMA, FitModel, X, Y, gauss
from locstream.fitting.scoring import MIN_BACKGROUND


def spots(n: int, box: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return n noisy spots and their positions."""
    rng = np.random.default_rng(seed)
    xy = box // 2 + rng.uniform(-0.5, 0.5, (n, 2))
    mean = [10 + 2000 * np.outer(integrated(y, 1.3, 0, box), integrated(x, 1.3, 0, box)) for x, y in xy]
    return rng.poisson(mean).astype(np.float32), xy


def test_the_error_function_and_the_exponential() -> None:
    from scipy.special import erf

    for u in np.linspace(-5.9, 5.9, 201, dtype=np.float32):
        half_erf, density = gauss(u)
        assert half_erf == pytest.approx(0.5 * erf(float(u)), abs=1e-6)
        assert density == pytest.approx(np.exp(-(float(u) ** 2)), rel=2e-4, abs=1e-9)


def test_a_spot_without_noise_gives_back_what_it_was_made_of() -> None:
    mean = 12 + 3000 * np.outer(integrated(3.2, 1.1, 0, 7), integrated(2.7, 1.1, 0, 7))
    fit = fit_spots(mean[None].astype(np.float32), 1.3)
    np.testing.assert_allclose(fit.estimate[0], [2.7, 3.2, 3000, 1.1, 12], rtol=1e-3)
    assert fit.status[0] == FitStatus.CONVERGED
    assert fit.chi2[0] == pytest.approx(0, abs=1e-3)
    assert 1 < fit.iterations[0] < 10


@pytest.mark.parametrize("n", [1, LANES - 1, LANES, LANES + 1, 5 * LANES + 3])
def test_a_spot_is_fitted_alike_in_whatever_company(n: int) -> None:
    images, _ = spots(n)
    together = fit_spots(images, 1.3)
    for k in range(n):
        alone = fit_spots(images[k : k + 1], 1.3)
        for of_all, of_one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(of_all[k], of_one[0])


def test_no_spots_are_no_fits() -> None:
    assert all(len(values) == 0 for values in fit_spots(np.empty((0, 7, 7), np.float32), 1.3))


BAD = {
    "not a number": np.full((7, 7), np.nan),
    "one not a number": np.where(np.arange(49).reshape(7, 7) == 20, np.nan, 50.0),
    "infinite": np.where(np.arange(49).reshape(7, 7) == 20, np.inf, 50.0),
    "all zero": np.zeros((7, 7)),
    "flat": np.full((7, 7), 100.0),
    "saturated": np.full((7, 7), 30_000.0),
    "negative": np.full((7, 7), -50.0),
    "huge": np.full((7, 7), 3e38),
    "a slope": np.add.outer(np.arange(7.0), np.arange(7.0)) * 10,
    "a hole": 100 - 90 * np.outer(integrated(3, 1.3, 0, 7), integrated(3, 1.3, 0, 7)) * 12,
    "one pixel": np.where(np.arange(49).reshape(7, 7) == 24, 5000.0, 1.0),
    "checkerboard": np.indices((7, 7)).sum(0) % 2 * 1000.0,
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_spot_is_said_and_spoils_no_other(what: str) -> None:
    good, _ = spots(3 * LANES)
    expected = fit_spots(good, 1.3)
    mixed = np.insert(good, [0, 5, LANES, 2 * LANES + 1], BAD[what].astype(np.float32), axis=0)
    fits = fit_spots(mixed, 1.3)
    is_bad = np.ones(len(mixed), bool)
    is_bad[[k for k in range(len(mixed)) if any(np.array_equal(mixed[k], g) for g in good)]] = False
    np.testing.assert_array_equal(fits.estimate[~is_bad], expected.estimate)
    np.testing.assert_array_equal(fits.uncertainty[~is_bad], expected.uncertainty)
    assert is_bad.sum() == 4
    assert np.isin(fits.status, list(FitStatus)).all()
    trusted = fits.status[is_bad] == FitStatus.CONVERGED
    significant = fits.estimate[is_bad, PHOTONS] > 5 * fits.uncertainty[is_bad, PHOTONS]
    assert not (trusted & significant).any(), "none of these is a molecule"
    if not np.isfinite(BAD[what]).all():
        assert (fits.status[is_bad] == FitStatus.BAD_DATA).all()


def test_a_spot_that_runs_away_ends_at_a_bound() -> None:
    mean = 5 + 4000 * np.outer(integrated(3, 1.3, 0, 7), integrated(8.5, 1.3, 0, 7))
    assert fit_spots(mean[None].astype(np.float32), 1.3).status[0] == FitStatus.AT_BOUND


def test_a_wide_spot_ends_at_a_bound() -> None:
    mean = 5 + 9000 * np.outer(integrated(3, 5, 0, 7), integrated(3, 5, 0, 7))
    fit = fit_spots(mean[None].astype(np.float32), 1.3)
    assert fit.status[0] == FitStatus.AT_BOUND
    assert fit.estimate[0, SIGMA] == pytest.approx(3.5, rel=0.05)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.8])
def test_a_wrong_width_to_start_from_does_not_matter(sigma: float) -> None:
    images, _ = spots(100)
    right, wrong = fit_spots(images, 1.3), fit_spots(images, sigma)
    np.testing.assert_allclose(wrong.estimate[:, [X, Y, SIGMA]], right.estimate[:, [X, Y, SIGMA]], atol=4e-3)


def test_a_background_that_rests_at_its_limit_does_not_hold_up_the_rest() -> None:
    rng = np.random.default_rng(2)
    xy = 3 + rng.uniform(-0.5, 0.5, (4000, 2))
    light = np.array([1000 * np.outer(integrated(y, 1.3, 0, 7), integrated(x, 1.3, 0, 7)) for x, y in xy])
    fits = fit_spots((rng.poisson(light) + rng.normal(0, 1, light.shape)).astype(np.float32), 1.3, 1.0)
    at_limit = fits.estimate[:, BACKGROUND] <= MIN_BACKGROUND
    assert 0.3 < at_limit.mean() < 0.7
    assert (fits.status == FitStatus.CONVERGED).all()
    # some steps are needed to get there
    assert fits.iterations[at_limit].mean() < fits.iterations[~at_limit].mean() + 3


def test_read_noise_that_is_known_makes_positions_better() -> None:
    rng = np.random.default_rng(7)
    images, xy = spots(3000, seed=7)
    variance = np.where(rng.random(images.shape) < 0.1, 900.0, 1.0)
    noisy = (images + rng.normal(0, 1, images.shape) * np.sqrt(variance)).astype(np.float32)
    known, unknown = fit_spots(noisy, 1.3, variance), fit_spots(noisy, 1.3, variance.mean())
    error = [np.sqrt(np.mean((f.estimate[:, :2] - xy) ** 2)) for f in (known, unknown)]
    assert error[0] < 0.75 * error[1]


@pytest.mark.parametrize("model", ["sigma", "sigma_xy", "fixed"])
def test_a_variance_that_is_the_same_everywhere_may_come_for_each_pixel(model: FitModel) -> None:
    seen, _ = spots(40)
    once, for_each = fit_spots(seen, 1.3, 2.5, model), fit_spots(seen, 1.3, np.full(seen.shape, 2.5), model)
    for of_one, of_other in zip(once, for_each, strict=True):
        np.testing.assert_array_equal(of_one, of_other)


@pytest.mark.parametrize("shape", [(4, 6, 6), (4, 7, 9), (4, 3, 3), (4, 17, 17)], ids=str)
def test_a_box_that_does_not_do_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="odd squares from 5 × 5 to 15 × 15"):
        fit_spots(np.ones(shape, np.float32), 1.3)
