"""ThunderSTORM's table: the half pixel and the one frame are moved, both ways, and never in silence."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from locstream.errors import ResultsError
from locstream.formats.thunderstorm import HEADER, HEADER_3D, ThunderStormWriter, read_thunderstorm, write_thunderstorm
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from results_example import localizations

EXACT_HEADER = (
    '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]",'
    '"bkgstd [photon]","uncertainty_xy [nm]"'
)


def written(table: Localizations, pixel_size_nm: float = 100.0) -> list[dict[str, str]]:
    file = io.StringIO()
    ThunderStormWriter(file, pixel_size_nm).write(table)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def test_the_header_is_thunderstorms_own() -> None:
    file = io.StringIO()
    ThunderStormWriter(file, 100.0)
    assert file.getvalue() == EXACT_HEADER + "\n"


def test_the_centre_of_the_first_pixel_is_half_a_pixel_from_its_corner_and_frames_count_from_one() -> None:
    table = empty(2)
    table["frame"] = [0, 41]
    table["x_nm"] = [0, 1300]
    table["y_nm"] = [0, 650]
    rows = written(table, 130.0)
    assert [(float(r["x [nm]"]), float(r["y [nm]"])) for r in rows] == [(65, 65), (1365, 715)]
    assert [int(r["frame"]) for r in rows] == [1, 42]
    assert [int(r["id"]) for r in rows] == [1, 2]


def test_one_sigma_one_uncertainty_and_the_shot_noise_of_the_background() -> None:
    table = empty(1)
    table["sigma_x_nm"], table["sigma_y_nm"] = 120, 140
    table["x_uncertainty_nm"], table["y_uncertainty_nm"] = 4, 6
    table["photons"], table["background"] = 900, 25
    (row,) = written(table)
    assert float(row["sigma [nm]"]) == 130
    assert float(row["uncertainty_xy [nm]"]) == 5
    assert float(row["bkgstd [photon]"]) == 5
    assert float(row["intensity [photon]"]) == 900
    assert float(row["offset [photon]"]) == 25


def test_a_negative_background_has_no_shot_noise() -> None:
    table = empty(1)
    table["background"] = -3
    (row,) = written(table)
    assert float(row["bkgstd [photon]"]) == 0


def test_batches_make_the_same_file_as_the_whole() -> None:
    table = localizations(np.repeat(np.arange(10), 5))
    whole, parts = io.StringIO(), io.StringIO()
    ThunderStormWriter(whole, 100.0).write(table)
    writer = ThunderStormWriter(parts, 100.0)
    for piece in (table[:7], table[7:7], table[7:30], table[30:]):
        writer.write(piece)
    assert parts.getvalue() == whole.getvalue()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    table = localizations(np.repeat(np.arange(20), 3))
    table["sigma_y_nm"] = table["sigma_x_nm"]
    table["y_uncertainty_nm"] = table["x_uncertainty_nm"]
    write_thunderstorm(tmp_path / "a.csv", table, 107.0)
    back = read_thunderstorm(tmp_path / "a.csv", 107.0)
    np.testing.assert_array_equal(back["frame"], table["frame"])
    for name in ("x_nm", "y_nm", "sigma_x_nm", "sigma_y_nm", "photons", "background", "x_uncertainty_nm"):
        np.testing.assert_allclose(back[name], table[name], rtol=2e-7, atol=1e-4, err_msg=name)


def test_the_wrong_pixel_size_shows_as_half_the_difference(tmp_path: Path) -> None:
    table = localizations([0])
    write_thunderstorm(tmp_path / "a.csv", table, 100.0)
    back = read_thunderstorm(tmp_path / "a.csv", 160.0)
    np.testing.assert_allclose(table["x_nm"] - back["x_nm"], 30, atol=1e-2)


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    write_thunderstorm(tmp_path / "a.csv", empty(), 100.0)
    assert len(read_thunderstorm(tmp_path / "a.csv", 100.0)) == 0


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(ResultsError, match="not overwritten"):
        write_thunderstorm(tmp_path / "a.csv", empty(), 100.0)
    assert (tmp_path / "a.csv").read_text() == "mine"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be written"):
        write_thunderstorm(tmp_path / "no" / "a.csv", empty(), 100.0)


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_nothing_works_without_a_pixel_size(tmp_path: Path, size: float) -> None:
    with pytest.raises(ResultsError, match="no size of a pixel"):
        ThunderStormWriter(io.StringIO(), size)
    with pytest.raises(ResultsError, match="no size of a pixel"):
        read_thunderstorm(tmp_path / "a.csv", size)


def test_a_table_that_counts_from_zero_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "picasso.csv"
    path.write_text('"frame","x [nm]","y [nm]"\n0,130,260\n4,0,0\n')
    with pytest.raises(ResultsError, match="below the first frame 1") as caught:
        read_thunderstorm(path, 130.0)
    assert 'origin="centre"' in caught.value.todo
    table = read_thunderstorm(path, 130.0, origin="centre", first_frame=0)
    np.testing.assert_array_equal(table["x_nm"], [130, 0])
    np.testing.assert_array_equal(table["frame"], [0, 4])


def test_three_dimensional_tables_give_both_sigmas(tmp_path: Path) -> None:
    path = tmp_path / "3d.csv"
    path.write_text(
        '"frame","x [nm]","y [nm]","z [nm]","sigma1 [nm]","sigma2 [nm]","uncertainty_xy [nm]"\r\n'
        "1,50,150,-300,110,190,7\r\n"
    )
    (row,) = read_thunderstorm(path, 100.0)
    assert (row["x_nm"], row["y_nm"], row["sigma_x_nm"], row["sigma_y_nm"]) == (0, 100, 110, 190)
    assert row["x_uncertainty_nm"] == row["y_uncertainty_nm"] == 7
    assert row["z_nm"] == -300, "the depth has no half pixel"


def with_depth(n: int) -> Localizations:
    flat = localizations(np.arange(n))
    table = empty(n, LOCALIZATION_3D)
    for name in flat.dtype.names or ():
        table[name] = flat[name]
    table["y_uncertainty_nm"] = table["x_uncertainty_nm"]
    table["z_nm"], table["z_uncertainty_nm"] = np.linspace(-500, 500, n), np.linspace(5, 50, n)
    return table


def test_a_table_with_depth_has_thunderstorms_columns_for_it() -> None:
    file = io.StringIO()
    ThunderStormWriter(file, 100.0, depth=True).write(with_depth(3))
    first = next(csv.DictReader(io.StringIO(file.getvalue())))
    assert tuple(first) == HEADER_3D
    assert float(first["z [nm]"]) == -500
    assert float(first["uncertainty_z [nm]"]) == 5
    assert "sigma [nm]" not in first


def test_depth_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    table = with_depth(40)
    write_thunderstorm(tmp_path / "a.csv", table, 107.0)
    back = read_thunderstorm(tmp_path / "a.csv", 107.0)
    assert back.dtype == LOCALIZATION_3D
    for name in ("x_nm", "sigma_x_nm", "sigma_y_nm", "photons", "x_uncertainty_nm", "z_nm", "z_uncertainty_nm"):
        np.testing.assert_allclose(back[name], table[name], rtol=2e-7, atol=1e-4, err_msg=name)


def test_a_flat_table_is_read_as_a_flat_one(tmp_path: Path) -> None:
    write_thunderstorm(tmp_path / "a.csv", localizations([0]), 107.0)
    assert read_thunderstorm(tmp_path / "a.csv", 107.0).dtype == LOCALIZATION


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no column frame, x"),
        ("a,b,c\n1,2,3\n", "no column frame"),
        ('"frame","x [px]","y [px]"\n1,2,3\n', r"no column x \[nm\]"),
        ('"frame","x [nm]","y [nm]"\n1,2\n', "cannot be read"),
        ('"frame","x [nm]","y [nm]"\n1,two,3\n', "cannot be read"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ResultsError, match=what):
        read_thunderstorm(tmp_path / "a.csv", 100.0)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be read"):
        read_thunderstorm(tmp_path / "a.csv", 100.0)


def test_the_columns_are_the_ones_of_the_exact_header() -> None:
    assert ",".join(f'"{name}"' for name in HEADER) == EXACT_HEADER


@pytest.mark.parametrize("name", ["Thunderstorm_dstorm_data.csv", "ThunderSTORM_TS3D.csv"])
def test_real_tables_are_read(shared_data: Callable[[str], Path], name: str) -> None:
    path = shared_data(f"formats/thunderstorm_csv/{name}")
    table = read_thunderstorm(path, 100.0)
    lines = path.read_text().splitlines()
    columns = lines[0].replace('"', "").split(",")
    last = dict(zip(columns, (float(v) for v in lines[-1].split(",")), strict=True))
    assert len(table) == len(lines) - 1
    assert table["frame"][-1] == last["frame"] - 1
    assert table["x_nm"][-1] == pytest.approx(last["x [nm]"] - 50, abs=0.01)
    assert table["photons"][-1] == pytest.approx(last["intensity [photon]"])
