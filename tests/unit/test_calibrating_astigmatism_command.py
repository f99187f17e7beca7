"""`locstream calibrate`, and `locstream fit --astigmatism`: beads in, depths out, in files that Picasso opens."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from bead_stacks import bead_stack, defocusing, depth_means, lens
from fitting_frames import expose
from locstream.calibrating.astigmatism_command import calibrate_command
from locstream.calibration.astigmatism import read_astigmatism
from locstream.calibration.camera import CameraCalibration
from locstream.cli import main, verbs
from locstream.errors import ConfigError, LocstreamError
from locstream.formats.picasso import PICASSO_3D, from_picasso, read_picasso, storable, to_picasso
from locstream.localizations import LOCALIZATION_3D, empty
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.reader import ResultsReader
from results_example import header as example_header

PLANES = np.arange(-600.0, 601.0, 25.0)
CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5)
SIDE = 32


@pytest.fixture
def beads(tmp_path: Path) -> Path:
    """Return the path of a stack of two beads."""
    planes = bead_stack([(16, 15.5, 0.0), (44, 45.5, 40.0)], PLANES, np.random.default_rng(0), through=lens())
    tifffile.imwrite(tmp_path / "beads.tif", planes)
    return tmp_path / "beads.tif"


def calibrated(beads: Path, *more: str) -> Path:
    path = beads.with_name("lens.json")
    arguments = [str(beads), "--step-nm", "25", "--pixel-size-nm", "100", "--out", str(path), *more]
    assert calibrate_command(arguments) == 0
    return path


def test_beads_become_a_calibration_a_picture_and_a_report(beads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = calibrated(beads)
    found = read_astigmatism(path)
    assert (found.beads, found.planes, found.step_nm, found.pixel_size_nm) == (2, len(PLANES), 25.0, 100.0)
    assert found.stack == "beads.tif"
    assert found.sigma_x_px(300.0) == pytest.approx(float(lens().sigma_x_px(300.0)), rel=0.02)
    with Image.open(path.with_suffix(".png")) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
    said = capsys.readouterr().out
    for words in ("2 of 2 found, in 49 planes of 25 nm", "the image is round at z = 0", "px rms", "nm rms", str(path)):
        assert words in said
    assert "warning" in said
    assert "3 or more" in said


def test_without_a_name_it_is_named_after_the_stack(
    beads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    calibrate_command([str(beads), "--step-nm", "25"])
    assert read_astigmatism(tmp_path / "beads_astigmatism.json").pixel_size_nm is None
    assert "the pixel size is not known" in capsys.readouterr().out


def test_no_file_is_overwritten_and_none_is_left_half(beads: Path) -> None:
    path = calibrated(beads)
    before = path.read_bytes()
    with pytest.raises(LocstreamError, match="exists already"):
        calibrated(beads)
    path.unlink()
    with pytest.raises(LocstreamError, match="exists already"):
        calibrated(beads)
    assert not path.exists()
    assert before
    assert sorted(p.name for p in beads.parent.iterdir()) == ["beads.tif", "lens.png"]


def test_the_picture_is_no_calibration(beads: Path) -> None:
    with pytest.raises(ConfigError, match="is the name of the picture"):
        calibrate_command([str(beads), "--step-nm", "25", "--out", str(beads.with_suffix(".png"))])


def test_what_cannot_be_calibrated_is_said_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    curve = defocusing(1.3, 0.0, 0.4)
    flat = lens(variance_x_px2=curve, variance_y_px2=curve)
    planes = bead_stack([(32, 32, 0.0)], PLANES, np.random.default_rng(0), through=flat)
    tifffile.imwrite(tmp_path / "round.tif", planes)
    assert main(["calibrate", "round.tif", "--step-nm", "25"]) == 1
    said = capsys.readouterr().err
    assert "not astigmatic" in said
    assert "cylindrical lens" in said
    assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["round.tif"]


def test_the_verb_is_installed() -> None:
    assert verbs()["calibrate"].load() is calibrate_command


def molecules_at(z_nm: np.ndarray) -> np.ndarray:
    """Return a frame for each depth, with a molecule in its middle."""
    theta = np.column_stack(
        [np.full((len(z_nm), 2), SIDE / 2), np.full(len(z_nm), 5000.0), np.full(len(z_nm), 10.0), z_nm]
    )
    return expose(depth_means(theta, SIDE, lens()), CAMERA, np.random.default_rng(1))


def fitted(beads: Path, *more: str) -> Path:
    z = np.linspace(-350, 350, 15)
    tifffile.imwrite(beads.with_name("cells.tif"), molecules_at(z))
    config = beads.with_name("config.toml")
    config.write_text("[[camera]]\noffset_adu = 100\ngain_e_per_adu = 0.5\n")
    out = beads.with_name("out")
    stack = str(beads.with_name("cells.tif"))
    arguments = ["fit", stack, "--pixel-size-nm", "100", "--out", str(out), "--config", str(config), "--threads", "1"]
    assert main([*arguments, *more]) == 0
    return out / "cells_locs.hdf5"


def test_a_stack_is_fitted_with_depth(beads: Path) -> None:
    path = fitted(beads, "--astigmatism", str(calibrated(beads)))
    table = read_picasso(path).table
    assert table.dtype == LOCALIZATION_3D
    middle = np.hypot(table["x_nm"] / 100 - SIDE / 2, table["y_nm"] / 100 - SIDE / 2) < 1.5
    rows = table[middle]
    np.testing.assert_array_equal(rows["frame"], np.arange(15))
    error = rows["z_nm"] - np.linspace(-350, 350, 15)
    error -= error.mean()  # where the beads are round is known within their noise
    assert (np.abs(error) < 5 * rows["z_uncertainty_nm"] + 5).all()
    with h5py.File(path) as file:
        assert file["locs"].dtype == PICASSO_3D
        assert file["locs"].attrs["unit_z"] == file["locs"].attrs["unit_lpz"] == "nm"
        header = json.loads(file["locstream/header"][()])
    assert header["depth"] is True
    assert header["astigmatism"]["stack"] == "beads.tif"
    assert header["fit"]["model"] == "sigma_xy"
    with ResultsReader(path) as reader:
        np.testing.assert_array_equal(reader.rows(), table)


def test_without_it_there_is_no_depth(beads: Path) -> None:
    with h5py.File(fitted(beads)) as file:
        assert "z" not in file["locs"].dtype.names
        assert "unit_z" not in file["locs"].attrs


def test_a_lens_for_other_pixels_stops_before_anything_is_written(
    beads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = calibrated(beads)
    path.write_text(path.read_text().replace('"pixel_size_nm": 100.0', '"pixel_size_nm": 160.0'))
    with pytest.raises(AssertionError):
        fitted(beads, "--astigmatism", str(path))
    assert "is for pixels of 160 nm, the frames have 100 nm" in capsys.readouterr().err
    assert not list(beads.parent.glob("out/*"))


def with_depth() -> np.ndarray:
    table = empty(5, LOCALIZATION_3D)
    rng = np.random.default_rng(3)
    for name in table.dtype.names:
        table[name] = rng.uniform(1, 30, 5)
    table["frame"] = [0, 0, 1, 2, 2]
    table["z_nm"] = [-500, -0.25, 0, 12.5, 640]
    return table


def test_depths_go_through_picassos_columns_as_they_are() -> None:
    table = with_depth()
    rows = to_picasso(table, 130.0)
    assert rows.dtype == PICASSO_3D
    np.testing.assert_array_equal(rows["z"], table["z_nm"])
    np.testing.assert_array_equal(rows["lpz"], table["z_uncertainty_nm"])
    back = from_picasso(rows, 130.0)
    np.testing.assert_array_equal(back["z_nm"], table["z_nm"])
    np.testing.assert_allclose(back["x_nm"], table["x_nm"], rtol=1e-6)
    table["z_nm"][1] = np.nan
    np.testing.assert_array_equal(storable(table, 130.0, 64, 64), [True, False, True, True, True])


def test_a_results_file_takes_depth_only_where_its_header_says_so(tmp_path: Path) -> None:
    table = with_depth()
    records = np.concatenate([frame_records(k, 0.0, n, FrameOutcome.FITTED) for k, n in enumerate((2, 1, 2))])
    deep = example_header().model_copy(update={"depth": True})
    with ResultsWriter(tmp_path / "deep.live.h5", deep) as writer:
        with pytest.raises(ValueError, match="rows have dtype"):
            writer.append(empty(5), records)
        writer.append(table, records)
        np.testing.assert_array_equal(writer.rows(0, 5)["z_nm"], table["z_nm"])
    with (
        ResultsWriter(tmp_path / "flat.live.h5", example_header()) as writer,
        pytest.raises(ValueError, match="rows have dtype"),
    ):
        writer.append(table, records)
