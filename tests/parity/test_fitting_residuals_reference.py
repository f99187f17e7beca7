"""The kernel of the residuals against a plain loop in double precision."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from camera_frames import uneven_camera
from fitting_frames import expose, integrated, light, molecules, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.residuals import MOST_SPOTS, ResidualMap
from locstream.localizations import Localizations, empty

HEIGHT, WIDTH = 60, 72
PLAIN = CameraCalibration(pixel_size_nm=110.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.6)
EM = CameraCalibration(pixel_size_nm=110.0, offset_adu=200.0, gain_e_per_adu=10.0, read_noise_e=40.0, em_gain=100.0)


def slowly(
    image: npt.NDArray[np.uint16], rows: Localizations, camera: CameraCalibration, box: int
) -> tuple[npt.NDArray[np.float64], int]:
    """Return the sum of the normalized residuals of molecules that stand alone, and how many they are."""
    excess = camera.excess_noise_squared
    electrons = np.broadcast_to(np.asarray(camera.gain_e_per_adu, float) / camera.em_gain, image.shape)
    found = (image - np.broadcast_to(np.asarray(camera.offset_adu, float), image.shape)) * electrons / excess
    noise = np.broadcast_to(np.asarray(camera.read_noise_e, float) / camera.em_gain, image.shape)
    variance = (noise**2 + electrons**2 / 12) / excess**2
    total, spots = np.zeros((box, box)), 0
    px = camera.pixel_size_nm
    every = max(1, len(rows) // MOST_SPOTS)
    for k in range(0, min(len(rows), every * MOST_SPOTS), every):
        row = rows[k]
        x, y = float(row["x_nm"]) / px, float(row["y_nm"]) / px
        left, top = round(x) - box // 2, round(y) - box // 2
        if left < 0 or top < 0 or left + box > image.shape[1] or top + box > image.shape[0]:
            continue
        near = (np.abs(rows["x_nm"] / px - x) < box) & (np.abs(rows["y_nm"] / px - y) < box)
        if np.count_nonzero(near) > 1:
            continue
        units = camera.quantum_efficiency / excess
        down = integrated(y, float(row["sigma_y_nm"]) / px, top, box)
        along = integrated(x, float(row["sigma_x_nm"]) / px, left, box)
        mean = row["photons"] * units * down[:, None] * along + row["background"] * units
        here = np.s_[top : top + box, left : left + box]
        total += (found[here] - mean) / np.sqrt(mean + variance[here])
        spots += 1
    return total, spots


@pytest.mark.parametrize("box", [7, 11])
@pytest.mark.parametrize("camera", [PLAIN, EM, uneven_camera(HEIGHT, WIDTH)], ids=["plain", "em", "maps"])
def test_the_kernel_gives_what_a_plain_loop_gives(camera: CameraCalibration, box: int) -> None:
    rng = np.random.default_rng(3)
    table = scatter(12, HEIGHT, WIDTH, rng, margin=2)
    image = expose(light(table, HEIGHT, WIDTH, sigma=1.3, background=8), camera, rng)
    rows = Localizer(camera, HEIGHT, WIDTH, FitOptions(box_px=box))(image, 0)
    expected, spots = slowly(image, rows, camera, box)
    found = ResidualMap(camera, HEIGHT, WIDTH, box)(image, rows)
    assert 0 < spots < len(rows), "some stand alone, some do not"
    assert found.spots == spots
    np.testing.assert_allclose(found.total, expected, atol=0.01 * spots**0.5)


def test_only_so_many_molecules_are_looked_at_spread_over_the_frame() -> None:
    rng = np.random.default_rng(4)
    side = 15 * 20
    y, x = (axis.ravel() for axis in np.mgrid[8:side:20, 8:side:20].astype(float))
    image = expose(light(molecules(x, y, 2000), side, side, sigma=1.3, background=8), PLAIN, rng)
    rows = Localizer(PLAIN, side, side, FitOptions())(image, 0)
    assert len(rows) > 3 * MOST_SPOTS
    found = ResidualMap(PLAIN, side, side, 7)(image, rows)
    expected, spots = slowly(image, rows, PLAIN, 7)
    assert found.spots == spots == MOST_SPOTS
    np.testing.assert_allclose(found.total, expected, atol=0.1)


def test_widths_of_their_own_along_x_and_y_are_not_exchanged() -> None:
    rng = np.random.default_rng(5)
    mean = 5.0 + 20_000 * np.outer(integrated(30, 1.8, 0, HEIGHT), integrated(36, 1.1, 0, WIDTH))
    image = expose(mean, PLAIN, rng)
    row = empty(1)
    row["x_nm"], row["y_nm"], row["photons"], row["background"] = 36 * 110, 30 * 110, 20_000, 5
    row["sigma_x_nm"], row["sigma_y_nm"] = 1.1 * 110, 1.8 * 110
    right = ResidualMap(PLAIN, HEIGHT, WIDTH, 9)(image, row).total
    assert np.sqrt(np.mean(right**2)) == pytest.approx(1, abs=0.3), "nothing but noise"
    row["sigma_x_nm"], row["sigma_y_nm"] = 1.8 * 110, 1.1 * 110
    assert np.sqrt(np.mean(ResidualMap(PLAIN, HEIGHT, WIDTH, 9)(image, row).total ** 2)) > 10


def test_a_frame_without_molecules_or_with_one_at_the_edge_has_no_residuals() -> None:
    image = np.full((HEIGHT, WIDTH), 110, np.uint16)
    look = ResidualMap(PLAIN, HEIGHT, WIDTH, 7)
    assert look(image, empty()).spots == 0
    row = empty(1)
    row["x_nm"], row["y_nm"], row["sigma_x_nm"], row["sigma_y_nm"] = 110, 3300, 130, 130
    found = look(image, row)
    assert found.spots == 0
    assert not found.total.any()
