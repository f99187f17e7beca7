"""How well fits describe their data: told in numbers, and in a sentence where something is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, molecules
from locstream.calibrating.check import CalibrationCheck
from locstream.calibrating.fit_quality import (
    DEEPER_NM,
    FEWEST_ROWS,
    LATEST_FITS,
    LATEST_SPOTS,
    MOST_ROWS,
    PATTERN,
    SPAN_FRAMES,
    FitQuality,
    ThenAndNow,
)
from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.residuals import ResidualMap, Residuals
from locstream.localizations import LOCALIZATION_3D, Localizations, empty
from locstream.stream.quality import Quality

SIZE = 128
CAMERA = CameraCalibration(
    pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.6, saturation_adu=65_535.0
)


def fitted(
    true_sigma_px: float, options: FitOptions, *, background: float = 10.0, photons: float = 1_500.0, frames: int = 12
) -> CalibrationCheck:
    """Fit simulated molecules that stand alone, as an acquisition does, and return what was noticed."""
    rng = np.random.default_rng([int(100 * true_sigma_px), int(10 * background)])
    check = CalibrationCheck(CAMERA, SIZE, SIZE, options)
    localizer, compare = (
        Localizer(CAMERA, SIZE, SIZE, options),
        ResidualMap(CAMERA, SIZE, SIZE, options.box_px),
    )
    y, x = (axis.ravel() for axis in np.mgrid[10 : SIZE - 9 : 14, 10 : SIZE - 9 : 14].astype(float))
    for number in range(frames):
        table = molecules(x + rng.uniform(-1, 1, x.size), y + rng.uniform(-1, 1, x.size), photons)
        image = expose(light(table, SIZE, SIZE, sigma=true_sigma_px, background=background), CAMERA, rng)
        rows = localizer(image, number)
        check.see(image)
        check.fitted(rows)
        check.quality.add_residuals(compare(image, rows))
    return check


@pytest.mark.parametrize("background", [1.0, 10.0, 100.0])
def test_the_right_model_leaves_noise_alone(background: float) -> None:
    check = fitted(1.3, FitOptions(), background=background)
    quality = check.quality.report()
    assert quality.fits > 700
    assert quality.chi2 == pytest.approx(1, abs=0.05)
    assert quality.chi2_excess == pytest.approx(0.01, abs=0.015)
    assert quality.residual_rms < PATTERN / 3
    assert max(np.abs(quality.residuals)) < 5 / quality.residual_spots**0.5
    assert check.sentences() == []


@pytest.mark.parametrize(
    ("true_sigma_px", "sentence"),
    [(1.0, "brighter in the middle"), (1.8, "darker in the middle")],
)
def test_a_wrong_width_shows_as_a_pattern_and_is_told_once(true_sigma_px: float, sentence: str) -> None:
    check = fitted(true_sigma_px, FitOptions(model="fixed", psf_sigma_nm=130.0))
    quality = check.quality.report()
    middle = np.reshape(quality.residuals, (7, 7))[3, 3]
    assert (middle > 0) == (true_sigma_px < 1.3)
    assert quality.residual_rms > PATTERN
    assert quality.chi2_excess > 0.1
    (told,) = check.sentences()
    assert sentence in told
    assert f"psf_sigma_nm = 130 nm is too {'large' if middle > 0 else 'small'}" in told


def test_skirts_are_a_pattern_although_the_width_is_fitted() -> None:
    """A third of the light in a halo: the best Gaussian is too wide for the core and too narrow for the rest."""
    rng = np.random.default_rng(8)
    quality = FitQuality(FitOptions(), CAMERA)
    localizer, compare = Localizer(CAMERA, 96, 96, FitOptions()), ResidualMap(CAMERA, 96, 96, 7)
    y, x = (axis.ravel() for axis in np.mgrid[12:90:14, 12:90:14].astype(float))
    for number in range(14):
        core = light(molecules(x, y, 14_000), 96, 96, sigma=1.0, background=10)
        halo = light(molecules(x, y, 7_000), 96, 96, sigma=2.6, background=0)
        image = expose(core + halo, CAMERA, rng)
        rows = localizer(image, number)
        quality.add(rows)
        quality.add_residuals(compare(image, rows))
    (told,) = quality.pattern()
    assert "brighter in the middle" in told
    assert "no Gaussian" in told


def test_few_molecules_are_not_judged() -> None:
    quality = FitQuality(FitOptions(), CAMERA)
    quality.add_residuals(Residuals(np.full((7, 7), 50.0, np.float32), 50))
    assert quality.report().residual_rms == pytest.approx(np.sqrt(1 - 1 / 50))
    assert quality.pattern() == []


def test_what_is_old_is_forgotten() -> None:
    quality = FitQuality(FitOptions(), CAMERA)
    for value in (0.0, 1.0):
        for _ in range(10):
            quality.add_residuals(Residuals(np.full((7, 7), value * LATEST_SPOTS, np.float32), LATEST_SPOTS))
            rows = empty(LATEST_FITS)
            rows["chi2"] = 1 + value
            quality.add(rows)
    report = quality.report()
    assert report.fits == LATEST_FITS
    assert report.chi2 == 2
    assert report.residual_spots <= LATEST_SPOTS
    assert report.residuals[0] == pytest.approx(1, abs=0.01)


def test_before_the_first_fit_there_is_nothing_to_tell() -> None:
    quality = FitQuality(FitOptions(), CAMERA)
    quality.add(empty())
    assert quality.report() == Quality()
    assert quality.report().text == ""
    assert quality.changes() == []


def rows_of(frames: range, width_nm: float, per_frame: int = 2, z_nm: float | None = None) -> Localizations:
    rows = empty(per_frame * len(frames)) if z_nm is None else empty(per_frame * len(frames), LOCALIZATION_3D)
    rows["frame"] = np.repeat(np.arange(frames.start, frames.stop), per_frame)
    spread = np.random.default_rng(frames.start).normal(1, 0.1, len(rows))
    rows["sigma_x_nm"], rows["sigma_y_nm"], rows["chi2"] = 0.8 * width_nm * spread, 1.25 * width_nm * spread, 1
    if z_nm is not None:
        rows["z_nm"] = z_nm + 300 * (spread - 1)
    return rows


def test_a_focus_that_drifts_is_told_with_both_widths() -> None:
    quality = FitQuality(FitOptions(), CAMERA)
    for first in range(0, 6_000, 50):
        quality.add(rows_of(range(first, first + 50), 131 if first < 3_000 else 150))
        early = first < 3_000
        assert not (early and quality.changes()), "not before it happens"
    (told,) = quality.changes()
    assert told == "the width of the molecules went from 131 nm to 150 nm since the start: refocus?"
    assert "width 131 → 150 nm" in quality.report().text


@pytest.mark.parametrize("width_nm", [110, 131, 139])
def test_a_width_that_hardly_grows_or_shrinks_is_not_made_a_fuss_of(width_nm: float) -> None:
    quality = FitQuality(FitOptions(), CAMERA)
    quality.add(rows_of(range(1_500), 131))
    quality.add(rows_of(range(1_500, 6_000), width_nm))
    assert quality.changes() == []
    assert quality.report().width_now_nm == pytest.approx(width_nm, rel=0.02)


def test_with_depth_it_is_the_depth_that_tells() -> None:
    quality = FitQuality(FitOptions(model="sigma_xy"), CAMERA)
    quality.add(rows_of(range(1_500), 150, z_nm=-40))
    assert quality.changes() == []
    quality.add(rows_of(range(1_500, 4_000), 150, z_nm=-40 + 1.2 * DEEPER_NM))
    (told,) = quality.changes()
    first, now = quality.report().z_first_nm, quality.report().z_now_nm
    assert first == pytest.approx(-40, abs=5)
    assert now == pytest.approx(-40 + 1.2 * DEEPER_NM, abs=5)
    assert f"the depth of the molecules went from {first:+.0f} nm to {now:+.0f} nm" in told


def test_the_beginning_lasts_until_there_are_enough_molecules() -> None:
    column = ThenAndNow()
    frames = np.arange(0, 30 * FEWEST_ROWS, 30, dtype=np.uint32)
    column.add(frames[:-1], np.full(FEWEST_ROWS - 1, 131, np.float32))
    assert column.both is None
    column.add(frames[-1:], np.full(1, 131, np.float32))
    assert column.both == (131, 131)


def test_the_present_is_the_latest_frames() -> None:
    column = ThenAndNow()
    for first, value in ((0, 100.0), (SPAN_FRAMES + 1, 200.0), (2 * SPAN_FRAMES + 2, 300.0)):
        frames = np.arange(first, first + SPAN_FRAMES + 1, dtype=np.uint32)
        column.add(frames, np.full(len(frames), value, np.float32))
    assert column.both == (100, 300)


def test_memory_stays_flat_where_there_are_many_molecules() -> None:
    column = ThenAndNow()
    for frame in range(40):
        column.add(np.full(MOST_ROWS, frame, np.uint32), np.ones(MOST_ROWS, np.float32))
        assert len(column._values) <= MOST_ROWS
