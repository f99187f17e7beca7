"""Is the position as certain as is claimed, down to the dimmest molecules? Against simulated ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from fitting_reference import derivatives, gaussians
from locstream.fitting import FitStatus, fit_spots
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, WIDTH_PRIOR, FitModel, SpotFits, X, Y
from locstream.fitting.scoring import WIDTHS_VARY
from locstream.fitting.table import SECOND_ORDER, beyond_the_bound, write_rows
from locstream.localizations import empty

BOX, SIGMA_PX, READ_NOISE_E = 7, 1.3, 1.0
SPOTS = 4000


def spots(photons: float, background: float, widths_vary: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of isolated molecules, and where they are, px from the centre of the box's first pixel."""
    rng = np.random.default_rng(5)
    places = BOX // 2 + rng.uniform(-0.5, 0.5, (SPOTS, 2))
    sigma = SIGMA_PX * (1 + widths_vary * rng.normal(size=(SPOTS, 1, 1)))
    edges = np.arange(BOX + 1) - 0.5
    parts = 0.5 * np.diff(erf((edges - places[..., None]) / (np.sqrt(2) * sigma)), axis=-1)
    mean = photons * parts[:, 1, :, None] * parts[:, 0, None, :] + background
    return (rng.poisson(mean) + rng.normal(0, READ_NOISE_E, mean.shape)).astype(np.float32), places


@pytest.mark.parametrize(("photons", "background"), [(100, 5), (200, 50), (500, 200), (2000, 10)])
@pytest.mark.parametrize("model", ["sigma", "fixed", "sigma_xy"])
def test_errors_scatter_as_the_rows_claim(model: FitModel, photons: float, background: float) -> None:
    counts, places = spots(photons, background)
    prior = WIDTH_PRIOR if model == "sigma" else 0.0
    fits = fit_spots(counts, SIGMA_PX, READ_NOISE_E**2, model=model, width_prior=prior)
    rows = empty(SPOTS)
    # one spot a call: a fit that is no molecule leaves its own row empty, and no other moves up
    is_row = [write_rows(_one(fits, k), 1, BOX, BOX, k, 1.0, 1.0, rows[k : k + 1]) == 1 for k in range(SPOTS)]
    rows, places = rows[is_row], places[is_row]
    errors = np.column_stack([rows["x_nm"], rows["y_nm"]]) - places
    claimed = np.column_stack([rows["x_uncertainty_nm"], rows["y_uncertainty_nm"]])
    near = np.hypot(*errors.T) < 2
    assert near.sum() > 0.75 * SPOTS
    assert np.std((errors / claimed)[near]) == pytest.approx(1.025, abs=0.075)


@pytest.mark.parametrize(("photons", "background"), [(100, 2), (100, 10), (200, 20), (500, 100), (2000, 10)])
@pytest.mark.parametrize("widths_vary", [0.0, 0.1])
def test_photons_and_background_scatter_as_claimed(photons: float, background: float, widths_vary: float) -> None:
    """Also where the molecules are wider and narrower by a tenth than the model believes."""
    counts, places = spots(photons, background, widths_vary)
    fits = fit_spots(counts, SIGMA_PX, READ_NOISE_E**2, width_prior=WIDTH_PRIOR)
    near = np.hypot(*(fits.estimate[:, [X, Y]] - places).T) < 2
    found = (fits.status == FitStatus.CONVERGED) & near
    for column, true in ((PHOTONS, photons), (BACKGROUND, background)):
        errors = (fits.estimate[found, column] - true) / fits.uncertainty[found, column]
        assert np.std(errors) == pytest.approx(1.035, abs=0.085)


@pytest.mark.parametrize("prior", [0.05, 0.1, WIDTH_PRIOR, 0.5])
def test_what_is_claimed_under_a_prior_is_scatter_and_what_a_width_that_varies_adds(prior: float) -> None:
    counts, _ = spots(300, 20)
    fits = fit_spots(counts[:100], SIGMA_PX, READ_NOISE_E**2, width_prior=prior)
    model, precision = gaussians(1, 0, 0, BOX, BOX), 1 / (prior * SIGMA_PX) ** 2
    order = [X, Y, PHOTONS, SIGMA, BACKGROUND]
    for estimate, uncertainty in zip(fits.estimate[:, order], fits.uncertainty[:, order], strict=True):
        slope, mean = derivatives(model, estimate.astype(float)), model(estimate.astype(float)).ravel()
        of_pixels = (slope / (mean + READ_NOISE_E**2)) @ slope.T
        covariance = np.linalg.inv(of_pixels + np.diag([0, 0, 0, precision, 0]))
        drawn = precision * covariance[3] * min(WIDTHS_VARY, prior) * SIGMA_PX
        claimed = np.sqrt(np.diag(covariance @ of_pixels @ covariance) + drawn**2)
        assert uncertainty[[2, 4]] == pytest.approx(claimed[[2, 4]], rel=0.02)
        assert uncertainty[[0, 1, 3]] == pytest.approx(np.sqrt(np.diag(covariance))[[0, 1, 3]], rel=0.02)


def _one(fits: SpotFits, k: int) -> SpotFits:
    estimate, uncertainty, chi2, iterations, status = fits
    one = slice(k, k + 1)
    return SpotFits(estimate[one], uncertainty[one], chi2[one], iterations[one], status[one])


def test_what_is_claimed_is_never_below_the_bound_and_that_bound_where_photons_are_many() -> None:
    assert beyond_the_bound(1000.0, 0.0) == 1
    assert beyond_the_bound(10_000.0, 150.0) < 1.001
    assert beyond_the_bound(100.0, 30.0) == pytest.approx(np.sqrt(1 + SECOND_ORDER * 0.09))
    assert beyond_the_bound(100.0, 300.0) == beyond_the_bound(100.0, 100.0)


def test_a_bright_fit_is_written_with_its_bound() -> None:
    counts, _ = spots(20_000, 2)
    fits = fit_spots(counts[:50], SIGMA_PX, READ_NOISE_E**2)
    rows = empty(50)
    assert write_rows(fits, 50, BOX, BOX, 0, 100.0, 1.0, rows) == 50
    assert (fits.status == FitStatus.CONVERGED).all()
    for axis, name in ((X, "x"), (Y, "y")):
        assert rows[f"{name}_uncertainty_nm"] == pytest.approx(100 * fits.uncertainty[:, axis], rel=1e-3)
    assert (fits.uncertainty[:, PHOTONS] / fits.estimate[:, PHOTONS] < 0.02).all()
