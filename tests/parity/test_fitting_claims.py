"""Is the position as certain as is claimed, down to the dimmest molecules? Against simulated ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from locstream.fitting import FitStatus, fit_spots
from locstream.fitting.gaussian import PHOTONS, WIDTH_PRIOR, FitModel, SpotFits, X, Y
from locstream.fitting.table import beyond_the_bound, write_rows
from locstream.localizations import empty

BOX, SIGMA_PX, READ_NOISE_E = 7, 1.3, 1.0
SPOTS = 4000


def spots(photons: float, background: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of isolated molecules, and where they are, px from the centre of the box's first pixel."""
    rng = np.random.default_rng(5)
    places = BOX // 2 + rng.uniform(-0.5, 0.5, (SPOTS, 2))
    edges = np.arange(BOX + 1) - 0.5
    parts = 0.5 * np.diff(erf((edges - places[..., None]) / (np.sqrt(2) * SIGMA_PX)), axis=-1)
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


def _one(fits: SpotFits, k: int) -> SpotFits:
    estimate, uncertainty, chi2, iterations, status = fits
    one = slice(k, k + 1)
    return SpotFits(estimate[one], uncertainty[one], chi2[one], iterations[one], status[one])


def test_what_is_claimed_is_never_below_the_bound_and_that_bound_where_photons_are_many() -> None:
    assert beyond_the_bound(1000.0, 0.0) == 1
    assert beyond_the_bound(10_000.0, 150.0) < 1.001
    assert beyond_the_bound(100.0, 30.0) == pytest.approx(np.sqrt(1 + 2.7 * 0.09))


def test_a_bright_fit_is_written_with_its_bound() -> None:
    counts, _ = spots(20_000, 2)
    fits = fit_spots(counts[:50], SIGMA_PX, READ_NOISE_E**2)
    rows = empty(50)
    assert write_rows(fits, 50, BOX, BOX, 0, 100.0, 1.0, rows) == 50
    assert (fits.status == FitStatus.CONVERGED).all()
    for axis, name in ((X, "x"), (Y, "y")):
        assert rows[f"{name}_uncertainty_nm"] == pytest.approx(100 * fits.uncertainty[:, axis], rel=1e-3)
    assert (fits.uncertainty[:, PHOTONS] / fits.estimate[:, PHOTONS] < 0.02).all()
