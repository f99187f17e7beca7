"""Which stored calibration serves a source: serial number, mode and region decide, and a refusal says why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from locstream.calibration.camera import MAPS
from locstream.calibration.file import GAIN_UNCERTAINTY, CalibrationHeader, Region, write_calibration
from locstream.calibration.search import find_calibration, frames_region, mode_properties
from locstream.errors import ConfigError
from locstream.stacks.source import SourceInfo

MADE = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHOLE = {"x": 0, "y": 0, "width": 20, "height": 10}


def store(path: Path, **changes: Any) -> Path:
    known: dict[str, Any] = {
        "camera": "Orca",
        "serial": "S-1",
        "region": Region(**WHOLE),
        "dark_frames": 100,
        "light_frames": (50, 50, 50),
        "made": MADE,
    }
    header = CalibrationHeader(**{**known, **changes})
    ones = np.ones((header.region.height, header.region.width))
    write_calibration(path, header, dict.fromkeys((*MAPS, GAIN_UNCERTAINTY), ones))
    return path


def source(**changes: Any) -> SourceInfo:
    known: dict[str, Any] = {"camera": "Orca", "serial": "S-1", "width": 8, "height": 6, "roi_x": 4, "roi_y": 2}
    return SourceInfo(**{**known, **changes})


def test_a_named_file_is_taken_for_the_region_of_the_frames(tmp_path: Path) -> None:
    path = store(tmp_path / "a.h5")
    found = find_calibration(path, source())
    assert found.path == path
    assert found.region == Region(x=4, y=2, width=8, height=6) == frames_region(source())
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("stored", "frames", "mode", "sentence"),
    [
        ({}, {"serial": "S-2"}, "", "of the camera with serial number S-1, the frames are of S-2"),
        ({"serial": ""}, {"camera": "Zyla"}, "", "of the camera 'Orca', the frames are of 'Zyla'"),
        ({}, {"camera": "Zyla", "serial": ""}, "", "of the camera 'Orca', the frames are of 'Zyla'"),
        ({"mode": "slow"}, {}, "fast", "of the mode 'slow', not 'fast'"),
        ({}, {}, "fast", "of the mode '', not 'fast'"),
        ({}, {"roi_x": 13}, "", "covers 20 × 10 px at column 0, row 0, the frames are 8 × 6 px at column 13, row 2"),
        ({}, {"height": 9}, "", "the frames are 8 × 9 px at column 4, row 2"),
    ],
)
def test_a_named_file_of_something_else_is_refused(
    tmp_path: Path, stored: dict[str, Any], frames: dict[str, Any], mode: str, sentence: str
) -> None:
    path = store(tmp_path / "a.h5", **stored)
    with pytest.raises(ConfigError, match=sentence) as caught:
        find_calibration(path, source(**frames), mode)
    assert "nothing was started" in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "frames"),
    [
        ({"camera": "Hamamatsu"}, {}),  # one serial number is one camera, whatever it is called
        ({"serial": "", "camera": ""}, {}),
        ({}, {"serial": "", "camera": ""}),
        ({"serial": ""}, {}),
    ],
)
def test_what_is_not_known_is_no_disagreement(tmp_path: Path, stored: dict[str, Any], frames: dict[str, Any]) -> None:
    path = store(tmp_path / "a.h5", **stored)
    assert find_calibration(path, source(**frames)).path == path


def test_frames_of_the_same_shape_that_do_not_know_where_they_lie_are_taken_with_a_warning(tmp_path: Path) -> None:
    path = store(tmp_path / "a.h5", region=Region(x=100, y=50, width=8, height=6))
    found = find_calibration(path, source(roi_x=0, roi_y=0))
    assert found.region == Region(x=100, y=50, width=8, height=6)
    assert "do not say where on the sensor they lie" in found.warnings[0]
    with pytest.raises(ConfigError, match="at column 1, row 0"):
        find_calibration(path, source(roi_x=1, roi_y=0))


MODE = {
    "Camera.ReadoutRate": "100 MHz",
    "Camera.Binning": "1",
    "Camera.CCDTemperature": "-20",
    "Camera.PreAmpGain": "2",
}


def test_the_mode_is_what_changes_offset_gain_or_noise() -> None:
    others = {"Camera.ReadoutTime": "0.01", "Camera.Exposure": "10", "device": "Camera (a/b)", "Micro-Manager": "2"}
    found = mode_properties({**MODE, **others})
    assert found == {"ReadoutRate": "100 MHz", "Binning": "1", "PreAmpGain": "2"}


def test_another_mode_is_a_warning_for_a_named_file_and_a_reason_against_one_in_a_folder(tmp_path: Path) -> None:
    path = store(tmp_path / "a.h5", properties=mode_properties(MODE))
    other = source(details={**MODE, "Camera.ReadoutRate": "280 MHz"})
    (warning,) = find_calibration(path, other).warnings
    assert warning == "the calibration a.h5: ReadoutRate was '100 MHz' when it was made and is '280 MHz'"
    with pytest.raises(ConfigError, match=r"a\.h5: ReadoutRate was '100 MHz'"):
        find_calibration(tmp_path, other)


def test_names_and_values_agree_whatever_their_case_and_label(tmp_path: Path) -> None:
    path = store(tmp_path / "a.h5", properties=mode_properties(MODE))
    same = {"Cam 2.READOUT RATE": "100MHz", "Cam 2.Binning": "1", "Cam 2.PixelType": "16bit"}
    assert find_calibration(path, source(details=same)).warnings == ()
    assert find_calibration(tmp_path, source(details=same)).path == path


def test_the_latest_that_serves_is_taken_from_a_folder(tmp_path: Path) -> None:
    store(tmp_path / "old.h5", made=MADE - timedelta(days=30))
    right = store(tmp_path / "right.h5")
    store(tmp_path / "other camera.h5", serial="S-2", made=MADE + timedelta(days=1))
    store(tmp_path / "elsewhere.h5", region=Region(x=100, y=0, width=20, height=10), made=MADE + timedelta(days=2))
    (tmp_path / "broken.h5").write_text("no calibration")
    (tmp_path / "notes.txt").write_text("these are ours")
    assert find_calibration(tmp_path, source()).path == right


def test_the_mode_chooses_in_a_folder(tmp_path: Path) -> None:
    fast = store(tmp_path / "fast.h5", mode="fast")
    store(tmp_path / "slow.h5", mode="slow", made=MADE + timedelta(days=1))
    assert find_calibration(tmp_path, source(), "fast").path == fast


def test_where_none_serves_each_is_told_why(tmp_path: Path) -> None:
    store(tmp_path / "a.h5", serial="S-2")
    store(tmp_path / "b.h5", mode="slow")
    (tmp_path / "c.h5").write_text("no calibration")
    with pytest.raises(ConfigError) as caught:
        find_calibration(tmp_path, source(), "fast")
    message = str(caught.value)
    assert "serves the camera 'Orca' (serial S-1), 8 × 6 px at column 4, row 2" in message
    assert "a.h5: it is of the camera with serial number S-2" in message
    assert "b.h5: it is of the mode 'slow', not 'fast'" in message
    assert "c.h5 cannot be read" in message


def test_an_empty_folder_and_nothing_at_all_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no \.h5 file"):
        find_calibration(tmp_path, source())
    with pytest.raises(ConfigError, match=r"nowhere\.h5 cannot be read"):
        find_calibration(tmp_path / "nowhere.h5", source())


def test_frames_that_do_not_say_their_camera_are_not_guessed(tmp_path: Path) -> None:
    store(tmp_path / "one.h5")
    unknown = source(camera="", serial="")
    assert find_calibration(tmp_path, unknown).path.name == "one.h5"
    store(tmp_path / "two.h5", camera="Zyla", serial="Z-9")
    with pytest.raises(ConfigError, match=r"calibrations of 2 cameras.*one\.h5 .*two\.h5"):
        find_calibration(tmp_path, unknown)


def test_between_modes_nothing_is_guessed_either(tmp_path: Path) -> None:
    store(tmp_path / "fast.h5", mode="fast", properties={"ReadoutRate": "280 MHz"})
    store(tmp_path / "slow.h5", mode="slow", properties={"ReadoutRate": "100 MHz"}, made=MADE + timedelta(days=1))
    with pytest.raises(ConfigError, match=r"calibrations of 2 modes.*\(mode 'fast'\).*\(mode 'slow'\)"):
        find_calibration(tmp_path, source())
    assert find_calibration(tmp_path, source(), "fast").path.name == "fast.h5"
    assert find_calibration(tmp_path, source(details={"Cam.ReadoutRate": "280 MHz"})).path.name == "fast.h5"
