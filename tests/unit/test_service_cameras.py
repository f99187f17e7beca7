"""The calibration of the camera that is really there: by serial number, by name, cropped to the region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from camera_frames import sample
from locstream.calibration import CameraCalibration
from locstream.calibration.camera import MAPS
from locstream.calibration.file import GAIN_UNCERTAINTY, CalibrationHeader, Region, write_calibration
from locstream.errors import ConfigError
from locstream.stacks.source import SourceInfo
from locstreamd.service.cameras import FRAMES_FOR_ESTIMATE, Fallback, best_match, calibration_for, estimated
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
    calibration, warnings, _ = calibration_for(config(entry), INFO)
    assert (calibration.offset_adu, calibration.gain_e_per_adu, calibration.read_noise_e) == (99, 0.5, 1.5)
    assert calibration.em_gain == 2
    assert calibration.saturation_adu == 2**14 - 1
    assert warnings == []


def test_no_calibration_is_said_loudly() -> None:
    calibration, (warning,), _ = calibration_for(Config(), SourceInfo("Andor", 4, 3, pixel_size_nm=100))
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
    calibration, _, _ = calibration_for(config(entry), info)
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


def stored(folder: Path, name: str = "andor.h5", **changes: object) -> Path:
    """Store a calibration of 10 × 8 px of the sensor from column 5, row 6, whose pixels all differ."""
    known: dict[str, object] = {"camera": "Andor", "serial": "X-1", "region": Region(x=5, y=6, width=10, height=8)}
    header = CalibrationHeader.model_validate({**known, "dark_frames": 100, "light_frames": (50,) * 3, **changes})
    ramp = 1 + np.arange(80.0).reshape(8, 10)
    write_calibration(folder / name, header, dict.fromkeys((*MAPS, GAIN_UNCERTAINTY), ramp))
    return folder / name


@pytest.mark.parametrize("place", ["andor.h5", "."])
def test_a_stored_calibration_is_found_and_cut_to_the_frames(tmp_path: Path, place: str) -> None:
    stored(tmp_path, em_gain=200.0)
    entry = CameraSettings(pixel_size_nm=100, calibration=tmp_path / place, quantum_efficiency=0.9)
    info = SourceInfo("Andor", serial="X-1", width=4, height=3, roi_x=7, roi_y=8, bit_depth=14)
    calibration, warnings, file = calibration_for(config(entry), info)
    assert file == tmp_path / "andor.h5"
    expected = (1 + np.arange(80.0).reshape(8, 10))[2:5, 2:6]
    for name in MAPS:
        np.testing.assert_array_equal(getattr(calibration, name), expected)
    assert (calibration.em_gain, calibration.quantum_efficiency, calibration.saturation_adu) == (200, 0.9, 2**14 - 1)
    assert (calibration.pixel_size_nm, warnings) == (100, [])


def test_what_a_stored_calibration_does_not_agree_in_is_passed_on(tmp_path: Path) -> None:
    path = stored(tmp_path, properties={"Gain": "2"})
    entry = CameraSettings(pixel_size_nm=100, calibration=path)
    info = SourceInfo("Andor", serial="X-1", width=4, height=3, roi_x=5, roi_y=6, details={"Cam.Gain": "4"})
    _, (warning,), _ = calibration_for(config(entry), info)
    assert "Gain was '2' when it was made and is '4'" in warning


@pytest.mark.parametrize(
    ("changes", "mode", "sentence"),
    [
        ({"serial": "X-2"}, "", "serial number X-2"),
        ({}, "fast", "of the mode '', not 'fast'"),
        ({"region": Region(x=0, y=0, width=10, height=8)}, "", "covers 10 × 8 px at column 0, row 0"),
    ],
)
@pytest.mark.parametrize("place", ["andor.h5", "."])
def test_a_stored_calibration_of_something_else_is_refused(
    tmp_path: Path, changes: dict[str, object], mode: str, sentence: str, place: str
) -> None:
    stored(tmp_path, **changes)
    entry = CameraSettings(pixel_size_nm=100, calibration=tmp_path / place, mode=mode)
    with pytest.raises(ConfigError, match=sentence):
        calibration_for(config(entry), SourceInfo("Andor", serial="X-1", width=4, height=3, roi_x=11, roi_y=6))


class Frames:
    """A stack in memory."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames, self.read_frames = frames, 0
        self.info = SourceInfo("", frames.shape[2], frames.shape[1], frames=len(frames))

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, index: int) -> np.ndarray:
        self.read_frames += 1
        return self.frames[index].copy()

    def close(self) -> None:
        pass


def test_the_estimate_says_whether_the_gain_was_measured() -> None:
    camera = CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.0)
    fallback = estimated(Frames(sample(camera, 20, size=96, contrast=5)))
    assert fallback is not None
    assert fallback.entry.gain_e_per_adu == pytest.approx(0.5, rel=0.15)
    assert "are estimates" in fallback.warning
    even = estimated(Frames(sample(camera, 20, size=96, contrast=0)))
    assert even is not None
    assert even.entry.gain_e_per_adu == 1
    assert "unknown units" in even.warning


def test_the_estimate_looks_at_the_first_frames_only_and_gives_up_on_nothing() -> None:
    long = Frames(np.full((FRAMES_FOR_ESTIMATE + 30, 20, 20), 100, np.uint16))
    assert estimated(long) is None
    assert long.read_frames == FRAMES_FOR_ESTIMATE


def test_an_estimate_is_used_where_no_entry_matches_and_is_said() -> None:
    fallback = Fallback(CameraSettings(offset_adu=90, gain_e_per_adu=2), "its noise gives something")
    info = SourceInfo("Andor", 4, 3, pixel_size_nm=100)
    calibration, (warning,), _ = calibration_for(Config(), info, fallback)
    assert (calibration.offset_adu, calibration.gain_e_per_adu) == (90, 2)
    assert "its noise gives something" in warning
    calibration, warnings, _ = calibration_for(config(CameraSettings(offset_adu=1)), info, fallback)
    assert (calibration.offset_adu, warnings) == (1, [])


def test_a_pixel_size_of_zero_is_refused_and_not_replaced() -> None:
    with pytest.raises(ConfigError, match=r"pixel_size_nm = 0\.0 nm"):
        calibration_for(config(CameraSettings(pixel_size_nm=100)), INFO, pixel_size_nm=0.0)
