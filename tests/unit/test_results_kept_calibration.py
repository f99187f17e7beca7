"""The whole calibration is kept with the results: what it fits later is what it would have fitted then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from locstream.calibration.camera import MAPS, CameraCalibration
from locstream.formats.picasso import read_picasso
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.layout import final_path, live_path
from locstream.results.reader import ResultsReader
from locstream.results.repair import clear_flags
from results_example import HEIGHT, PIXEL_SIZE_NM, WIDTH, batch, header

RNG = np.random.default_rng(8)
MAP = RNG.uniform(1, 2, (HEIGHT, WIDTH)).astype(np.float32)
CALIBRATIONS: dict[str, dict[str, Any]] = {
    "numbers": {"offset_adu": 100.25, "gain_e_per_adu": 0.46, "read_noise_e": 1.6, "saturation_adu": 65535.0},
    "maps": {"offset_adu": 100 + MAP, "gain_e_per_adu": MAP / 3, "read_noise_e": MAP * 2},
    "mixed": {"offset_adu": 100 + MAP, "em_gain": 300.0, "quantum_efficiency": 0.8},
    "whole numbers": {"offset_adu": 100, "em_gain": 2, "saturation_adu": 4095},
    "numpy numbers": {"offset_adu": np.float64(99.5), "quantum_efficiency": np.float32(0.5)},
}


def write(path: Path, calibration: CameraCalibration | None) -> Path:
    with ResultsWriter(path, header(), calibration=calibration) as writer:
        writer.append(*batch(0, 10))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return live_path(tmp_path, "run")


def assert_same(kept: CameraCalibration | None, given: CameraCalibration) -> None:
    assert kept is not None
    for name in MAPS:
        np.testing.assert_array_equal(getattr(kept, name), getattr(given, name))
        assert np.ndim(getattr(kept, name)) == np.ndim(getattr(given, name))
    for name in ("pixel_size_nm", "em_gain", "quantum_efficiency", "saturation_adu"):
        assert getattr(kept, name) == getattr(given, name)


@pytest.mark.parametrize("values", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_it_comes_back_from_the_live_and_from_the_finished_file(path: Path, values: dict[str, Any]) -> None:
    given = CameraCalibration(PIXEL_SIZE_NM, **values)
    with ResultsReader(write(path, given)) as reader:
        assert_same(reader.calibration, given)
    with ResultsReader(finalize(path, final_path(path))) as reader:
        assert_same(reader.calibration, given)


def test_a_reader_that_looks_on_sees_it(path: Path) -> None:
    given = CameraCalibration(PIXEL_SIZE_NM, **CALIBRATIONS["maps"])
    with ResultsWriter(path, header(), calibration=given), ResultsReader(path) as reader:
        assert_same(reader.calibration, given)


def test_without_one_there_is_none(path: Path) -> None:
    with ResultsReader(write(path, None)) as reader:
        assert reader.calibration is None
    with ResultsReader(finalize(path, final_path(path))) as reader:
        assert reader.calibration is None


def test_other_programs_are_not_disturbed(path: Path) -> None:
    """Every dataset at the root is taken for a table by somebody."""
    write(path, CameraCalibration(PIXEL_SIZE_NM, **CALIBRATIONS["maps"]))
    final = finalize(path, final_path(path))
    with h5py.File(final) as file:
        assert {name for name in file if isinstance(file[name], h5py.Dataset)} == {"locs", "metadata"}
        assert file["locstream/calibration/offset_adu"].compression == "gzip"
    assert len(read_picasso(final).table) == len(batch(0, 10)[0])


@pytest.mark.parametrize(
    "damage",
    [
        lambda group: group["offset_adu"].__setitem__((3, 4), 0.0),
        lambda group: group["gain_e_per_adu"].__setitem__((0, 0), 0.0),
        lambda group: group["gain_e_per_adu"].__setitem__((0, 0), np.nan),
        lambda group: group.__delitem__("read_noise_e"),
        lambda group: group.attrs.__delitem__("digest"),
        lambda group: group.attrs.__delitem__("em_gain"),
        lambda group: group.attrs.__setitem__("em_gain", 1.5),
        lambda group: group.attrs.__setitem__("em_gain", "much"),
    ],
)
def test_a_damaged_one_is_none_and_the_rest_of_the_file_is_finished(path: Path, damage: Any) -> None:
    """A power cut may have lost part of a map: fitting with it would be wrong without a sign of it."""
    write(path, CameraCalibration(PIXEL_SIZE_NM, **CALIBRATIONS["maps"]))
    clear_flags(path)
    with h5py.File(path, "r+") as file:
        damage(file["locstream/calibration"])
    with ResultsReader(path) as reader:
        assert reader.calibration is None
    with ResultsReader(finalize(path, final_path(path))) as reader:
        assert (reader.calibration, reader.n_frames) == (None, 10)
