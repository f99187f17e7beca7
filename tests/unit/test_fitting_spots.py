"""Spots: the pixels of the boxes, and where the fits start."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, X, Y, box_columns
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.sensor import Sensor, sensor
from locstream.fitting.spots import CENTROID_PX, Spots, cut_spots, first_spots, room_for_spots

SHAPE = 40, 57
SATURATION_ADU = 900.0
UNIFORM = CameraCalibration(100.0, 100.0, 0.46, 1.6)
PIXELS = [(0, 0), (0, 30), (1, 55), (12, 20), (20, 2), (25, 54), (39, 0), (38, 41), (39, 56)]


def mapped() -> CameraCalibration:
    rng = np.random.default_rng(3)
    maps = (rng.normal(100, 2, SHAPE), rng.normal(0.46, 0.01, SHAPE), rng.uniform(0.8, 2.5, SHAPE))
    return CameraCalibration(100.0, *(each.astype(np.float32) for each in maps))


def frame(camera: CameraCalibration) -> np.ndarray:
    rng = np.random.default_rng(7)
    image = expose(light(scatter(12, *SHAPE, rng), *SHAPE, sigma=1.3, background=10), camera, rng)
    image[24, 53] = SATURATION_ADU
    return image


def peaks() -> Peaks:
    n = len(PIXELS)
    height, background = np.linspace(-1, 90, n), np.linspace(0, 12, n)
    return Peaks(np.array(PIXELS, np.int32), height.astype(np.float32), background.astype(np.float32))


def cut(image: np.ndarray, eyes: Sensor, box: int, alike: bool, saturation_adu: float = SATURATION_ADU) -> Spots:
    spots = first_spots(room_for_spots(len(PIXELS) + 5, box, alike), len(PIXELS))
    cut_spots(image, eyes, saturation_adu, peaks(), 20.0, 1.3, box_columns(box)[0], spots)
    return spots


@pytest.mark.parametrize("box", [5, 7, 9, 15])
@pytest.mark.parametrize("uniform", [True, False], ids=["alike", "maps"])
def test_boxes_hold_their_pixels(box: int, uniform: bool) -> None:
    camera = UNIFORM if uniform else mapped()
    image, eyes = frame(camera), sensor(camera, *SHAPE)
    spots = cut(image, eyes, box, uniform)
    electrons, variance = camera.photoelectrons(image), np.broadcast_to(eyes.variance, SHAPE)
    assert spots.known.shape == (1 if uniform else len(PIXELS), box * box)
    for n, (row, column) in enumerate(PIXELS):
        top = min(max(row - box // 2, 0), SHAPE[0] - box)
        left = min(max(column - box // 2, 0), SHAPE[1] - box)
        place = slice(top, top + box), slice(left, left + box)
        known = spots.known[0 if uniform else n].reshape(box, box)
        counts = spots.counts[n].reshape(box, box)
        assert spots.corner[n].tolist() == [top, left]
        np.testing.assert_array_equal(known, variance[place])
        saturated = bool(image[place].max() >= SATURATION_ADU)
        assert np.isnan(counts[0, 0]) == saturated
        expected = (electrons + variance)[place]
        np.testing.assert_allclose(counts.flat[int(saturated) :], expected.flat[int(saturated) :], rtol=1e-5, atol=1e-4)
    assert np.isnan(spots.counts).sum() == 1


@pytest.mark.parametrize("box", [5, 7, 11])
@pytest.mark.parametrize("uniform", [True, False], ids=["alike", "maps"])
def test_fits_start_from_the_centroid_of_what_rises_above_the_background(box: int, uniform: bool) -> None:
    camera = UNIFORM if uniform else mapped()
    image, eyes, given = frame(camera), sensor(camera, *SHAPE), peaks()
    spots = cut(image, eyes, box, uniform)
    electrons, side = camera.photoelectrons(image).astype(float), 2 * CENTROID_PX + 1
    for n, (row, column) in enumerate(PIXELS):
        # At an edge of the frame the pixels are as many, and begin with the first.
        top = min(max(row - CENTROID_PX, 0), SHAPE[0] - side)
        left = min(max(column - CENTROID_PX, 0), SHAPE[1] - side)
        above = np.clip(electrons[top : top + side, left : left + side] - given.background[n], 0, None)
        y, x = np.mgrid[top : top + side, left : left + side]
        assert spots.start[n, X] + spots.corner[n, 1] == pytest.approx((above * x).sum() / above.sum(), abs=1e-4)
        assert spots.start[n, Y] + spots.corner[n, 0] == pytest.approx((above * y).sum() / above.sum(), abs=1e-4)
        assert spots.start[n, PHOTONS] == pytest.approx(max(given.height[n] * 20, 1), rel=1e-6)
        assert spots.start[n, BACKGROUND] == max(given.background[n], np.float32(0.1))
        assert spots.start[n, SIGMA] == np.float32(1.3)


def test_without_light_above_the_background_a_fit_starts_from_the_peak() -> None:
    eyes = sensor(UNIFORM, *SHAPE)
    spots = cut(np.zeros(SHAPE, np.uint16), eyes, 7, True)
    for n, (row, column) in enumerate(PIXELS):
        assert (spots.start[n, [Y, X]] + spots.corner[n]).tolist() == [row, column]


def test_a_camera_that_is_never_saturated_has_no_bad_box() -> None:
    image, eyes = frame(UNIFORM), sensor(UNIFORM, *SHAPE)
    image[24, 53] = 65_535
    assert not np.isnan(cut(image, eyes, 7, True, 65_536.0).counts).any()
    assert np.isnan(cut(image, eyes, 7, True, 65_535.0).counts).any()
