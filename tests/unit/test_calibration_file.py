"""A stored calibration: what is written comes back, cut to the region; what is no calibration is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from locstream.calibration import CameraCalibration
from locstream.calibration.camera import MAPS
from locstream.calibration.file import (
    GAIN_UNCERTAINTY,
    CalibrationHeader,
    Region,
    read_calibration,
    read_header,
    write_calibration,
)
from locstream.errors import ConfigError

SENSOR = Region(x=100, y=200, width=9, height=6)


def header(**changes: Any) -> CalibrationHeader:
    known: dict[str, Any] = {
        "camera": "Orca",
        "serial": "S-1",
        "mode": "fast, gain 2",
        "properties": {"Binning": "1"},
        "region": SENSOR,
        "dark_frames": 1000,
        "light_frames": (500, 500, 300),
    }
    return CalibrationHeader(**{**known, **changes})


def maps(seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = SENSOR.height, SENSOR.width
    return {
        "offset_adu": rng.normal(100, 2, shape),
        "gain_e_per_adu": rng.uniform(0.4, 0.5, shape),
        "read_noise_e": rng.uniform(1, 2, shape),
        GAIN_UNCERTAINTY: rng.uniform(0.01, 0.02, shape),
    }


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "orca.h5"
    write_calibration(path, header(), maps())
    return path


def test_what_is_written_comes_back(stored: Path) -> None:
    assert read_header(stored) == header(made=read_header(stored).made)
    found = read_calibration(stored, SENSOR, 130.0, quantum_efficiency=0.8, saturation_adu=65535.0)
    expected = CameraCalibration(
        130.0,
        *(maps()[name] for name in MAPS),
        quantum_efficiency=0.8,
        saturation_adu=65535.0,
    )
    assert found.digest() == expected.digest()


def test_a_region_is_cut_where_it_lies_on_the_sensor(stored: Path) -> None:
    part = Region(x=103, y=201, width=4, height=2)
    found = read_calibration(stored, part, 130.0)
    for name in MAPS:
        np.testing.assert_array_equal(getattr(found, name), maps()[name][1:3, 3:7].astype(np.float32), err_msg=name)


@pytest.mark.parametrize(
    "region",
    [
        Region(x=99, y=200, width=9, height=6),
        Region(x=100, y=199, width=1, height=1),
        Region(x=101, y=200, width=9, height=6),
        Region(x=0, y=0, width=9, height=6),
        Region(x=100, y=200, width=9, height=7),
    ],
)
def test_what_is_not_covered_is_refused_though_the_shape_may_fit(stored: Path, region: Region) -> None:
    with pytest.raises(ConfigError, match=f"covers 9 × 6 px at column 100, row 200; the frames are {region}"):
        read_calibration(stored, region, 130.0)


def test_the_em_gain_is_that_of_the_file(tmp_path: Path) -> None:
    write_calibration(tmp_path / "em.h5", header(em_gain=300.0), maps())
    assert read_calibration(tmp_path / "em.h5", SENSOR, 130.0).em_gain == 300


def test_the_maps_say_their_units(stored: Path) -> None:
    with h5py.File(stored) as file:
        units = {name: file[name].attrs["unit"] for name in file if name != "header"}
    assert units == {
        "offset_adu": "ADU",
        "gain_e_per_adu": "electron/ADU",
        "gain_uncertainty_e_per_adu": "electron/ADU",
        "read_noise_e": "electron",
    }


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("offset_adu", np.zeros((9, 6)), r"offset_adu has shape \(9, 6\), its region \(6, 9\)"),
        (GAIN_UNCERTAINTY, np.zeros((6, 8)), r"gain_uncertainty_e_per_adu has shape \(6, 8\)"),
        ("gain_e_per_adu", np.zeros((6, 9)), "above 0 e⁻/ADU"),
        ("read_noise_e", np.full((6, 9), np.nan), "54 values that are not finite"),
    ],
)
def test_what_no_camera_has_is_not_written(tmp_path: Path, name: str, wrong: np.ndarray, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        write_calibration(tmp_path / "wrong.h5", header(), {**maps(), name: wrong})
    assert not (tmp_path / "wrong.h5").exists()


def without_header(file: h5py.File) -> None:
    del file["header"]


def with_text(text: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["header"]
        file["header"] = text

    return change


def header_is_a_group(file: h5py.File) -> None:
    del file["header"]
    file.create_group("header")


def header_is_a_number(file: h5py.File) -> None:
    del file["header"]
    file["header"] = 3.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_header, "header"),
        (header_is_a_group, "is not a camera calibration"),
        (header_is_a_number, "is not a camera calibration"),
        (with_text("no json"), "is not a camera calibration"),
        (with_text("{}"), "region is missing"),
        (
            with_text('{"format": 2, "region": {"x": 0, "y": 0, "width": 1, "height": 1}}'),
            "format = 2: input should be less than or equal to 1",
        ),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(
    stored: Path, change: Callable[[h5py.File], None], sentence: str
) -> None:
    with h5py.File(stored, "r+") as file:
        change(file)
    with pytest.raises(ConfigError, match=sentence) as caught:
        read_header(stored)
    assert "orca.h5 is not a camera calibration of locstream" in caught.value.what


@pytest.mark.parametrize("content", [None, b"", b"\x89HDF\r\n\x1a\n" + 40 * b"\0", b"offset = 100"])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    for read in (read_header, lambda p: read_calibration(p, SENSOR, 130.0)):
        with pytest.raises(ConfigError, match=r"x\.h5 cannot be read"):
            read(path)


def a_map_is_gone(file: h5py.File) -> None:
    del file["gain_e_per_adu"]


def a_map_is_smaller(file: h5py.File) -> None:
    del file["gain_e_per_adu"]
    file["gain_e_per_adu"] = np.ones((6, 8), np.float32)


def a_map_is_a_group(file: h5py.File) -> None:
    del file["gain_e_per_adu"]
    file.create_group("gain_e_per_adu")


@pytest.mark.parametrize("change", [a_map_is_gone, a_map_is_smaller, a_map_is_a_group])
def test_a_damaged_calibration_is_refused(stored: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(stored, "r+") as file:
        change(file)
    with pytest.raises(ConfigError, match=r"orca\.h5 is damaged"):
        read_calibration(stored, SENSOR, 130.0)


def test_values_no_camera_has_are_refused(stored: Path) -> None:
    with h5py.File(stored, "r+") as file:
        file["gain_e_per_adu"][2, 3] = -1
    with pytest.raises(ConfigError, match="above 0 e⁻/ADU"):
        read_calibration(stored, SENSOR, 130.0)


def test_a_file_cut_off_anywhere_is_refused_or_whole(stored: Path, tmp_path: Path) -> None:
    whole = stored.read_bytes()
    expected = read_calibration(stored, SENSOR, 130.0).digest()
    for length in range(0, len(whole), 97):
        part = tmp_path / "part.h5"
        part.write_bytes(whole[:length])
        try:
            found = read_calibration(part, SENSOR, 130.0)
        except ConfigError:
            continue
        assert found.digest() == expected


def test_a_header_of_a_later_version_may_say_more(stored: Path) -> None:
    text = header().model_dump_json().replace('"format":1', '"format":1,"colour":"green"')
    with h5py.File(stored, "r+") as file:
        with_text(text)(file)
    assert read_header(stored).camera == "Orca"


@pytest.mark.parametrize(
    "wrong", [{"em_gain": 0.5}, {"dark_frames": -1}, {"exposure_ms": float("nan")}, {"made": "now"}]
)
def test_a_header_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        header(**wrong)


def test_a_header_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        header().mode = "slow"
