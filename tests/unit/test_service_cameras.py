"""The calibration of the camera that is really there: by serial number, by name, cropped to the region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from locstream.errors import ConfigError
from locstream.stacks.source import SourceInfo
from locstreamd.service.cameras import best_match, calibration_for
from locstreamd.service.config import CameraSettings, Config

INFO = SourceInfo(camera="Andor", serial="X-1", width=4, height=3, bit_depth=14)


def config(*cameras: CameraSettings) -> Config:
    return Config(camera=cameras)


def test_a_serial_number_wins_over_a_name_and_a_name_over_a_star() -> None:
    star = CameraSettings(offset_adu=1)
    name = CameraSettings(name="Andor", offset_adu=2)
    serial = CameraSettings(serial="X-1", offset_adu=3)
    other = CameraSettings(name="Andor", serial="X-2", offset_adu=4)
    assert best_match((star, other), INFO) is star
    assert best_match((star, name, other), INFO) is name
    assert best_match((star, serial, name, other), INFO) is serial
    assert best_match((other,), INFO) is None


def test_values_and_saturation_are_the_cameras() -> None:
    entry = CameraSettings(pixel_size_nm=100, offset_adu=99, gain_e_per_adu=0.5, read_noise_e=1.5, em_gain=2)
    calibration, warnings = calibration_for(config(entry), INFO)
    assert (calibration.offset_adu, calibration.gain_e_per_adu, calibration.read_noise_e) == (99, 0.5, 1.5)
    assert calibration.em_gain == 2
    assert calibration.saturation_adu == 2**14 - 1
    assert warnings == []


def test_no_calibration_is_said_loudly() -> None:
    calibration, (warning,) = calibration_for(Config(), SourceInfo("Andor", 4, 3, pixel_size_nm=100))
    assert calibration.gain_e_per_adu == 1
    assert "photons are ADU" in warning
    assert "'Andor'" in warning


def test_the_command_line_wins_over_the_entry_and_the_entry_over_the_source() -> None:
    info = SourceInfo("Andor", 4, 3, pixel_size_nm=90)
    entry = CameraSettings(pixel_size_nm=100)
    assert calibration_for(config(CameraSettings()), info)[0].pixel_size_nm == 90
    assert calibration_for(config(entry), info)[0].pixel_size_nm == 100
    assert calibration_for(config(entry), info, pixel_size_nm=110)[0].pixel_size_nm == 110


def test_an_unknown_pixel_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pixel size of the camera 'Andor' \(serial X-1\) is not known"):
        calibration_for(Config(), INFO)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_maps_are_read_and_cropped_to_the_region(tmp_path: Path, suffix: str) -> None:
    sensor: np.ndarray = np.arange(8 * 9, dtype=np.float32).reshape(8, 9)
    path = tmp_path / f"offset{suffix}"
    if suffix == ".npy":
        np.save(path, sensor)
    else:
        tifffile.imwrite(path, sensor)
    info = SourceInfo("Andor", width=4, height=3, roi_x=2, roi_y=1)
    entry = CameraSettings(pixel_size_nm=100, offset_adu=path)
    calibration, _ = calibration_for(config(entry), info)
    np.testing.assert_array_equal(calibration.offset_adu, sensor[1:4, 2:6])


def test_maps_that_do_not_cover_the_region_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.zeros((3, 3), np.float32))
    entry = CameraSettings(pixel_size_nm=100, offset_adu=tmp_path / "o.npy")
    with pytest.raises(ConfigError, match="3 × 3 px, the frames need 4 × 3 px"):
        calibration_for(config(entry), INFO)


def test_what_is_no_map_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.array(["a"]))
    (tmp_path / "broken.tif").write_text("no tiff")
    (tmp_path / "map.csv").write_text("1,2")
    for name in ("pickled.npy", "text.npy", "broken.tif", "map.csv", "missing.npy"):
        entry = CameraSettings(pixel_size_nm=100, offset_adu=tmp_path / name)
        with pytest.raises(ConfigError, match=name):
            calibration_for(config(entry), INFO)
