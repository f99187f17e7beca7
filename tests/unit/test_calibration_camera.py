"""The camera calibration: from ADU to photoelectrons, cut to a region, refused where it cannot be."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from locstream.calibration import CameraCalibration
from locstream.errors import ConfigError

ROWS, COLUMNS = 5, 7


def ramp(start: float, step: float = 1.0) -> np.ndarray:
    """Return a map in which every pixel differs."""
    return (start + step * np.arange(ROWS * COLUMNS, dtype=np.float32)).reshape(ROWS, COLUMNS)


def test_scalars_turn_adu_into_photoelectrons() -> None:
    camera = CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=0.5)
    found = camera.photoelectrons(np.array([[90, 100], [101, 300]], np.uint16))
    np.testing.assert_array_equal(found, np.array([[-5, 0], [0.5, 100]], np.float32))
    assert found.dtype == np.float32


def test_the_em_gain_is_taken_out() -> None:
    camera = CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=10.0, em_gain=200.0)
    assert camera.photoelectrons(np.array([[300]], np.uint16))[0, 0] == pytest.approx(200 * 10 / 200)
    assert camera.excess_noise_squared == 2
    assert CameraCalibration(100.0).excess_noise_squared == 1


def test_each_pixel_has_its_own_values() -> None:
    offset, gain = ramp(90), ramp(0.4, 0.01)
    camera = CameraCalibration(100.0, offset_adu=offset, gain_e_per_adu=gain)
    adu = np.random.default_rng(1).integers(80, 400, (3, ROWS, COLUMNS), np.uint16)
    np.testing.assert_allclose(camera.photoelectrons(adu), (adu - offset) * gain, rtol=1e-6)


def test_a_map_may_stand_beside_scalars() -> None:
    camera = CameraCalibration(100.0, offset_adu=ramp(90), gain_e_per_adu=2.0)
    assert camera.map_shape == (ROWS, COLUMNS)
    assert CameraCalibration(100.0).map_shape is None
    cut = camera.for_frames(2, 3, roi_x=1, roi_y=2)
    assert (np.shape(cut.offset_adu), cut.gain_e_per_adu) == ((2, 3), 2.0)


def test_a_region_is_cut_by_column_and_row() -> None:
    camera = CameraCalibration(100.0, offset_adu=ramp(0), gain_e_per_adu=ramp(1), read_noise_e=ramp(2), em_gain=3.0)
    cut = camera.for_frames(2, 4, roi_x=3, roi_y=1)
    np.testing.assert_array_equal(cut.offset_adu, ramp(0)[1:3, 3:7])
    np.testing.assert_array_equal(cut.gain_e_per_adu, ramp(1)[1:3, 3:7])
    np.testing.assert_array_equal(cut.read_noise_e, ramp(2)[1:3, 3:7])
    assert (cut.em_gain, cut.pixel_size_nm) == (3.0, 100.0)


def test_maps_of_the_frames_own_shape_are_taken_as_they_are() -> None:
    camera = CameraCalibration(100.0, offset_adu=ramp(0))
    assert camera.for_frames(ROWS, COLUMNS, roi_x=1000, roi_y=500) is camera
    scalar = CameraCalibration(100.0, offset_adu=5.0)
    assert scalar.for_frames(2048, 2048, 10, 10) is scalar


@pytest.mark.parametrize(
    ("x", "y", "height", "width"), [(4, 0, 2, 4), (0, 4, 2, 3), (0, 0, ROWS + 1, 2), (0, 0, 2, 99)]
)
def test_what_is_not_covered_is_refused(x: int, y: int, height: int, width: int) -> None:
    camera = CameraCalibration(100.0, read_noise_e=ramp(1))
    with pytest.raises(ConfigError, match=f"{COLUMNS} × {ROWS} px.*{width} × {height} px at column {x}, row {y}"):
        camera.for_frames(height, width, x, y)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"pixel_size_nm": 0.5}, "pixel_size_nm = 0.5 nm is outside 1 … 10,000 nm"),
        ({"pixel_size_nm": float("nan")}, "pixel_size_nm = nan nm"),
        ({"pixel_size_nm": float("inf")}, "pixel_size_nm = inf nm"),
        ({"quantum_efficiency": 0.0}, r"quantum_efficiency = 0.0 is outside \(0, 1\]"),
        ({"quantum_efficiency": 1.2}, "quantum_efficiency = 1.2"),
        ({"quantum_efficiency": float("nan")}, "quantum_efficiency = nan"),
        ({"em_gain": 0.9}, "em_gain = 0.9 is below 1"),
        ({"em_gain": float("nan")}, "em_gain = nan"),
        ({"gain_e_per_adu": 0.0}, "above 0 e⁻/ADU in every pixel"),
        ({"gain_e_per_adu": ramp(-1)}, "above 0 e⁻/ADU in every pixel"),
        ({"read_noise_e": -0.1}, "read_noise_e must not be negative"),
        ({"offset_adu": float("nan")}, "offset_adu holds 1 values that are not finite"),
        ({"offset_adu": np.where(ramp(0) < 3, np.inf, 100)}, "offset_adu holds 3 values that are not finite"),
        ({"offset_adu": np.zeros(4)}, r"offset_adu has 1 axes; it needs 2"),
        ({"read_noise_e": np.zeros((2, 3, 4))}, r"read_noise_e has 3 axes"),
        ({"offset_adu": ramp(0), "gain_e_per_adu": np.ones((7, 5))}, r"differ in shape: \[\(5, 7\), \(7, 5\)\]"),
    ],
)
def test_what_no_camera_has_is_refused_in_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        CameraCalibration(**{"pixel_size_nm": 100.0, **wrong})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nobody_can_change_it(dtype: type) -> None:
    mine = ramp(90).astype(dtype)
    camera = CameraCalibration(100.0, offset_adu=mine)
    with pytest.raises(FrozenInstanceError):
        camera.em_gain = 2.0
    assert isinstance(camera.offset_adu, np.ndarray)
    with pytest.raises(ValueError, match="read-only"):
        camera.offset_adu[0, 0] = 1
    mine[:] = 0
    np.testing.assert_array_equal(camera.offset_adu, ramp(90))


def test_the_digest_tells_every_value_apart() -> None:
    base: dict[str, Any] = {"pixel_size_nm": 100.0, "offset_adu": ramp(90), "gain_e_per_adu": 0.5, "read_noise_e": 1.0}
    other = ramp(90)
    other[3, 3] += 0.01
    changes: list[dict[str, Any]] = [
        {"pixel_size_nm": 101.0},
        {"offset_adu": other},
        {"offset_adu": 90.0},
        {"gain_e_per_adu": 0.51},
        {"read_noise_e": 1.1},
        {"em_gain": 2.0},
        {"quantum_efficiency": 0.9},
        {"saturation_adu": 4095.0},
    ]
    digests = {CameraCalibration(**{**base, **change}).digest() for change in [{}, *changes]}
    assert len(digests) == len(changes) + 1


def test_equal_calibrations_have_one_digest_whatever_they_were_made_from() -> None:
    first = CameraCalibration(100.0, offset_adu=ramp(90))
    second = CameraCalibration(100, offset_adu=np.asfortranarray(ramp(90).astype(">f8")), em_gain=np.float64(1))
    assert first.digest() == second.digest()
