"""What is fitted beside position, photons and background: one width, one of each axis, none."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fitting_frames import expose, integrated, light, molecules
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, FitStatus, Localizer, fit_spots
from locstream.fitting.gaussian import LANES, PHOTONS, SIGMA, SIGMA_Y, X, Y

MODELS = ["sigma", "sigma_xy", "fixed"]
CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.0)


def spots(n: int, sigma_x: float = 1.3, sigma_y: float = 1.3, box: int = 9, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    xy = box // 2 + rng.uniform(-0.5, 0.5, (n, 2))
    mean = [10 + 3000 * np.outer(integrated(y, sigma_y, 0, box), integrated(x, sigma_x, 0, box)) for x, y in xy]
    return rng.poisson(mean).astype(np.float32)


def test_a_spot_without_noise_gives_back_its_two_widths() -> None:
    mean = 12 + 3000 * np.outer(integrated(4.2, 1.1, 0, 9), integrated(3.7, 1.7, 0, 9))
    fit = fit_spots(mean[None].astype(np.float32), 1.3, model="sigma_xy")
    np.testing.assert_allclose(fit.estimate[0], [3.7, 4.2, 3000, 1.7, 12, 1.1], rtol=1e-3)
    assert fit.status[0] == FitStatus.CONVERGED


def test_a_spot_turned_on_its_side_changes_its_axes() -> None:
    images = spots(20, 1.2, 1.8)
    upright, lying = (fit_spots(i, 1.4, model="sigma_xy") for i in (images, images.transpose(0, 2, 1).copy()))
    swapped = [Y, X, PHOTONS, SIGMA_Y, 4, SIGMA]
    np.testing.assert_allclose(lying.estimate, upright.estimate[:, swapped], rtol=2e-3)
    np.testing.assert_allclose(lying.uncertainty, upright.uncertainty[:, swapped], rtol=2e-3)


def test_a_width_that_is_known_stays_and_makes_the_photons_better() -> None:
    images = spots(2000)
    known, free = fit_spots(images, 1.3, model="fixed"), fit_spots(images, 1.3)
    np.testing.assert_array_equal(known.estimate[:, SIGMA], np.float32(1.3))
    assert not known.uncertainty[:, SIGMA].any()
    assert known.estimate[:, PHOTONS].std() < 0.95 * free.estimate[:, PHOTONS].std()


def test_of_a_round_spot_two_widths_say_what_one_does() -> None:
    images = spots(500)
    two, one = fit_spots(images, 1.3, model="sigma_xy"), fit_spots(images, 1.3)
    np.testing.assert_allclose(two.estimate[:, :2], one.estimate[:, :2], atol=0.02)
    mean = 0.5 * (two.estimate[:, SIGMA] + two.estimate[:, SIGMA_Y])
    np.testing.assert_allclose(mean, one.estimate[:, SIGMA], atol=0.02)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n", [0, 1, LANES + 1, 3 * LANES])
def test_a_spot_is_fitted_alike_in_whatever_company(model: str, n: int) -> None:
    images = spots(n) if n else np.empty((0, 9, 9), np.float32)
    together = fit_spots(images, 1.3, model=model)
    assert together.estimate.shape == together.uncertainty.shape == (n, 6 if model == "sigma_xy" else 5)
    for k in range(n):
        for of_all, of_one in zip(together, fit_spots(images[k : k + 1], 1.3, model=model), strict=True):
            np.testing.assert_array_equal(of_all[k], of_one[0])


@pytest.mark.parametrize("model", MODELS)
def test_what_is_no_spot_is_said_and_spoils_no_other(model: str) -> None:
    good = spots(2 * LANES)
    bad = np.full((4, 9, 9), 50, np.float32)
    bad[0, 3, 3], bad[1, 0, 0], bad[2], bad[3] = np.nan, np.inf, -40, 3e38
    mixed = np.concatenate([bad[:2], good, bad[2:]])
    fits, expected = fit_spots(mixed, 1.3, model=model), fit_spots(good, 1.3, model=model)
    np.testing.assert_array_equal(fits.estimate[2:-2], expected.estimate)
    assert (fits.status[:2] == FitStatus.BAD_DATA).all()
    assert np.isin(fits.status, list(FitStatus)).all()
    certain = fits.estimate[-2:, PHOTONS] > 5 * fits.uncertainty[-2:, PHOTONS]
    assert not ((fits.status[-2:] == FitStatus.CONVERGED) & certain).any()


def test_a_line_ends_at_a_bound() -> None:
    mean = 5 + 9000 * np.outer(integrated(4, 1.2, 0, 9), integrated(4, 9, 0, 9))
    assert fit_spots(mean[None].astype(np.float32), 1.3, model="sigma_xy").status[0] == FitStatus.AT_BOUND


def test_a_model_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no model 'elliptic'; there are sigma, sigma_xy, fixed"):
        fit_spots(spots(1), 1.3, model="elliptic")  # type: ignore[arg-type]  # what is tried
    with pytest.raises(ValidationError, match="sigma_xy"):
        FitOptions.model_validate({"model": "elliptic"})


@pytest.mark.parametrize("model", MODELS)
def test_a_frame_through_each_model(model: str) -> None:
    rng = np.random.default_rng(1)
    table = molecules([10.3, 30.2, 50.4], [12.1, 33.3, 20.2], [3000, 4000, 5000])
    image = expose(light(table, 48, 64, sigma=1.3, background=10), CAMERA, rng)
    rows = Localizer(CAMERA, 48, 64, FitOptions(model=model, box_px=9))(image, 7)
    assert len(rows) == 3
    rows = rows[np.argsort(rows["x_nm"])]
    assert (np.abs(rows["x_nm"] / 100 - table["x"]) < 5 * rows["x_uncertainty_nm"] / 100).all()
    assert (rows["sigma_x_nm"] == rows["sigma_y_nm"]).all() == (model != "sigma_xy")
    if model == "fixed":
        np.testing.assert_allclose(rows["sigma_x_nm"], 130)
        assert not rows["sigma_x_uncertainty_nm"].any()


@pytest.mark.parametrize("model", ["sigma_xy", "fixed"])
def test_excess_noise_and_quantum_efficiency_enter_every_model(model: str) -> None:
    camera = CameraCalibration(
        pixel_size_nm=100.0, offset_adu=200.0, gain_e_per_adu=5.0, read_noise_e=30.0, em_gain=100.0,
        quantum_efficiency=0.8,
    )  # fmt: skip
    rng = np.random.default_rng(2)
    localize = Localizer(camera, 40, 40, FitOptions(model=model, box_px=9))
    rows = []
    for frame in range(300):
        table = molecules(20 + rng.uniform(-0.5, 0.5), 20 + rng.uniform(-0.5, 0.5), 3000)
        image = expose(light(table, 40, 40, sigma=1.3, background=10), camera, rng)
        found = localize(image, frame)
        near = found[np.hypot(found["x_nm"] / 100 - table["x"], found["y_nm"] / 100 - table["y"]) < 1]
        rows += [
            ((row["x_nm"] / 100 - table["x"][0]) / (row["x_uncertainty_nm"] / 100), row["photons"]) for row in near
        ]
    pull, photons = np.array(rows).T
    assert len(pull) > 295
    assert pull.std() == pytest.approx(1, abs=0.13)
    assert photons.mean() == pytest.approx(3000, rel=0.02)


@pytest.mark.parametrize(("model", "apart"), [("sigma", True), ("sigma_xy", False), ("fixed", True)])
def test_a_pair_in_one_peak_is_told_apart_where_the_width_is_one(model: str, apart: bool) -> None:
    """By the joint fit alone; where each axis has its width so short a pair may be one molecule out of focus."""
    rng = np.random.default_rng(4)
    table = molecules([20.0, 22.4], [20.0, 20.0], [6000, 6000])
    image = expose(light(table, 40, 40, sigma=1.3, background=5), CAMERA, rng)
    rows = Localizer(CAMERA, 40, 40, FitOptions(model=model))(image, 0)
    found = sum(bool(np.any(np.abs(rows["x_nm"] / 100 - x) < 0.15)) for x in table["x"])
    assert (found == 2) == apart
