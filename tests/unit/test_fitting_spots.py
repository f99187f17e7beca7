"""Spots: the pixels of the boxes, and where the fits start."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, X, Y, box_columns
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.sensor import Sensor, sensor
from locstream.fitting.spots import Spots, cut_spots, first_spots, room_for_spots
from locstream.fitting.starts import start_weights, write_starts

SHAPE = 40, 57
SATURATION_ADU = 900.0
WEIGHTS = {box: start_weights(box, 1.3, box_columns(box)[1]) for box in (5, 7, 9, 11, 15)}
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
    cut_spots(image, eyes, saturation_adu, peaks(), 20.0, 1.3, WEIGHTS[box], box_columns(box), spots)
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
        pixels = spots.light[n].reshape(box, box)
        assert spots.corner[n].tolist() == [top, left]
        np.testing.assert_array_equal(known, variance[place])
        saturated = bool(image[place].max() >= SATURATION_ADU)
        assert np.isnan(pixels[0, 0]) == saturated
        expected = electrons[place]
        np.testing.assert_allclose(pixels.flat[int(saturated) :], expected.flat[int(saturated) :], rtol=1e-5, atol=1e-4)
    assert np.isnan(spots.light).sum() == 1


@pytest.mark.parametrize("box", [5, 7, 11])
@pytest.mark.parametrize("uniform", [True, False], ids=["alike", "maps"])
def test_a_fit_starts_where_its_pixels_say_and_at_an_edge_of_the_frame_from_its_peak(box: int, uniform: bool) -> None:
    camera = UNIFORM if uniform else mapped()
    spots, given = cut(frame(camera), sensor(camera, *SHAPE), box, uniform), peaks()
    said, half = np.empty((len(PIXELS), 5), np.float32), box // 2
    write_starts(spots.light, WEIGHTS[box], 1.3, box_columns(box), said)
    np.testing.assert_allclose(spots.photons, np.maximum(given.height * 20, 1), rtol=1e-6)
    seen = 0
    for n, (row, column) in enumerate(PIXELS):
        if not (half <= row < SHAPE[0] - half and half <= column < SHAPE[1] - half):
            assert (spots.start[n, [Y, X]] + spots.corner[n]).tolist() == [row, column]
            assert spots.start[n, PHOTONS] == spots.photons[n]
            assert spots.start[n, BACKGROUND] == max(given.background[n], np.float32(0.1))
            assert spots.start[n, SIGMA] == np.float32(1.3)
        elif not np.isnan(spots.light[n]).any():
            seen += 1
            assert spots.start[n, PHOTONS] == pytest.approx(max(said[n, PHOTONS], spots.photons[n] / 2), rel=1e-6)
            assert spots.start[n, BACKGROUND] == said[n, BACKGROUND]
            if spots.start[n, PHOTONS] == said[n, PHOTONS]:
                np.testing.assert_array_equal(spots.start[n], said[n])
    assert seen > 0


def test_in_the_dark_a_fit_starts_from_its_peak() -> None:
    spots = cut(np.zeros(SHAPE, np.uint16), sensor(UNIFORM, *SHAPE), 7, True)
    np.testing.assert_allclose(spots.start[:, [Y, X]] + spots.corner, PIXELS, atol=1e-3)


def test_a_camera_that_is_never_saturated_has_no_bad_box() -> None:
    image, eyes = frame(UNIFORM), sensor(UNIFORM, *SHAPE)
    image[24, 53] = 65_535
    assert not np.isnan(cut(image, eyes, 7, True, 65_536.0).light).any()
    assert np.isnan(cut(image, eyes, 7, True, 65_535.0).light).any()
