"""The streaming detection finds the peaks that a plain one finds, whatever the frame and the camera.

The background is taken from the kernel at each pixel and has tests of its own; a pixel whose excess over its limit is
within single precision of zero, or that all but ties with a neighbour, may go either way.
"""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, scatter
from fitting_reference import peak_excess
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.detect import Detector
from locstream.fitting.sensor import sensor


def background_map(tiles: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolate between the middles of the tiles; the outermost half tile keeps the value of its middle."""

    def along(length: int, n: int) -> np.ndarray:
        return np.clip((np.arange(length) + 0.5) * n / length - 0.5, 0, n - 1)

    def interpolate(values: np.ndarray, places: np.ndarray) -> np.ndarray:
        below = np.minimum(places.astype(int), len(values) - 1)
        above = np.minimum(below + 1, len(values) - 1)
        part = (places - below).reshape(-1, *[1] * (values.ndim - 1))
        return values[below] * (1 - part) + values[above] * part

    down = interpolate(tiles.astype(float), along(height, tiles.shape[0]))
    return interpolate(down.T, along(width, tiles.shape[1])).T


def maps(rng: np.random.Generator, shape: tuple[int, int]) -> CameraCalibration:
    noise = rng.uniform(0.8, 2.5, shape)
    noise[rng.random(shape) < 0.005] = 30  # hot pixels
    return CameraCalibration(
        100.0,
        rng.normal(100, 2, shape).astype(np.float32),
        rng.normal(0.46, 0.01, shape).astype(np.float32),
        noise.astype(np.float32),
    )


def assert_same_peaks(image: np.ndarray, camera: CameraCalibration, separation: int) -> None:
    shape, threshold = image.shape, 4.0
    eyes = sensor(camera, *shape)
    find = Detector(eyes, *shape, sigma_px=1.3, threshold=threshold, separation_px=separation)
    peaks = find(image, eyes)

    electrons = camera.photoelectrons(image).astype(float)
    background = background_map(find.background_tiles, *shape)
    excess = peak_excess(
        electrons,
        np.broadcast_to(eyes.variance, shape),
        background,
        sigma=1.3,
        threshold=threshold,
        separation=separation,
    )
    wanted = {(int(y), int(x)) for y, x in np.argwhere(excess > 1e-3)}
    allowed = {(int(y), int(x)) for y, x in np.argwhere(excess > -1e-3)}
    found = [(int(y), int(x)) for y, x in peaks.pixel]
    assert found == sorted(found), "peaks come in reading order"
    assert wanted <= set(found) <= allowed
    rows, columns = peaks.pixel.T
    np.testing.assert_allclose(peaks.background, background[rows, columns], rtol=1e-4)
    assert len(found) > 0


@pytest.mark.parametrize("shape", [(64, 96), (97, 41), (16, 200), (7, 7), (33, 128)], ids=str)
@pytest.mark.parametrize("per_pixel", [False, True], ids=["scalars", "maps"])
@pytest.mark.parametrize("separation", [1, 2, 4])
def test_the_same_peaks(shape: tuple[int, int], per_pixel: bool, separation: int) -> None:
    rng = np.random.default_rng([*shape, separation])
    camera = maps(rng, shape) if per_pixel else CameraCalibration(100.0, 100.0, 0.46, 1.6)
    table = scatter(max(shape[0] * shape[1] // 200, 1), *shape, rng, margin=0)
    image = expose(light(table, *shape, sigma=1.3, background=10), camera, rng)
    assert_same_peaks(image, camera, separation)


@pytest.mark.parametrize("up", [False, True], ids=["brighter below", "brighter above"])
@pytest.mark.parametrize("separation", [1, 3, 5])
def test_the_same_peaks_where_the_background_changes_from_tile_to_tile(up: bool, separation: int) -> None:
    """Rows are searched when the limit of the next two rows of tiles holds already."""
    shape = (150, 130)
    rng = np.random.default_rng([separation, up])
    camera = CameraCalibration(100.0, 100.0, 0.46, 1.6)
    table = scatter(150, *shape, rng, margin=0)
    slope = np.linspace(5, 600, shape[0])[:, np.newaxis]
    mean = light(table, *shape, sigma=1.3, background=0) + (slope[::-1] if up else slope)
    assert_same_peaks(expose(mean, camera, rng), camera, separation)
