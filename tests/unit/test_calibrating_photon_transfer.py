"""Offset and gain from the sample itself: right where it is called measured, and never in the way."""

from __future__ import annotations

import numpy as np
import pytest

from camera_frames import sample
from locstream.calibrating.photon_transfer import MAX_SIDE_PX, PhotonTransfer, estimate_from_frames
from locstream.calibration import CameraCalibration

WITHIN = 0.15


def camera(gain: float = 0.5, read_noise_e: float = 1.6) -> CameraCalibration:
    return CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=gain, read_noise_e=read_noise_e)


def estimate(frames: np.ndarray) -> PhotonTransfer:
    found = estimate_from_frames(frames)
    assert found is not None
    return found


@pytest.mark.parametrize("gain", [0.25, 0.5, 2.0])
@pytest.mark.parametrize(("frames", "contrast"), [(10, 5.0), (30, 1.5)])
def test_a_structured_sample_gives_the_gain(gain: float, frames: int, contrast: float) -> None:
    found = estimate(sample(camera(gain), frames, contrast=contrast))
    assert found.measured
    assert found.gain_e_per_adu == pytest.approx(gain, rel=WITHIN)
    # Read noise is taken for photons: the offset comes out low by so much.
    assert found.offset_adu == pytest.approx(100 - 1.6**2 / gain, abs=4 / gain)


@pytest.mark.parametrize("frames", [10, 30])
@pytest.mark.parametrize("on_frames", [1.0, 2.5, 10.0])
@pytest.mark.parametrize("emitters", [10, 40, 100])
def test_blinking_does_not_count_as_noise(frames: int, on_frames: float, emitters: int) -> None:
    """100 molecules on 128 × 128 px cover a fifth of it."""
    found = estimate(sample(camera(), frames, emitters=emitters, on_frames=on_frames))
    if frames == 30:
        assert found.measured
    if found.measured:
        assert found.gain_e_per_adu == pytest.approx(0.5, rel=WITHIN)


@pytest.mark.parametrize(("emitters", "on_frames"), [(0, 1.0), (10, 2.5), (100, 1.0)])
@pytest.mark.parametrize("frames", [4, 10, 30])
def test_an_even_field_gives_no_gain_but_the_right_noise(frames: int, emitters: int, on_frames: float) -> None:
    stack = sample(camera(), frames, background=50, contrast=0, emitters=emitters, on_frames=on_frames)
    found = estimate(stack)
    assert not found.measured
    true_variance_adu = 50 / 0.5**2 + (1.6 / 0.5) ** 2
    level_adu = 100 + 50 / 0.5
    assumed_variance_adu = (level_adu - found.offset_adu) / found.gain_e_per_adu
    assert assumed_variance_adu == pytest.approx(true_variance_adu, rel=0.1)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_too_few_frames_give_the_noise_of_the_background(frames: int) -> None:
    found = estimate(sample(camera(1.0, 0.0), frames, background=50, contrast=0, emitters=10))
    assert not found.measured
    assert found.gain_e_per_adu == 1
    assert found.offset_adu == pytest.approx(100, abs=5)


def test_a_camera_that_amplifies_more_than_its_level_allows_gets_no_negative_offset() -> None:
    """Noise above 1 ADU² per ADU of level cannot be that of 1 e⁻/ADU."""
    stack = sample(CameraCalibration(100.0, offset_adu=0.0, gain_e_per_adu=0.1), 10, background=20, contrast=0)
    found = estimate(stack)
    assert (found.offset_adu, found.measured) == (0, False)
    assert found.gain_e_per_adu == pytest.approx(0.1, rel=0.1)


def test_a_camera_without_offset_is_measured_like_any_other() -> None:
    """Read noise, taken for photons, would put its offset below 0, where none is."""
    stack = sample(CameraCalibration(100.0, offset_adu=0.0, gain_e_per_adu=0.5, read_noise_e=2.0), 30, contrast=5)
    found = estimate(stack)
    assert (found.offset_adu, found.measured) == (0, True)
    assert found.gain_e_per_adu == pytest.approx(0.5, rel=WITHIN)


def test_the_gain_behind_an_em_register_is_that_of_the_noise() -> None:
    em = CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=10.0, read_noise_e=40.0, em_gain=100.0)
    found = estimate(sample(em, 30, contrast=3, emitters=10))
    assert found.measured
    assert found.gain_e_per_adu == pytest.approx(10 / 100 / 2, rel=WITHIN), "gain over EM gain and F²"


def test_uneven_pixels_are_no_structure() -> None:
    """An offset that differs from pixel to pixel makes bright and dark pixels, all equally noisy."""
    rng = np.random.default_rng(3)
    fixed = CameraCalibration(100.0, offset_adu=100 + 3 * rng.standard_normal((128, 128)), gain_e_per_adu=0.5)
    assert not estimate(sample(fixed, 30, background=20, contrast=0)).measured


def test_hot_pixels_and_bleaching_do_not_mislead() -> None:
    rng = np.random.default_rng(3)
    noise = np.where(rng.random((128, 128)) < 0.02, 10.0, 1.6)
    hot = CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=noise)
    found = estimate(sample(hot, 40, bleaching=0.4, emitters=20))
    assert found.measured
    assert found.gain_e_per_adu == pytest.approx(0.5, rel=WITHIN)


def test_of_large_frames_the_middle_is_taken() -> None:
    stack = sample(camera(), 6, size=64)
    large = np.zeros((6, MAX_SIDE_PX + 40, MAX_SIDE_PX + 21), np.uint16)
    large[:, 20:-20, 10:-11] = np.tile(stack, (1, 8, 8))
    assert estimate(large) == estimate(np.tile(stack, (1, 8, 8)))


@pytest.mark.parametrize("frames", [0, 1, 2, 4, 9])
@pytest.mark.parametrize("level", [0, 100, 65535])
def test_frames_without_noise_tell_nothing(frames: int, level: int) -> None:
    assert estimate_from_frames(np.full((frames, 40, 40), level, np.uint16)) is None


@pytest.mark.parametrize("shape", [(9, 1, 1), (9, 2, 50), (9, 50, 2), (2, 1, 7), (9, 0, 5)])
def test_frames_too_small_tell_nothing(shape: tuple[int, int, int]) -> None:
    assert estimate_from_frames(np.random.default_rng(1).integers(90, 110, shape, np.uint16)) is None


@pytest.mark.parametrize("side", [3, 4, 7, 20])
def test_small_frames_give_the_noise_but_no_gain(side: int) -> None:
    found = estimate(np.random.default_rng(side).poisson(100, (60, side, side)).astype(np.uint16))
    assert not found.measured
    assert found.offset_adu == pytest.approx(0, abs=60)


def test_pixels_that_are_saturated_do_not_break_it() -> None:
    stack = sample(camera(), 10, emitters=20)
    stack[:, :20] = 65535
    stack[3] = 65535
    assert estimate_from_frames(stack) is not None


def test_few_frames_of_a_nearly_even_field_are_not_called_measured() -> None:
    """Groups of neighbours scatter less about a line than the line about the truth: the scatter alone misleads."""
    for seed in range(10, 20):
        found = estimate(sample(camera(), 6, contrast=1.5, seed=seed))
        assert not found.measured or found.gain_e_per_adu == pytest.approx(0.5, rel=WITHIN)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(40))
def test_measured_means_measured_whatever_the_sample(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain = rng.choice([0.25, 0.5, 1.0, 2.0])
    stack = sample(
        camera(gain, rng.uniform(0, 3)),
        int(rng.integers(4, 40)),
        background=rng.uniform(5, 100),
        contrast=rng.uniform(0, 6),
        emitters=rng.uniform(0, 100),
        on_frames=rng.uniform(1, 10),
        photons=rng.uniform(300, 3000),
        seed=seed,
    )
    found = estimate(stack)
    if found.measured:
        assert found.gain_e_per_adu == pytest.approx(gain, rel=WITHIN)
