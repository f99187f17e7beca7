"""The background of each tile is what plain means of its pixels give, for tiles of every size."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fitting_frames import expose, light, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.background import CLIP_BIAS_SIGMAS, CLIP_ROUNDS, CLIP_SIGMAS, FOUR, tile_edges, tile_medians
from locstream.fitting.detect import Detector
from locstream.fitting.sensor import sensor

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)


def clipped_mean(fours: np.ndarray, noise: float) -> float:
    """Return the mean of a tile without the means of four that stand out."""
    mean = fours.mean()
    for _ in range(CLIP_ROUNDS):
        sigma = np.sqrt((max(mean, 0) + noise) / FOUR)
        mean = fours[fours <= mean + CLIP_SIGMAS * sigma].mean() + CLIP_BIAS_SIGMAS * sigma
    return float(mean)


def means_of_four(electrons: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """Return the means of each four rows whose middle lies in a tile; below the frame its last row is repeated."""
    height = len(electrons)
    starts = [y for y in range(0, height, FOUR) if top <= y + FOUR // 2 < bottom] if height > 2 else [0]
    return np.array([electrons[[min(y + k, height - 1) for k in range(FOUR)]].mean(axis=0) for y in starts])


@pytest.mark.parametrize(
    "shape",
    [(5, 5), (7, 300), (64, 64), (31, 47), (33, 15), (48, 500), (63, 95), (17, 31), (3, 40), (2, 20), (1, 70)],
    ids=str,
)
@pytest.mark.parametrize("background", [2.0, 30.0])
def test_every_tile(shape: tuple[int, int], background: float) -> None:
    rng = np.random.default_rng([*shape, int(background)])
    table = scatter(max(shape[0] * shape[1] // 300, 1), *shape, rng, margin=0)
    image = expose(light(table, *shape, sigma=1.3, background=background), CAMERA, rng)
    eyes = sensor(CAMERA, *shape)
    detector = Detector(eyes, *shape, sigma_px=1.3, threshold=5.0, separation_px=1)
    for _ in range(2):  # the second time in used room
        detector(image, eyes)
        electrons, noise = CAMERA.photoelectrons(image).astype(float), tile_medians(eyes.variance, *shape)
        rows, columns = list(pairwise(tile_edges(shape[0]))), list(pairwise(tile_edges(shape[1])))
        expected = [
            [clipped_mean(means_of_four(electrons, a, b)[:, c:d], noise[j, i]) for i, (c, d) in enumerate(columns)]
            for j, (a, b) in enumerate(rows)
        ]
        np.testing.assert_allclose(detector.background_tiles, expected, rtol=2e-5, atol=2e-5)


def test_a_tile_so_bright_that_no_pixel_is_left_out() -> None:
    eyes = sensor(CAMERA, 40, 40)
    detector = Detector(eyes, 40, 40, sigma_px=1.3, threshold=5.0, separation_px=1)
    detector(np.full((40, 40), 65_535, np.uint16), eyes)
    level = (65_535 - 100) * 0.46
    expected = level + CLIP_BIAS_SIGMAS * np.sqrt(level / FOUR)
    np.testing.assert_allclose(detector.background_tiles, expected, rtol=1e-5)
