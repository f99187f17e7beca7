"""Detection: background without the molecules, a threshold that means the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, molecules, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.detect import Detector
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.sensor import sensor

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)


def find(image: np.ndarray, camera: CameraCalibration = CAMERA, threshold: float = 5.0, separation: int = 1) -> Peaks:
    eyes = sensor(camera, *image.shape)
    return Detector(eyes, *image.shape, sigma_px=1.3, threshold=threshold, separation_px=separation)(image, eyes)


def tiles_of(image: np.ndarray, camera: CameraCalibration = CAMERA) -> np.ndarray:
    eyes = sensor(camera, *image.shape)
    detector = Detector(eyes, *image.shape, sigma_px=1.3, threshold=5.0, separation_px=1)
    detector(image, eyes)
    return detector.background_tiles


@pytest.mark.parametrize("background", [2, 10, 50, 500])
def test_an_empty_frame_has_its_background_and_next_to_no_peaks(background: float) -> None:
    rng = np.random.default_rng(background)
    images = [expose(np.full((256, 256), background), CAMERA, rng) for _ in range(8)]
    noise = np.sqrt(background + 1.6**2)
    tiles = np.array([tiles_of(image) for image in images])
    assert abs(tiles.mean() - background) < 0.04 * noise
    assert tiles.std() < 1.3 * noise / 16
    assert sum(len(find(image).pixel) for image in images) <= 3, "5 standard deviations: about 0.05 a frame"
    assert sum(len(find(image, threshold=3.0).pixel) for image in images) > 50


def test_false_peaks_are_no_more_frequent_at_the_edge() -> None:
    rng = np.random.default_rng(11)
    at_edge = inside = 0
    for _ in range(150):
        pixel = find(expose(np.full((64, 64), 20.0), CAMERA, rng), threshold=3.5).pixel
        near = ((pixel < 2) | (pixel > 61)).any(axis=1)
        at_edge, inside = at_edge + near.sum(), inside + (~near).sum()
    share = 1 - (60 / 64) ** 2
    assert 0.5 * share < at_edge / (at_edge + inside) < 1.8 * share


@pytest.mark.parametrize("per_frame", [20, 150, 300])
def test_molecules_do_not_lift_the_background(per_frame: int) -> None:
    rng = np.random.default_rng(per_frame)
    image = expose(light(scatter(per_frame, 256, 256, rng), 256, 256, sigma=1.3, background=10), CAMERA, rng)
    one_molecule_a_tile = 1000 / 256
    assert abs(np.median(tiles_of(image)) - 10) < 0.35
    assert tiles_of(image).mean() - 10 < 0.2 * per_frame / 256 * one_molecule_a_tile


def test_a_background_that_slopes_and_bends_is_followed() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:192, :256]
    background = 10 + 0.4 * x + 60 * np.exp(-((x - 128) ** 2 + (y - 96) ** 2) / (2 * 40**2))
    images = [expose(background, CAMERA, rng) for _ in range(4)]
    assert sum(len(find(image).pixel) for image in images) <= 3
    table = molecules(rng.uniform(20, 236, 40), rng.uniform(20, 172, 40), 2500)
    image = expose(light(table, 192, 256, sigma=1.3, background=0) + background, CAMERA, rng)
    assert len(find(image, separation=3).pixel) >= 37


def test_one_molecule_has_one_peak_at_its_pixel_as_high_as_its_photons() -> None:
    rng = np.random.default_rng(0)
    for y, x in [(0, 0), (0, 47), (31, 0), (31, 47), (2, 30), (16, 45), (15, 15)]:
        image = expose(light(molecules(x, y, 5000), 32, 48, sigma=1.3, background=10), CAMERA, rng)
        peaks = find(image)
        assert peaks.pixel.tolist() == [[y, x]]
    eyes = sensor(CAMERA, 32, 48)
    detector = Detector(eyes, 32, 48, sigma_px=1.3, threshold=5.0, separation_px=1)
    assert peaks.height[0] * detector.photons_per_height == pytest.approx(5000, rel=0.1)
    assert peaks.background[0] == pytest.approx(10, abs=1.5)


def test_a_hot_pixel_is_no_molecule_where_its_noise_is_known() -> None:
    rng = np.random.default_rng(2)
    noise = np.full((64, 64), 1.6, np.float32)
    noise[20, 30] = noise[40, 10] = 60
    hot = CameraCalibration(100.0, 100.0, 0.46, noise)
    images = [expose(np.full((64, 64), 10.0), hot, rng) for _ in range(20)]
    assert sum(len(find(image, hot).pixel) for image in images) <= 1
    assert sum(len(find(image).pixel) for image in images) > 5, "unknown, it is one again and again"


@pytest.mark.parametrize("shape", [(5, 5), (5, 300), (300, 5), (17, 33), (8, 8)], ids=str)
@pytest.mark.parametrize("value", [0, 100, 1000, 65_535])
def test_a_constant_frame_has_no_peaks(shape: tuple[int, int], value: int) -> None:
    assert len(find(np.full(shape, value, np.uint16)).pixel) == 0


def test_of_equal_pixels_the_first_in_reading_order_is_the_peak() -> None:
    image = np.full((40, 40), 120, np.uint16)
    image[10:14, 10:14] = 4000
    image[30, 30:32] = 4000
    expected = [[11, 11], [30, 30]]
    assert find(image, separation=2).pixel.tolist() == expected
    assert find(image, separation=2).pixel.tolist() == expected


def test_peaks_nearer_than_the_separation_count_as_one() -> None:
    rng = np.random.default_rng(5)
    table = molecules([20, 24], [15, 15], [6000, 5000])
    image = expose(light(table, 32, 48, sigma=1.0, background=10), CAMERA, rng)
    assert len(find(image, separation=1).pixel) == 2
    assert find(image, separation=5).pixel.tolist() == [[15, 20]]


def test_every_peak_of_a_frame_is_returned_however_many() -> None:
    image = np.full((600, 600), 100, np.uint16)
    image[1::4, 1::4] = 60_000
    assert len(find(image).pixel) == 150 * 150


@pytest.mark.parametrize("shape", [(200, 150), (47, 64), (70, 65), (31, 31)], ids=str)
def test_a_frame_leaves_nothing_behind_for_the_next(shape: tuple[int, int]) -> None:
    """Rows lie in rings that are not cleared between frames."""
    rng = np.random.default_rng(9)
    eyes = sensor(CAMERA, *shape)
    used = Detector(eyes, *shape, sigma_px=1.3, threshold=4.0, separation_px=2)
    for brightness in (50, 1, 20):
        table = scatter(shape[0] * shape[1] // 150, *shape, rng, margin=0)
        table["photons"] *= brightness
        image = expose(light(table, *shape, sigma=1.3, background=10), CAMERA, rng)
        fresh = Detector(eyes, *shape, sigma_px=1.3, threshold=4.0, separation_px=2)
        expected, found = fresh(image, eyes), used(image, eyes)
        assert len(expected.pixel) > 3
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_a_negative_offset_leaves_outside_the_frame_hides_no_peak_at_its_edge() -> None:
    """The offset is far too high, so that the padding of a row, which is 0, is brighter than the frame."""
    rng = np.random.default_rng(1)
    image = expose(light(molecules([66, 0], [20, 40], 8000), 60, 67, sigma=1.3, background=10), CAMERA, rng)
    believed = CameraCalibration(100.0, 3000.0, 0.46, 1.6)
    assert {(20, 66), (40, 0)} <= {(int(y), int(x)) for y, x in find(image, believed, threshold=3.0).pixel}
