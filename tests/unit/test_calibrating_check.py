"""A calibration that is wrong is noticed; one that is right is left in peace, whatever the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from camera_frames import sample, uneven_camera
from locstream.calibrating.check import EVERY_FRAMES, MOST_PAIRS, MOST_ROWS, CalibrationCheck, Noise
from locstream.calibrating.noise import local_variance
from locstream.calibration import CameraCalibration
from locstream.localizations import Localizations, empty

SIZE = 96
RIGHT: dict[str, Any] = {"pixel_size_nm": 100.0, "offset_adu": 100.0, "gain_e_per_adu": 0.5, "read_noise_e": 1.6}


def checked(stack: np.ndarray, **changes: Any) -> CalibrationCheck:
    check = CalibrationCheck(CameraCalibration(**{**RIGHT, **changes}), *stack.shape[1:])
    for image in stack:
        check.see(image)
    return check


def noise_of(check: CalibrationCheck) -> Noise:
    assert check.noise is not None
    return check.noise


def frames(background: float, count: int = 20, **more: Any) -> np.ndarray:
    contrast = more.pop("contrast", 0.5)
    return sample(CameraCalibration(**RIGHT), count, size=SIZE, background=background, contrast=contrast, **more)


@pytest.mark.parametrize("background", [0.3, 1, 10, 200])
@pytest.mark.parametrize(("emitters", "photons", "on"), [(0, 1000, 2.5), (20, 1000, 2.5), (100, 3000, 1.0)])
def test_the_right_calibration_is_left_in_peace(background: float, emitters: float, photons: float, on: float) -> None:
    """100 molecules on 96 × 96 px of 100 nm are 1.1 per µm²."""
    check = checked(frames(background, emitters=emitters, photons=photons, on_frames=on))
    assert noise_of(check).ratio == pytest.approx(1, abs=0.2)
    assert check.sentences() == []


def test_so_is_that_of_an_em_camera_and_one_with_maps() -> None:
    em = {"gain_e_per_adu": 10.0, "read_noise_e": 40.0, "em_gain": 100.0}
    stack = sample(CameraCalibration(**{**RIGHT, **em}), 20, size=SIZE, emitters=10, contrast=1)
    check = checked(stack, **em)
    assert check.sentences() == []
    assert noise_of(check).light == pytest.approx(15, abs=5)
    uneven = uneven_camera(SIZE, SIZE, hot=0.02)
    check = CalibrationCheck(uneven, SIZE, SIZE)
    for image in sample(uneven, 20, size=SIZE, contrast=1):
        check.see(image)
    assert noise_of(check).ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("background", [2, 10, 100])
@pytest.mark.parametrize("factor", [0.4, 0.7, 1.4, 2.5])
def test_a_wrong_gain_is_noticed_and_its_factor_is_told(background: float, factor: float) -> None:
    check = checked(frames(background, emitters=10), gain_e_per_adu=0.5 * factor)
    (sentence,) = check.sentences()
    assert ("gain_e_per_adu is too small" if factor < 1 else "gain_e_per_adu is too large") in sentence
    assert f"{noise_of(check).ratio:.2f} times" in sentence
    if background == 100:
        assert noise_of(check).ratio == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_gain_as_wrong_as_a_data_sheets_is_not_made_a_fuss_of(factor: float) -> None:
    assert checked(frames(50, emitters=10), gain_e_per_adu=0.5 * factor).sentences() == []


@pytest.mark.parametrize("too_low", [10, 40, 100])
def test_an_offset_that_is_too_low_is_noticed_and_the_right_one_is_told(too_low: float) -> None:
    check = checked(frames(5, contrast=0), offset_adu=100.0 - too_low)
    (sentence,) = check.sentences()
    assert noise_of(check).excess_adu == pytest.approx(too_low, rel=0.15)
    assert f"offset_adu too low by about {noise_of(check).excess_adu:.0f} ADU" in sentence


def test_frames_darker_than_the_offset_are_noticed() -> None:
    (sentence,) = checked(frames(2, contrast=0), offset_adu=110.0).sentences()
    assert "darker than the camera without light: -3.0 photoelectrons/px" in sentence
    assert "too high, by 6.0 ADU or more" in sentence


@pytest.mark.parametrize(("read_noise_e", "word"), [(4.0, "read_noise_e too large"), (0.2, "read_noise_e too small")])
def test_a_wrong_read_noise_is_noticed_where_there_is_little_light(read_noise_e: float, word: str) -> None:
    (sentence,) = checked(frames(1, contrast=0), read_noise_e=read_noise_e).sentences()
    assert word in sentence


def test_a_missing_calibration_is_noticed() -> None:
    (sentence,) = checked(frames(10, emitters=10), offset_adu=0.0, gain_e_per_adu=1.0, read_noise_e=0.0).sentences()
    assert "Photons and precision are not to be trusted" in sentence


def fits(count: int, *, chi2: float = 1.0, background: float = 10.0) -> Localizations:
    rows = empty(count)
    rng = np.random.default_rng(count)
    rows["chi2"] = chi2 * rng.uniform(0.7, 1.3, count)
    rows["background"] = background * rng.uniform(0.5, 1.5, count)
    return rows


@pytest.mark.parametrize(
    ("fit", "sentence"),
    [
        ({}, None),
        ({"chi2": 1.26}, None),
        ({"chi2": 1.7}, "chi-square 1.7"),
        ({"background": 0.02}, "no background at all: offset_adu is too high"),
    ],
)
def test_fits_speak_where_the_noise_agrees(fit: dict[str, float], sentence: str | None) -> None:
    check = checked(frames(10))
    check.fitted(fits(500, **fit))
    found = check.sentences()
    assert (sentence is None and found == []) or (sentence is not None and sentence in found[0])


def test_few_fits_say_nothing_and_no_frames_neither() -> None:
    check = CalibrationCheck(CameraCalibration(**RIGHT), SIZE, SIZE)
    assert check.noise is None
    check.fitted(fits(99, chi2=5))
    assert check.sentences() == []
    check.fitted(empty())
    check.fitted(fits(50, chi2=5))
    assert len(check.sentences()) == 1


def test_a_long_run_is_looked_at_ever_less_often_from_its_first_frame_to_its_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = 0

    def counted(pixels: np.ndarray) -> np.ndarray:
        nonlocal looked_at
        looked_at += 1
        return local_variance(pixels)

    monkeypatch.setattr("locstream.calibrating.check.local_variance", counted)
    check = CalibrationCheck(CameraCalibration(**RIGHT), 32, 32)
    right, loud = (frames(10, count=8)[:, :32, :32] for _ in range(2))
    loud = np.where(np.arange(8)[:, None, None] % 2, loud, loud + 100)
    length = 16 * EVERY_FRAMES * MOST_PAIRS
    for n in range(length):
        check.see((right if n < 0.6 * length else loud)[n % 8])
    assert MOST_PAIRS < looked_at < 4 * MOST_PAIRS
    assert check.sentences() == [], "most of the run was right"
    for n in range(length):
        check.see(loud[n % 8])
    assert len(check.sentences()) == 1


def test_fits_of_the_whole_run_count_alike_however_many() -> None:
    check = CalibrationCheck(CameraCalibration(**RIGHT), SIZE, SIZE)

    def take(rows: int, chi2: float) -> None:
        for _ in range(rows // 4000):
            check.fitted(fits(4000, chi2=chi2))

    take(5 * MOST_ROWS, 1)
    take(4 * MOST_ROWS, 100)
    assert check.sentences() == []
    take(4 * MOST_ROWS, 100)
    assert "chi-square" in check.sentences()[0]


def test_an_em_camera_that_sees_almost_nothing_is_not_judged() -> None:
    """Of 0.02 photons a pixel and frame most values are read noise, and a few are far above it."""
    em = {"gain_e_per_adu": 10.0, "read_noise_e": 40.0, "em_gain": 300.0}
    stack = sample(CameraCalibration(**{**RIGHT, **em}), 20, size=SIZE, background=0.02, contrast=0)
    check = checked(stack, **em)
    assert noise_of(check).ratio < 0.8
    assert check.sentences() == []


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (15, 15), (300, 3)])
def test_frames_too_small_to_judge_are_not_judged(shape: tuple[int, int]) -> None:
    check = checked(np.full((4, *shape), 200, np.uint16))
    assert check.noise is None
    assert check.sentences() == []


@pytest.mark.parametrize("level", [0, 100, 65535])
def test_frames_without_any_noise_do_not_break_it(level: int) -> None:
    check = checked(np.full((4, 40, 40), level, np.uint16))
    assert noise_of(check).ratio == 0
    assert all(np.isfinite(noise_of(check)))
    check.sentences()


def test_only_what_two_frames_do_not_share_is_noise() -> None:
    """A board's edges, ten times as bright as the rest, are in both frames."""
    rng = np.random.default_rng(1)
    columns, rows = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    mean = np.where((columns // 2 + rows // 2) % 2, 200.0, 20.0)
    stack = (rng.poisson(mean, (20, SIZE, SIZE)) / 0.5 + 100).astype(np.uint16)
    assert noise_of(checked(stack, read_noise_e=0.0)).ratio == pytest.approx(1, abs=0.1)
