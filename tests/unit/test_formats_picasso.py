"""Picasso's columns, rules and metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from locstream.errors import ResultsError
from locstream.formats.picasso import (
    COLUMNS,
    PICASSO,
    from_picasso,
    kept_by_picasso,
    read_picasso,
    storable,
    to_picasso,
    yaml_documents,
    yaml_text,
)
from locstream.localizations import FIELDS, empty
from results_example import HEIGHT, PIXEL_SIZE_NM, WIDTH, localizations


def documents(**changes: object) -> list[dict[str, object]]:
    known = {"width": WIDTH, "height": HEIGHT, "frames": 10, "pixel_size_nm": PIXEL_SIZE_NM, "generated_by": "x"}
    return yaml_documents(**known | changes)  # type: ignore[arg-type]  # the types of the changes are what is tested


def write(path: Path, rows: np.ndarray, embedded: object = None, sidecar: str | None = None) -> Path:
    with h5py.File(path, "w") as file:
        file["locs"] = rows
        if embedded is not None:
            file["metadata"] = json.dumps(embedded)
    if sidecar is not None:
        path.with_suffix(".yaml").write_text(sidecar)
    return path


def test_every_column_of_ours_has_one_of_picassos() -> None:
    assert sorted(c.ours for c in COLUMNS) == sorted(f.name for f in FIELDS)
    assert {c.ours for c in COLUMNS if c.in_pixels} == {f.name for f in FIELDS if f.unit == "nm"}


def test_no_column_is_nested_or_an_array_because_picasso_refuses_those() -> None:
    assert all(PICASSO[name].kind in "fiu" and PICASSO[name].shape == () for name in PICASSO.names)


def test_the_centre_of_a_pixel_is_its_own_number() -> None:
    table = empty(2)
    table["x_nm"] = [0, 17 * 130]
    table["y_nm"] = [0, 9 * 130]
    table["sigma_x_nm"] = 130
    table["photons"] = 1000
    rows = to_picasso(table, 130.0)
    np.testing.assert_array_equal(rows["x"], [0, 17])
    np.testing.assert_array_equal(rows["y"], [0, 9])
    np.testing.assert_array_equal(rows["sx"], 1)
    np.testing.assert_array_equal(rows["photons"], 1000)


def test_integers_come_back_as_they_were() -> None:
    table = localizations([0, 5, 2**32 - 1])
    table["status"] = [0, 3, 65535]
    back = from_picasso(to_picasso(table, 97.3), 97.3)
    for name in ("frame", "iterations", "status", "photons", "chi2"):
        np.testing.assert_array_equal(back[name], table[name])


def test_missing_columns_are_zero_and_foreign_ones_are_left_out() -> None:
    rows = np.zeros(
        2, [("frame", "<i8"), ("x", "<f8"), ("y", "<f8"), ("z", "<f4"), ("net_gradient", "<f4"), ("group", "<i4")]
    )
    rows["frame"], rows["x"], rows["y"], rows["z"] = [3, 4], [1.5, 2.5], [0.25, 7], [400, -400]
    table = from_picasso(rows, 100.0)
    np.testing.assert_array_equal(table["x_nm"], [150, 250])
    np.testing.assert_array_equal(table["y_nm"], [25, 700])
    np.testing.assert_array_equal(table["frame"], [3, 4])
    assert not table["photons"].any()
    assert not table["x_uncertainty_nm"].any()


def test_more_iterations_than_fit_are_the_most_that_fit() -> None:
    rows = np.zeros(2, PICASSO)
    rows["iterations"] = [70_000, -1]
    np.testing.assert_array_equal(from_picasso(rows, 100.0)["iterations"], [65535, 0])


@pytest.mark.parametrize("missing", ["frame", "x", "y"])
def test_a_table_without_positions_or_frames_is_refused(missing: str) -> None:
    rows = np.zeros(1, [(name, "<f4") for name in ("frame", "x", "y", "photons") if name != missing])
    with pytest.raises(ResultsError, match=f"no column {missing}"):
        from_picasso(rows, 100.0)


def test_a_negative_frame_is_refused() -> None:
    rows = np.zeros(1, [("frame", "<i8"), ("x", "<f4"), ("y", "<f4")])
    rows["frame"] = -1
    with pytest.raises(ResultsError, match="frame -1"):
        from_picasso(rows, 100.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", -0.001),
        ("x", WIDTH),
        ("y", HEIGHT),
        ("y", -1),
        ("photons", -1),
        ("sx", -0.1),
        ("lpy", -0.1),
        ("lpx", np.nan),
        ("chi_square", np.inf),
        ("bg_unc", np.nan),
        ("bg", -np.inf),
    ],
)
def test_rows_that_picasso_drops_are_not_storable(name: str, value: float) -> None:
    rows = to_picasso(localizations(np.zeros(3)), PIXEL_SIZE_NM)
    rows[name][1] = value
    np.testing.assert_array_equal(kept_by_picasso(rows, HEIGHT, WIDTH), [True, False, True])


def test_a_negative_background_is_kept() -> None:
    rows = to_picasso(localizations([0]), PIXEL_SIZE_NM)
    rows["bg"] = -0.5
    assert kept_by_picasso(rows, HEIGHT, WIDTH).all()


def test_storable_judges_the_value_after_rounding() -> None:
    table = localizations([0])
    table["x_nm"] = 8320
    size_nm = 130.000_000_01
    assert float(table["x_nm"][0]) / size_nm < 64
    assert to_picasso(table, size_nm)["x"][0] == 64
    assert not storable(table, size_nm, HEIGHT, 64).any()
    assert storable(table, 130.1, HEIGHT, 64).all()


def test_frames_is_never_zero_because_picasso_takes_that_for_missing() -> None:
    assert documents(frames=0)[0]["Frames"] == 1
    assert documents(frames=7)[0]["Frames"] == 7


def test_metadata_survives_json_and_yaml() -> None:
    made = documents(camera="Kamera Ä", extra={"locstream": {"header": {"a": [1, 2.5, None, True, "1e-5"]}}})
    assert json.loads(json.dumps(made)) == made
    assert list(yaml.safe_load_all(yaml_text(made))) == made
    assert made[1]["Pixelsize"] == PIXEL_SIZE_NM


def test_read_takes_the_sidecar_before_the_embedded_metadata(tmp_path: Path) -> None:
    rows = to_picasso(localizations([1, 2]), 100.0)
    path = write(tmp_path / "a_locs.hdf5", rows, documents(pixel_size_nm=100.0))
    assert read_picasso(path).pixel_size_nm == 100
    write(path, rows, documents(pixel_size_nm=100.0), yaml_text(documents(pixel_size_nm=50.0, frames=99)))
    found = read_picasso(path)
    assert (found.pixel_size_nm, found.frames, found.width, found.height) == (50, 99, WIDTH, HEIGHT)
    np.testing.assert_allclose(found.table["x_nm"], rows["x"] * 50, rtol=1e-6)


def test_the_last_document_with_a_value_wins_as_in_picasso(tmp_path: Path) -> None:
    three = [*documents(pixel_size_nm=100.0), {"Pixelsize": 107.0}, {"Pixelsize": 0, "Generated by": "Filter"}]
    path = write(tmp_path / "a.hdf5", to_picasso(localizations([1]), 100.0), three)
    assert read_picasso(path).pixel_size_nm == 107


def test_without_a_pixel_size_the_caller_must_give_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", to_picasso(localizations([1]), 100.0))
    with pytest.raises(ResultsError, match="no Pixelsize"):
        read_picasso(path)
    found = read_picasso(path, pixel_size_nm=100.0)
    assert found.width is None
    assert found.documents == ()


def test_yaml_that_names_python_objects_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    touch = f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{trap}]]"
    path = write(
        tmp_path / "a.hdf5",
        to_picasso(localizations([1]), 100.0),
        sidecar=f"Pixelsize: 100\nWidth: {touch}\n",
    )
    with pytest.raises(ResultsError, match="plain data"):
        read_picasso(path)
    assert not trap.exists()


@pytest.mark.parametrize("embedded", ["{not json", '{"Width": 3}', "[1, 2]"])
def test_metadata_that_is_no_list_of_documents_is_refused(tmp_path: Path, embedded: str) -> None:
    path = write(tmp_path / "a.hdf5", to_picasso(localizations([1]), 100.0))
    with h5py.File(path, "r+") as file:
        file["metadata"] = embedded
    with pytest.raises(ResultsError, match="metadata"):
        read_picasso(path)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "no.hdf5", "w") as file:
        file["image"] = np.zeros((3, 3))
    with pytest.raises(ResultsError, match="locs"):
        read_picasso(tmp_path / "no.hdf5")
    with h5py.File(tmp_path / "plain.hdf5", "w") as file:
        file["locs"] = np.zeros((3, 3))
    with pytest.raises(ResultsError, match="locs"):
        read_picasso(tmp_path / "plain.hdf5")
    (tmp_path / "text.hdf5").write_text("x,y\n")
    with pytest.raises(ResultsError, match="cannot be read"):
        read_picasso(tmp_path / "text.hdf5")
    with pytest.raises(ResultsError, match="cannot be read"):
        read_picasso(tmp_path / "absent.hdf5")


@pytest.mark.parametrize(
    "relative",
    [
        "formats/picasso_hdf5/raw_movie_locs.hdf5",
        "raw_simulated_with_truth/picasso_testdata_1000x32x32/testdata_locs.hdf5",
    ],
)
def test_real_files_of_picasso_are_read(shared_data: Callable[[str], Path], relative: str) -> None:
    path = shared_data(relative)
    found = read_picasso(path)
    with h5py.File(path) as file:
        x, frame = file["locs"]["x"], file["locs"]["frame"]
    written = {k: v for d in yaml.safe_load_all(path.with_suffix(".yaml").read_text()) for k, v in d.items()}
    assert found.pixel_size_nm == written["Pixelsize"]
    assert (found.width, found.height, found.frames) == (written["Width"], written["Height"], written["Frames"])
    np.testing.assert_allclose(found.table["x_nm"] / written["Pixelsize"], x, rtol=1e-6)
    np.testing.assert_array_equal(found.table["frame"], frame)
