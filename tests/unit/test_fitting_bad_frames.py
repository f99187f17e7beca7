"""Whatever comes for a frame: a clear error, or rows that are right. Never a crash, never a number that is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

import locstream
from fitting_frames import expose, light, molecules
from locstream.calibration.camera import CameraCalibration
from locstream.errors import ConfigError, StackError
from locstream.fitting import FitOptions, FitStatus, Localizer
from locstream.localizations import LOCALIZATION, Localizations

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6, saturation_adu=4095)
SHAPE = 48, 64
Run = Callable[..., Localizations]


def by_fit(image: np.ndarray, camera: CameraCalibration = CAMERA, **options: object) -> Localizations:
    return locstream.fit(np.asarray(image)[None], camera, FitOptions.model_validate(options), threads=1)


def by_localizer(image: np.ndarray, camera: CameraCalibration = CAMERA, **options: object) -> Localizations:
    return Localizer(camera, *np.shape(image), FitOptions.model_validate(options))(image, 0)


def three_molecules(camera: CameraCalibration = CAMERA) -> np.ndarray:
    table = molecules([12.3, 40.2, 52.6], [11.8, 30.4, 14.1], 3000)
    return expose(light(table, *SHAPE, sigma=1.3, background=10.0), camera, np.random.default_rng(0))


def sound(rows: Localizations, shape: tuple[int, int] = SHAPE) -> None:
    """All that every row promises."""
    assert rows.dtype == LOCALIZATION
    for name in rows.dtype.names:
        assert np.isfinite(rows[name]).all(), name
        assert (rows[name] >= 0).all(), name
    assert (rows["x_nm"] <= 100.0 * (shape[1] - 1)).all()
    assert (rows["y_nm"] <= 100.0 * (shape[0] - 1)).all()
    assert (rows["status"] == FitStatus.CONVERGED).all()


both = pytest.mark.parametrize("run", [by_fit, by_localizer])

FLOATS = three_molecules().astype(np.float32)
WITH_NAN = FLOATS.copy()
WITH_NAN[5, 5] = np.nan
NEGATIVE = three_molecules().astype(np.int16) - np.int16(120)


@both
@pytest.mark.parametrize(
    ("image", "what"),
    [
        (FLOATS, "float32"),
        (FLOATS.astype(np.float64), "float64"),
        (WITH_NAN, "float32"),
        (NEGATIVE, "int16"),
        (three_molecules().astype(np.uint8), "uint8"),
        (three_molecules().astype(np.int64), "int64"),
        (three_molecules() > 200, "bool"),
        (three_molecules().astype(">u2"), ">u2"),
    ],
    ids=["float32", "float64", "not a number", "negative", "uint8", "int64", "bool", "big-endian"],
)
def test_what_is_not_the_cameras_own_pixel_is_refused(run: Run, image: np.ndarray, what: str) -> None:
    with pytest.raises(StackError, match=what) as refused:
        run(image)
    assert refused.value.todo


@both
@pytest.mark.parametrize("shape", [(1, 64), (48, 1), (1, 1), (3, 3), (6, 64), (48, 6)], ids=str)
def test_a_frame_smaller_than_the_box_holds_no_molecule(run: Run, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    rows = run(rng.integers(0, 4000, shape).astype(np.uint16))
    assert rows.dtype == LOCALIZATION
    assert len(rows) == 0


@both
@pytest.mark.parametrize("shape", [(0, 0), (0, 64), (48, 0)], ids=str)
def test_a_frame_without_pixels_is_refused(run: Run, shape: tuple[int, int]) -> None:
    with pytest.raises(StackError, match="have no pixels"):
        run(np.zeros(shape, np.uint16))


@both
def test_a_box_larger_than_the_frame_finds_nothing(run: Run) -> None:
    image = three_molecules()[:12, :12]
    assert len(run(image, box_px=13)) == 0
    assert len(run(three_molecules()[4:19, 5:20], box_px=15)) == 1


@both
@pytest.mark.parametrize("value", [0, 1, 100, 4094, 4095, 65_535])
def test_a_frame_that_is_all_alike_has_no_rows(run: Run, value: int) -> None:
    assert len(run(np.full(SHAPE, value, np.uint16))) == 0


@both
def test_what_is_saturated_is_left_out_and_nothing_else(run: Run) -> None:
    image = three_molecules()
    image[28:33, 38:43] = 4095
    rows = run(image)
    sound(rows)
    assert len(rows) == 2
    np.testing.assert_allclose(np.sort(rows["x_nm"]), [1230, 5260], atol=40)
    assert len(run(np.full(SHAPE, 65_535, np.uint16))) == 0


@both
def test_a_frame_darker_than_the_offset_is_sound(run: Run) -> None:
    """An offset that is 60 ADU too high: all light between the molecules is negative."""
    dark = CameraCalibration(100.0, 160.0, 0.46, 1.6)
    sound(run(three_molecules(), dark))
    assert len(run(np.zeros(SHAPE, np.uint16), dark)) == 0


@both
@pytest.mark.parametrize("mean", [1.0, 60.0, 20_000.0])
def test_nothing_but_noise(run: Run, mean: float) -> None:
    image = np.random.default_rng(2).poisson(mean, SHAPE).astype(np.uint16)
    rows = run(image, CameraCalibration(100.0, 0.0, 1.0, 1.0))
    sound(rows)
    assert len(rows) <= 1


@both
def test_white_noise_over_the_whole_range_is_sound(run: Run) -> None:
    image = np.random.default_rng(3).integers(0, 65_536, SHAPE).astype(np.uint16)
    sound(run(image, CameraCalibration(100.0, 100.0, 0.46, 1.6)))


@both
def test_one_pixel_that_never_was_a_molecule(run: Run) -> None:
    """A hot pixel is narrower than any molecule: no row, or one that says it is narrow, and the others as they were."""
    image = three_molecules()
    image[40, 10] = 3000
    rows = run(image)
    sound(rows)
    molecule = rows["sigma_x_nm"] > 100
    assert molecule.sum() == 3
    assert (~molecule).sum() <= 1


@both
def test_maps_of_another_shape_are_refused(run: Run) -> None:
    for shape in ((47, 64), (48, 63), (1, 64)):
        with pytest.raises(ConfigError, match="the frames need 64 × 48 px"):
            run(three_molecules(), CameraCalibration(100.0, 100.0, np.full(shape, 0.46, np.float32), 1.6))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("psf_sigma_nm", 0.0),
        ("psf_sigma_nm", -130.0),
        ("psf_sigma_nm", 2_001.0),
        ("psf_sigma_nm", float("nan")),
        ("psf_sigma_nm", float("inf")),
        ("box_px", 3),
        ("box_px", 8),
        ("box_px", 17),
        ("threshold", 1.9),
        ("threshold", float("nan")),
        ("threshold", 101.0),
        ("min_separation_px", 0),
        ("model", "round"),
        ("background", "rolling ball"),
        ("treshold", 5.0),
    ],
)
def test_options_out_of_bounds_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ValidationError, match=option):
        FitOptions.model_validate({option: value})


@both
@pytest.mark.parametrize("psf_sigma_nm", [1e-3, 5.0, 20.0, 600.0, 2_000.0])
@pytest.mark.parametrize("model", ["sigma", "sigma_xy", "fixed"])
def test_a_width_that_does_not_go_with_the_pixels_gives_sound_rows(run: Run, psf_sigma_nm: float, model: str) -> None:
    sound(run(three_molecules(), psf_sigma_nm=psf_sigma_nm, model=model))


def test_frames_that_change_shape_or_are_no_frames() -> None:
    frames = [three_molecules() for _ in range(9)]
    for odd in range(1, 9):  # whichever of the threads it meets, and whatever that has seen before
        others = [*frames[:odd], frames[odd][:, 1:], *frames[odd + 1 :]]
        with pytest.raises(StackError, match=r"\(48, 63\) came where .* = \(48, 64\)"):
            locstream.fit(others, CAMERA, threads=4)
    with pytest.raises(StackError, match="3 axes"):
        locstream.fit(np.zeros((2, 3, 48, 64), np.uint16), CAMERA)
    with pytest.raises(StackError, match="1 axes"):
        locstream.fit(three_molecules(), CAMERA)
    assert len(locstream.fit([], CAMERA)) == 0
    assert len(locstream.fit(np.zeros((0, 48, 64), np.uint16), CAMERA)) == 0


@both
@pytest.mark.parametrize("model", ["sigma", "fixed", "sigma_xy"])
def test_a_frame_full_of_molecules(run: Run, model: str) -> None:
    """So many that each pixel has light of several: what is found is sound, and no more than can be told apart."""
    rng = np.random.default_rng(4)
    n = 6_000 if model == "sigma" else 2_000
    side = 128
    table = molecules(rng.uniform(0, side - 1, n), rng.uniform(0, side - 1, n), rng.uniform(200, 3000, n))
    image = expose(light(table, side, side, sigma=1.3, background=10.0), CAMERA, rng)
    rows = run(image, CameraCalibration(100.0, 100.0, 0.46, 1.6), model=model)
    sound(rows, (side, side))
    assert 100 < len(rows) < n


@pytest.mark.full
def test_a_hundred_thousand_molecules_at_random_in_a_frame() -> None:
    rng = np.random.default_rng(5)
    n, side = 100_000, 1024
    table = molecules(rng.uniform(0, side - 1, n), rng.uniform(0, side - 1, n), rng.uniform(200, 3000, n))
    image = expose(light(table, side, side, sigma=1.3, background=10.0), CAMERA, rng)
    rows = by_localizer(image, CameraCalibration(100.0, 100.0, 0.46, 1.6))
    sound(rows, (side, side))
    assert 0.1 * n < len(rows) < n
