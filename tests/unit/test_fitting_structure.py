"""A sample that shines in every frame: its structure is known light, and no molecule."""

from __future__ import annotations

import numpy as np
import pytest

import locstream
from fitting_frames import expose, light, molecules
from locstream.calibration.camera import CameraCalibration
from locstream.errors import ConfigError, StackError
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.sensor import sensor
from locstream.fitting.structure import BLOCK, FEWEST_FRAMES, REACH, structured, with_structure
from locstream.localizations import Localizations
from scoring import score

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)
SHAPE = 72, 80
MEDIAN = FitOptions(background="temporal_median")


def sample() -> np.ndarray:
    """Return the light that stays: spots as sharp as molecules, a bright line, and a slope."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(6, 74, 25), rng.uniform(6, 66, 25)
    spots = light(molecules(x, y, rng.uniform(300, 3000, 25)), *SHAPE, sigma=1.3, background=8.0)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    line = 60 * np.exp(-0.5 * ((rows - 0.6 * columns - 10) / 2.0) ** 2)
    return spots + line + 0.1 * columns


def acquisition(frames: int, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frames with 6 molecules each, none near another, and the truth: frame, x, y (px), photons."""
    rng = np.random.default_rng(2)
    images, truth = [], []
    for k in range(frames):
        cells = rng.choice(20, 6, replace=False)
        x = 14 * (cells % 5) + 12 + rng.uniform(-2, 2, 6)
        y = 14 * (cells // 5) + 14 + rng.uniform(-2, 2, 6)
        mean = background + light(molecules(x, y, 1500), *SHAPE, sigma=1.3, background=0.0)
        images.append(expose(mean, CAMERA, rng))
        truth.append(np.column_stack([np.full(6, k), x, y, np.full(6, 1500.0)]))
    return np.stack(images), np.concatenate(truth)


def jaccard(rows: Localizations, truth: np.ndarray) -> float:
    return score(rows, 100.0, truth[:, :3], 1.0).jaccard


def test_structure_known_is_no_molecule_and_hides_none() -> None:
    stack, truth = acquisition(150, sample())
    known, unknown = locstream.fit(stack, CAMERA, MEDIAN), locstream.fit(stack, CAMERA)
    assert jaccard(known, truth) > 0.9
    assert jaccard(known, truth) > 3 * jaccard(unknown, truth)


def test_uncertainties_count_the_noise_of_the_structure() -> None:
    """On a bright structure the light taken off leaves its noise behind: a claim without it is too small by half."""
    bright = np.full(SHAPE, 10.0)
    bright[:, 0::2] += 60  # stripes as narrow as a pixel
    stack, truth = acquisition(150, bright)
    rows = locstream.fit(stack, CAMERA, MEDIAN)
    away = np.hypot(rows["x_nm"][:, None] / 100 - truth[:, 1], rows["y_nm"][:, None] / 100 - truth[:, 2])
    away[rows["frame"][:, None] != truth[:, 0]] = np.inf
    nearest = away.argmin(axis=1)
    good = away[np.arange(len(rows)), nearest] < 1.5
    rows, matched = rows[good], truth[nearest[good]]
    assert len(rows) > 0.95 * len(truth)
    pulls = [
        (rows["x_nm"] / 100 - matched[:, 1]) / (rows["x_uncertainty_nm"] / 100),
        (rows["y_nm"] / 100 - matched[:, 2]) / (rows["y_uncertainty_nm"] / 100),
        (rows["photons"] - matched[:, 3]) / rows["photons_uncertainty"],
    ]
    np.testing.assert_allclose(np.std(pulls, axis=1), 1, atol=0.1)
    assert np.median(rows["chi2"]) == pytest.approx(1, abs=0.1)


def test_an_empty_sample_loses_nothing_by_it() -> None:
    stack, truth = acquisition(100, np.full(SHAPE, 20.0))
    with_it, without = locstream.fit(stack, CAMERA, MEDIAN), locstream.fit(stack, CAMERA)
    assert jaccard(with_it, truth) == pytest.approx(jaccard(without, truth), abs=0.02)


def test_known_light_leaves_the_number_and_raises_the_mean() -> None:
    """Count plus variance is what it was; what the fit takes for known rises by the structure, of 0 at the lowest."""
    camera = sensor(CAMERA, 40, 40)
    median = np.full((40, 40), 150, np.uint16)
    median[20, 20] = 400
    seen = structured(camera, median)
    adu = np.float32(321)
    before = (adu - camera.offset_adu) * camera.scale + camera.variance
    after = (adu - seen.offset_adu) * seen.scale + seen.variance
    np.testing.assert_allclose(after, np.broadcast_to(before, (40, 40)), rtol=1e-5)
    risen = seen.variance - camera.variance
    assert risen[20, 20] == pytest.approx(250 * 0.46, rel=1e-4)
    risen[20, 20] = 0
    assert not risen.any()


@pytest.mark.parametrize("frames", [FEWEST_FRAMES, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_the_window_is_bounded_and_covers_every_frame_once(frames: int) -> None:
    read = 0

    def source() -> object:
        nonlocal read
        for k in range(frames):
            read = k + 1
            yield np.full((4, 5), k, np.uint16)

    for k, (image, median) in enumerate(with_structure(source())):  # type: ignore[arg-type]  # a plain generator
        assert (image == k).all()
        first = k // BLOCK * BLOCK
        low, high = max(first - REACH, 0), min(first + BLOCK + REACH, frames)
        assert median[0, 0] == low + (high - low) // 2
        assert read <= first + 2 * BLOCK, "no further than the next block"
    assert k == frames - 1


def test_what_cannot_be_known_is_refused() -> None:
    stack = np.zeros((30, 40, 40), np.uint16)
    with pytest.raises(ConfigError, match="gain of the camera"):
        locstream.fit(stack, CameraCalibration(100.0, 100.0), MEDIAN)
    with pytest.raises(ConfigError, match="needs 20 frames or more; there are 5"):
        locstream.fit(stack[:5], CAMERA, MEDIAN)
    with pytest.raises(ConfigError, match="come one by one"):
        Localizer(CAMERA, 40, 40, MEDIAN)
    with pytest.raises(ConfigError, match="would ignore it"):
        Localizer(CAMERA, 40, 40, FitOptions(), median=stack[0])
    with pytest.raises(StackError, match=r"\(40, 40\) and \(40, 41\)"):
        locstream.fit([*stack, np.zeros((40, 41), np.uint16)], CAMERA, MEDIAN)
