"""From frames to rows: units, what is refused, what is left out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fitting_frames import expose, light, molecules, scatter
from locstream.calibration.camera import CameraCalibration
from locstream.errors import ConfigError, StackError
from locstream.fitting import FitOptions, Localizer
from locstream.localizations import LOCALIZATION, Localizations

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)


def localize(image: np.ndarray, camera: CameraCalibration = CAMERA, frame: int = 0, **options: float) -> Localizations:
    return Localizer(camera, *image.shape, FitOptions.model_validate(options))(image, frame)


def frame_of(table: np.ndarray, camera: CameraCalibration = CAMERA, seed: int = 0, **more: float) -> np.ndarray:
    """Return a frame of 64 × 96 px."""
    settings = {"sigma": 1.3, "background": 10.0, **more}
    return expose(light(table, 64, 96, **settings), camera, np.random.default_rng(seed))


def test_a_row_says_where_how_bright_and_in_which_frame() -> None:
    rows = localize(frame_of(molecules(70.3, 20.8, 5000)), frame=7)
    assert rows.dtype == LOCALIZATION
    assert len(rows) == 1
    row = rows[0]
    assert row["frame"] == 7
    truth = {"x": 7030, "y": 2080, "sigma_x": 130, "sigma_y": 130}
    for name, value in truth.items():
        assert abs(row[f"{name}_nm"] - value) < 4 * row[f"{name}_uncertainty_nm"] < 40
    assert abs(row["photons"] - 5000) < 4 * row["photons_uncertainty"] < 1000
    assert abs(row["background"] - 10) < 4 * row["background_uncertainty"] < 10
    assert 0.4 < row["chi2"] < 1.8
    assert 1 < row["iterations"] < 20
    assert row["status"] == 0


def test_positions_scale_with_the_pixel_and_nothing_else_does() -> None:
    image = frame_of(scatter(10, 64, 96, np.random.default_rng(3)))
    small = localize(image, CameraCalibration(100.0, 100.0, 0.46, 1.6), psf_sigma_nm=130)
    large = localize(image, CameraCalibration(160.0, 100.0, 0.46, 1.6), psf_sigma_nm=208)
    assert len(small) == len(large) > 5
    for name in LOCALIZATION.names:
        expected = small[name] * np.float32(1.6) if name.endswith("_nm") else small[name]
        np.testing.assert_allclose(large[name], expected, rtol=1e-4, err_msg=name)


def test_quantum_efficiency_turns_photoelectrons_into_photons() -> None:
    image = frame_of(molecules(50, 30, 5000))
    all_count = localize(image)
    some = localize(image, CameraCalibration(100.0, 100.0, 0.46, 1.6, quantum_efficiency=0.8))
    for name in ("photons", "photons_uncertainty", "background", "background_uncertainty"):
        np.testing.assert_allclose(some[name], all_count[name] / 0.8, rtol=1e-6)
    np.testing.assert_array_equal(some["x_nm"], all_count["x_nm"])


def test_behind_an_em_register_photons_are_right_and_errors_as_large_as_they_say() -> None:
    camera = CameraCalibration(100.0, 400.0, 8.0, 40.0, em_gain=100.0, quantum_efficiency=0.9)
    rng = np.random.default_rng(5)
    localizer = Localizer(camera, 64, 96, FitOptions())
    places = [(x, y) for y in (16, 32, 48) for x in (16, 32, 48, 64, 80)]
    pulls = []
    for _ in range(30):
        x, y = np.array(places).T + rng.uniform(-0.5, 0.5, (2, len(places)))
        mean = light(molecules(x, y, 2000), 64, 96, sigma=1.3, background=5)
        rows = localizer(expose(mean, camera, rng), 0)
        assert len(rows) == len(places)
        rows = rows[np.lexsort((np.rint(rows["x_nm"] / 1600), np.rint(rows["y_nm"] / 1600)))]
        pulls.append(
            [
                (rows["x_nm"] / 100 - x) / (rows["x_uncertainty_nm"] / 100),
                (rows["photons"] - 2000) / rows["photons_uncertainty"],
            ]
        )
    pull = np.array(pulls)
    np.testing.assert_allclose(pull.std(axis=(0, 2)), 1, atol=0.12)
    assert np.abs(pull.mean(axis=(0, 2))).max() < 0.25


def test_a_whole_camera_of_maps_gives_what_its_scalars_give() -> None:
    image = frame_of(scatter(15, 64, 96, np.random.default_rng(1)))
    full = np.ones((64, 96), np.float32)
    mapped = CameraCalibration(100.0, 100 * full, np.float32(0.46) * full, np.float32(1.6) * full)
    a, b = localize(image), localize(image, mapped)
    assert len(a) == len(b) > 10
    for name in LOCALIZATION.names:
        np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=1e-4, err_msg=name)


def test_pixels_that_differ_are_seen_through_by_their_maps() -> None:
    rng = np.random.default_rng(8)
    maps = CameraCalibration(
        100.0,
        rng.normal(100, 8, (64, 96)).astype(np.float32),
        rng.normal(0.46, 0.03, (64, 96)).astype(np.float32),
        rng.uniform(1, 4, (64, 96)).astype(np.float32),
    )
    flat = CameraCalibration(100.0, 100.0, 0.46, 2.5)
    x, y = np.meshgrid(np.arange(10, 90, 12) + 0.3, np.arange(10, 56, 12) - 0.2)
    table = molecules(x.ravel(), y.ravel(), 600)
    image = frame_of(table, maps, sigma=1.3, background=5.0)

    def error(camera: CameraCalibration) -> float:
        rows = localize(image, camera)
        near = np.hypot(rows["x_nm"][:, None] / 100 - x.ravel(), rows["y_nm"][:, None] / 100 - y.ravel()).min(axis=0)
        return float(np.sqrt(np.mean(np.minimum(near, 1) ** 2)))

    assert error(maps) < 0.8 * error(flat)


def test_a_box_of_any_size_finds_the_same_molecules() -> None:
    table = molecules([20.2, 50.4, 75.1], [30.3, 20.1, 45.6], 4000)
    image = frame_of(table)
    for box in (5, 7, 11):
        rows = localize(image, box_px=box)
        found = np.sort(rows["x_nm"])
        np.testing.assert_allclose(found, [2020, 5040, 7510], atol=30)


def test_molecules_at_the_edge_are_found_inside_the_frame() -> None:
    table = molecules([0.2, 94.8, 40.0, 60.0], [30.0, 30.0, 0.3, 62.9], 5000)
    rows = localize(frame_of(table))
    found = sorted((round(float(r["x_nm"]) / 100), round(float(r["y_nm"]) / 100)) for r in rows)
    assert found == [(0, 30), (40, 0), (60, 63), (95, 30)]


def test_a_saturated_spot_is_left_out() -> None:
    table = molecules([30, 60], [30, 30], [40_000, 3000])
    image = np.minimum(frame_of(table), 4095)
    camera = CameraCalibration(100.0, 100.0, 0.46, 1.6, saturation_adu=4095)
    rows = localize(image, camera)
    assert len(rows) == 1
    assert rows["x_nm"][0] == pytest.approx(6000, abs=30)


def test_two_molecules_two_pixels_apart_are_two_rows() -> None:
    rows = localize(frame_of(molecules([40.0, 42.4], [30.0, 30.4], [3000, 2500])))
    np.testing.assert_allclose(np.sort(rows["x_nm"]), [4000, 4240], atol=35)


def test_a_second_molecule_that_shows_no_peak_is_found_in_what_remains() -> None:
    table = molecules([40.0, 41.7], [30.0, 30.9], [9000, 5000])
    rows = localize(frame_of(table), min_separation_px=3)
    assert len(rows) == 2
    np.testing.assert_allclose(np.sort(rows["x_nm"]), [4000, 4170], atol=30)
    np.testing.assert_allclose(np.sort(rows["photons"]), [5000, 9000], rtol=0.15)


def test_a_wide_round_spot_stays_one_molecule() -> None:
    """Out of focus: as wide as a pair of molecules, and round."""
    found = [len(localize(frame_of(molecules(48.3, 32.1, 6000), seed=k, sigma=1.9))) for k in range(20)]
    assert np.mean(np.array(found) == 1) >= 0.9


def test_a_bright_spot_that_is_not_quite_a_gaussian_stays_one_molecule() -> None:
    y, x = np.mgrid[:64, :96]
    r2 = ((x - 48.2) ** 2 + (y - 31.7) ** 2) / (2 * 1.3**2)
    airy_like = np.exp(-r2) * (1 + 0.15 * np.cos(2 * np.sqrt(r2)))
    for photons in (3e3, 3e4, 3e5):
        mean = 10 + photons * airy_like / airy_like.sum()
        rows = localize(expose(mean, CAMERA, np.random.default_rng(0)))
        assert len(rows) == 1, photons


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_a_bright_spot_that_is_a_fifth_longer_than_wide_stays_one_molecule(degrees: float) -> None:
    rng = np.random.default_rng(round(degrees))
    localizer = Localizer(CAMERA, 40, 40, FitOptions())
    fine = np.arange(40 * 5) / 5 - 0.4  # five points a pixel
    found = []
    for _ in range(40):
        centre = 20 + rng.uniform(-0.5, 0.5, 2)
        away = (fine + 1j * fine[:, None] - complex(*centre)) * np.exp(-1j * np.radians(degrees))
        image = np.exp(-(away.real**2) / (2 * 1.3**2 * 1.2) - away.imag**2 / (2 * 1.3**2 / 1.2))
        image = image.reshape(40, 5, 40, 5).sum(axis=(1, 3))
        rows = localizer(expose(10 + 5000 * image / image.sum(), CAMERA, rng), 0)
        found.append(len(rows))
    assert np.mean(np.array(found) == 1) >= 0.9


@pytest.mark.parametrize("value", [0, 100, 4095, 65_535])
@pytest.mark.parametrize("shape", [(64, 96), (7, 7), (5, 40), (3, 3), (1, 1), (6, 100)], ids=str)
def test_a_constant_frame_has_no_rows(shape: tuple[int, int], value: int) -> None:
    rows = localize(np.full(shape, value, np.uint16))
    assert rows.dtype == LOCALIZATION
    assert len(rows) == 0


def test_a_stack_without_calibration_is_localized_by_its_own_noise() -> None:
    """An EM camera nobody told of: its noise is near twenty times what its ADU would have as photons."""
    rng = np.random.default_rng(4)
    truth = CameraCalibration(100.0, 50.0, 0.05, 1.0)
    table = scatter(25, 128, 128, rng)
    table["photons"] += 600
    image = expose(light(table, 128, 128, sigma=1.3, background=20), truth, rng)
    unknown = CameraCalibration(100.0)
    rows = localize(image, unknown)
    assert abs(len(rows) - 25) <= 2
    assert 0.6 < np.median(rows["chi2"]) < 1.6
    near = np.hypot(rows["x_nm"][:, None] / 100 - table["x"], rows["y_nm"][:, None] / 100 - table["y"]).min(axis=0)
    assert np.median(near) < 0.15
    known = localize(image, truth)
    photons = [np.median(r["photons"]) for r in (rows, known)]
    assert photons[0] == pytest.approx(photons[1] / 0.05, rel=0.15), "photons are those of the calibration as it is"


def test_no_frame_has_a_say_in_another() -> None:
    rng = np.random.default_rng(2)
    frames = [frame_of(scatter(n, 64, 96, rng), seed=n) for n in (5, 30, 60)]
    frames += [np.full((64, 96), 200, np.uint16), (frames[0] // 4).astype(np.uint16)]
    first = Localizer(CAMERA, 64, 96, FitOptions())
    forward = [first(f, k).tobytes() for k, f in enumerate(frames)]
    second = Localizer(CAMERA, 64, 96, FitOptions())
    backward = [second(f, k).tobytes() for k, f in reversed(list(enumerate(frames)))]
    assert forward == backward[::-1]


def test_a_frame_is_read_wherever_it_lies_in_memory_and_never_written() -> None:
    image = frame_of(scatter(20, 64, 96, np.random.default_rng(1)))
    expected = localize(image).tobytes()
    before = image.copy()
    wire = np.frombuffer(image.tobytes(), np.uint16).reshape(image.shape)
    odd = np.frombuffer(b"x" + image.tobytes(), np.uint16, offset=1).reshape(image.shape)
    wide = np.zeros((64, 200), np.uint16)
    wide[:, 3:195:2] = image
    for other in (wire, odd, wide[:, 3:195:2], np.asfortranarray(image)):
        assert localize(other).tobytes() == expected
    np.testing.assert_array_equal(image, before)


def test_a_crowded_frame_neither_fails_nor_loses_any() -> None:
    """Noise with a threshold so low that every tenth pixel is a peak."""
    rng = np.random.default_rng(0)
    image = rng.poisson(200, (256, 256)).astype(np.uint16)
    rows = localize(image, threshold=2.0)
    assert len(rows) > 100
    assert np.isfinite(rows["x_nm"]).all()


@pytest.mark.full
def test_a_hundred_thousand_molecules_in_a_frame() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[8:2040:6, 8:2040:6]
    table = molecules((x + rng.uniform(-0.5, 0.5, x.shape)).ravel(), y.ravel(), 2000)
    camera = CameraCalibration(100.0, 100.0, 0.46, 1.6)
    image = expose(light(table, 2048, 2048, sigma=1.0, background=5), camera, rng)
    rows = localize(image, psf_sigma_nm=100.0)
    assert len(rows) == pytest.approx(len(table), rel=0.03), "in a crowd one in forty may be noise"
    assert len(table) > 100_000


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((64, 95), np.uint16), r"\(64, 95\) came where \(rows, columns\) = \(64, 96\)"),
        (np.zeros((2, 64, 96), np.uint16), r"\(2, 64, 96\)"),
        (np.zeros(64 * 96, np.uint16), r"\(6144,\)"),
        (np.zeros((64, 96), np.float32), "float32"),
        (np.zeros((64, 96), np.int16), "int16"),
        (np.zeros((64, 96), np.uint8), "uint8"),
        (np.zeros((64, 96), ">u2"), ">u2|uint16"),
        ([[0] * 96] * 64, r"\(64, 96\)"),
        (None, r"\(\)"),
    ],
    ids=["too narrow", "three axes", "one axis", "float", "signed", "bytes", "big-endian", "a list", "nothing"],
)
def test_what_is_no_frame_is_refused(image: np.ndarray, message: str) -> None:
    localizer = Localizer(CAMERA, 64, 96, FitOptions())
    with pytest.raises(StackError, match=message):
        localizer(image, 0)


def test_a_calibration_too_small_for_the_frames_is_refused() -> None:
    with pytest.raises(ConfigError, match="the frames need 96 × 64 px"):
        Localizer(CameraCalibration(100.0, np.zeros((32, 32), np.float32)), 64, 96, FitOptions())


def test_warmup_leaves_nothing_to_compile_for_the_defaults() -> None:
    """In a process of its own: which kernels the tests have compiled before does not count there."""
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3


WARM = """
import numpy as np
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer, frame as of_frame, noise, warmup

kernels = [of_frame.localize, of_frame._lay_out, noise.look_at_blocks]
warmup()
compiled = [len(k.signatures) for k in kernels]
full = np.ones((64, 96), np.float32)
frame = np.random.default_rng(0).poisson(120, (64, 96)).astype(np.uint16)
frame[20:23, 20:23] += 2000
frame[20:23, 24:27] += 2000
for camera in (
    CameraCalibration(100.0),
    CameraCalibration(130.0, 100 * full, full, full, em_gain=100, quantum_efficiency=0.9, saturation_adu=60_000),
    CameraCalibration(130.0, 100 * full, 30 * full, full),
):
    for image in (frame, np.frombuffer(frame.tobytes(), np.uint16).reshape(frame.shape)):
        assert len(Localizer(camera, 64, 96, FitOptions(threshold=4))(image, 0)) > 0
for k, before in zip(kernels, compiled):
    print(before > 0 and len(k.signatures) == before)
"""
