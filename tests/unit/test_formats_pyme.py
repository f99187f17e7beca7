"""PYME's table holds the same rows, in PYME's units; its photons come out as ours."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from finished_run import ALSO, finished
from locstream.errors import ResultsError
from locstream.formats.pyme import pyme_dtype, to_pyme, write_pyme
from locstream.formats.thunderstorm import read_thunderstorm
from locstream.localizations import LOCALIZATION_3D, empty
from locstream.results.reader import ResultsReader
from results_example import PIXEL_SIZE_NM, header, localizations

ROWS = localizations(np.arange(200) // 4)


def test_positions_and_frames_are_ours() -> None:
    rows = to_pyme(ROWS, PIXEL_SIZE_NM)
    np.testing.assert_array_equal(rows["fitResults"]["x0"], ROWS["x_nm"])
    np.testing.assert_array_equal(rows["fitResults"]["y0"], ROWS["y_nm"])
    np.testing.assert_array_equal(rows["fitError"]["y0"], ROWS["y_uncertainty_nm"])
    np.testing.assert_array_equal(rows["tIndex"], ROWS["frame"])
    np.testing.assert_array_equal(rows["resultCode"], ROWS["status"] == 0)


@pytest.mark.parametrize("photons_per_adu", [1.0, 0.46, 0.01])
def test_photons_come_out_by_pymes_own_formula(photons_per_adu: float) -> None:
    values = to_pyme(ROWS, PIXEL_SIZE_NM, photons_per_adu)["fitResults"]
    photons = values["A"] * 2 * np.pi * (values["sigma"] / PIXEL_SIZE_NM) ** 2 * photons_per_adu
    np.testing.assert_allclose(photons, ROWS["photons"], rtol=1e-5)
    np.testing.assert_allclose(values["background"] * photons_per_adu, ROWS["background"], rtol=1e-5)


def test_depth_is_carried() -> None:
    rows = empty(3, LOCALIZATION_3D)
    rows["z_nm"], rows["z_uncertainty_nm"] = [1, -200, 3], 12
    found = to_pyme(rows, 100.0)
    assert found.dtype == pyme_dtype(depth=True)
    assert found["fitResults"]["z0"].tolist() == [1, -200, 3]
    assert found["fitError"]["z0"].tolist() == [12, 12, 12]
    assert np.isfinite(found["fitResults"]["A"]).all()


def test_blocks_make_one_table_with_the_cameras_values(tmp_path: Path) -> None:
    path = tmp_path / "a.h5r"
    write_pyme(path, [ROWS[:70], ROWS[70:70], ROWS[70:]], PIXEL_SIZE_NM, header().pyme())
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["FitResults"][:], to_pyme(ROWS, PIXEL_SIZE_NM))
        assert file["MetaData/voxelsize"].attrs["x"] == pytest.approx(0.13)
        assert file["MetaData/Analysis"].attrs["FitModule"] == "LatGaussFitFR"


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be written"):
        write_pyme(tmp_path / "none" / "a.h5r", [ROWS], PIXEL_SIZE_NM, {})


def test_a_run_writes_what_was_asked_for_and_nothing_else(tmp_path: Path) -> None:
    plain, asked = finished(tmp_path / "a"), finished(tmp_path / "b", bundle=ALSO)
    assert not plain.pyme.exists()
    assert not plain.thunderstorm.exists()
    with ResultsReader(asked.results) as reader:
        rows = np.concatenate(list(reader.blocks()))
        pixel_size_nm = reader.header.pixel_size_nm
    with h5py.File(asked.pyme) as file:
        np.testing.assert_array_equal(file["FitResults"]["fitResults"]["x0"], rows["x_nm"])
        assert file["MetaData/Camera"].attrs["ElectronsPerCount"] == 0.5
    table = read_thunderstorm(asked.thunderstorm, pixel_size_nm)
    np.testing.assert_allclose(table["x_nm"], rows["x_nm"], atol=1e-3)
    np.testing.assert_array_equal(table["frame"], rows["frame"])
