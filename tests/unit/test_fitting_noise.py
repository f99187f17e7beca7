"""The noise of a frame against what the calibration calls for."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.noise import noise_ratio
from locstream.fitting.sensor import sensor

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)


def ratio(image: np.ndarray, camera: CameraCalibration) -> float:
    return noise_ratio(image, sensor(camera, *image.shape))[0]


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (100, 331), (1024, 700)], ids=str)
@pytest.mark.parametrize("background", [3, 30, 300])
def test_a_calibration_that_is_right_is_found_right(shape: tuple[int, int], background: float) -> None:
    rng = np.random.default_rng([*shape, background])
    table = scatter(shape[0] * shape[1] // 1500, *shape, rng)
    image = expose(light(table, *shape, sigma=1.3, background=background), CAMERA, rng)
    assert ratio(image, CAMERA) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("gain", [0.1, 0.46, 5.0])
def test_a_gain_that_is_wrong_shows_as_its_square_over_the_mean(gain: float) -> None:
    rng = np.random.default_rng(1)
    image = expose(np.full((256, 256), 200.0), CAMERA, rng)
    believed = CameraCalibration(100.0, 100.0, gain, 0.0)
    assert ratio(image, believed) == pytest.approx(gain / 0.46, rel=0.12)


def test_an_offset_that_was_not_taken_off_looks_like_too_little_noise() -> None:
    rng = np.random.default_rng(2)
    image = expose(np.full((256, 256), 50.0), CameraCalibration(100.0, 100.0, 1.0, 0.0), rng)
    value, typical = noise_ratio(image, sensor(CameraCalibration(100.0), 256, 256))
    assert value == pytest.approx(50 / 150, rel=0.1)
    assert (1 - value) * typical == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("shape", [(5, 5), (8, 7), (7, 300)], ids=str)
def test_a_frame_too_small_to_tell_is_believed(shape: tuple[int, int]) -> None:
    assert ratio(np.full(shape, 500, np.uint16), CAMERA) in (1.0, 0.0)


def test_a_frame_without_any_noise_has_none() -> None:
    assert ratio(np.full((64, 64), 500, np.uint16), CAMERA) == 0


def rows_of(image: np.ndarray, camera: CameraCalibration) -> np.ndarray:
    return Localizer(camera, *image.shape, FitOptions())(image, 0)


def test_a_calibration_that_was_given_is_used_as_it_is_however_wrong() -> None:
    """Noise of twice the variance it calls for: chi-square says so, uncertainties stay those of the calibration."""
    rng = np.random.default_rng(6)
    table = scatter(30, 128, 128, rng)
    table["photons"] += 2000
    image = expose(light(table, 128, 128, sigma=1.3, background=30), CameraCalibration(100.0, 100.0, 0.1, 0.0), rng)
    given = rows_of(image, CameraCalibration(100.0, 100.0, 0.2, 0.0))
    unknown = rows_of(image, CameraCalibration(100.0, 100.0))
    right = rows_of(image, CameraCalibration(100.0, 100.0, 0.1, 0.0))
    assert np.median(given["chi2"]) == pytest.approx(2, rel=0.15)
    assert np.median(unknown["chi2"]) == pytest.approx(1, abs=0.2)
    ratio = np.median(given["x_uncertainty_nm"]) / np.median(right["x_uncertainty_nm"])
    assert ratio == pytest.approx(0.5**0.5, rel=0.07), "of twice the photons the error is as small"


def test_the_light_of_many_molecules_is_not_taken_for_noise_where_the_camera_is_known() -> None:
    rng = np.random.default_rng(7)
    table = scatter(400, 128, 128, rng)
    image = expose(light(table, 128, 128, sigma=1.3, background=10), CAMERA, rng)
    assert ratio(image, CAMERA) > 1.5, "neighbouring pixels differ by light"
    assert np.median(rows_of(image, CAMERA)["chi2"]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("camera", "tells"),
    [
        (CameraCalibration(100.0), False),
        (CameraCalibration(100.0, 100.0), False),
        (CameraCalibration(100.0, np.full((4, 4), 100, np.float32), quantum_efficiency=0.8), False),
        (CameraCalibration(100.0, 100.0, 0.46), True),
        (CameraCalibration(100.0, 100.0, 1.0, 1.6), True),
        (CameraCalibration(100.0, 100.0, em_gain=100.0), True),
        (CameraCalibration(100.0, 100.0, np.ones((4, 4), np.float32)), False),
        (CameraCalibration(100.0, 100.0, np.float32([[1, 1.1]])), True),
    ],
)
def test_a_calibration_tells_the_noise_when_gain_or_read_noise_were_given(
    camera: CameraCalibration, tells: bool
) -> None:
    assert camera.tells_noise is tells
