"""A reconstruction is on disk whole or not at all, and never takes the place of another unasked."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from locstream.bundle.files import RunFiles
from locstream.bundle.images import ReconstructionFiles, write_reconstruction
from locstream.bundle.whole_file import whole_file
from locstream.errors import ConfigError, LocstreamError
from locstream.localizations import Localizations, empty
from locstream.rendering.grid import Tally
from locstream.rendering.options import RenderOptions
from locstream.rendering.render import render

OPTIONS = RenderOptions()


def table(n: int = 2000, seed: int = 0) -> Localizations:
    rng = np.random.default_rng(seed)
    rows = empty(n)
    rows["x_nm"], rows["y_nm"] = rng.uniform(0, 7900, n), rng.uniform(0, 5900, n)
    rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = rng.gamma(5, 2, n)
    return rows


def write(
    folder: Path, rows: Localizations | Iterator[Localizations], *, overwrite: bool = False
) -> ReconstructionFiles:
    return write_reconstruction(rows, RunFiles(folder, "run 3"), 60, 80, 100.0, OPTIONS, overwrite=overwrite)


@contextmanager
def files_at_most(nbytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_both_files_hold_the_same_picture(tmp_path: Path) -> None:
    rows = table()
    files = write(tmp_path, rows)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run 3_recon.ome.tif", "run 3_recon.png"]
    assert (files.png.name, files.ome_tiff.name) == ("run 3_recon.png", "run 3_recon.ome.tif")
    expected = render(rows, 60, 80, 100.0, OPTIONS)
    np.testing.assert_array_equal(tifffile.imread(files.ome_tiff), expected.image)
    assert files.tally == expected.tally
    with Image.open(files.png) as png:
        rgb = np.array(png)
        assert png.text["Title"] == "run 3"  # type: ignore[attr-defined]  # PngImageFile's own
    assert rgb.shape[1] == expected.image.shape[1]
    corner = rgb[: expected.image.shape[0] // 2, : expected.image.shape[1] // 2].any(axis=2)
    seen = expected.image[: corner.shape[0], : corner.shape[1]]
    assert np.corrcoef(corner.ravel(), (seen > 0).ravel())[0, 1] > 0.8


def test_batches_give_the_same_files(tmp_path: Path) -> None:
    rows = table()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = write(tmp_path / "a", rows)
    batches = write(tmp_path / "b", (rows[i : i + 300] for i in range(0, len(rows), 300)))
    np.testing.assert_array_equal(tifffile.imread(batches.ome_tiff), tifffile.imread(whole.ome_tiff))
    assert batches.png.read_bytes() == whole.png.read_bytes()


def test_the_ome_tiff_says_what_it_is(tmp_path: Path) -> None:
    files = write(tmp_path, table())
    with tifffile.TiffFile(files.ome_tiff) as tiff:
        xml = tiff.ome_metadata or ""
    for said in ("localizations per pixel", "gaussian", "-50", "centre of pixel (0, 0)", f"{files.tally.inside:,}"):
        assert said in xml


def test_a_run_without_localizations_has_pictures_too(tmp_path: Path) -> None:
    files = write(tmp_path, empty(0))
    assert files.tally == Tally()
    assert not tifffile.imread(files.ome_tiff).any()
    with Image.open(files.png) as png:
        assert np.array(png).any(), "the scale bar is there"


def test_what_is_not_in_the_picture_is_said() -> None:
    files = ReconstructionFiles(Path("a"), Path("b"), Tally(5, 1200, 7))
    outside, unusable = files.warnings
    assert "1,200" in outside
    assert "7" in unusable
    assert ReconstructionFiles(Path("a"), Path("b"), Tally(5)).warnings == ()


@pytest.mark.parametrize("there", ["run 3_recon.png", "run 3_recon.ome.tif"])
def test_a_file_that_is_there_is_refused_before_a_row_is_read(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("precious")

    def batches() -> Iterator[Localizations]:
        pytest.fail("the rows were read")
        yield empty(0)

    with pytest.raises(LocstreamError, match="exists already") as refused:
        write(tmp_path, batches())
    assert refused.value.safe
    assert refused.value.todo
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "precious")]


def test_files_are_replaced_when_told_to(tmp_path: Path) -> None:
    first = write(tmp_path, table(seed=1))
    before = tifffile.imread(first.ome_tiff)
    second = write(tmp_path, table(seed=2), overwrite=True)
    assert second.ome_tiff == first.ome_tiff
    assert not np.array_equal(tifffile.imread(second.ome_tiff), before)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_comes_while_rendering_is_not_replaced(tmp_path: Path) -> None:
    def batches() -> Iterator[Localizations]:
        yield table()
        (tmp_path / "run 3_recon.ome.tif").write_text("another program's")

    with pytest.raises(LocstreamError, match="exists already"):
        write(tmp_path, batches())
    assert (tmp_path / "run 3_recon.ome.tif").read_text() == "another program's"
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize("limit", [0, 2000, 60_000])
def test_a_full_disk_leaves_nothing_behind_and_is_told(limit: int, tmp_path: Path) -> None:
    rows = table()
    render(rows, 60, 80, 100.0, OPTIONS)  # so that no kernel is compiled, and saved, on the full disk
    with pytest.raises(LocstreamError) as told, files_at_most(limit):
        write(tmp_path, rows)
    assert "run 3" in told.value.what
    assert os.strerror(errno.EFBIG) in told.value.what
    assert told.value.safe
    assert "MB" in told.value.todo
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_files_of_before(tmp_path: Path) -> None:
    files = write(tmp_path, table(seed=1))
    before = files.png.read_bytes(), files.ome_tiff.read_bytes()
    with pytest.raises(LocstreamError), files_at_most(2000):
        write(tmp_path, table(seed=2), overwrite=True)
    assert (files.png.read_bytes(), files.ome_tiff.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match="could not be written") as told:
        write(tmp_path / "no", table(10))
    assert str(tmp_path / "no") in told.value.what


@pytest.mark.parametrize("name", ["", "a/b", "../a", "/a", ".", "a/", "a\nb", "a\x00b", "a\ud800"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name of a file"):
        write_reconstruction(empty(0), RunFiles(tmp_path, name), 60, 80, 100.0, OPTIONS)


@pytest.mark.parametrize("name", ["run 3", "α-tubulin", "a.b", "細胞", "x" * 200])
def test_any_other_name_will_do(name: str, tmp_path: Path) -> None:
    files = write_reconstruction(table(10), RunFiles(tmp_path, name), 60, 80, 100.0, OPTIONS)
    assert files.png.name == f"{name}_recon.png"
    assert files.png.is_file()


def test_a_whole_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as part:
        part.write_text("complete")
        assert not path.exists()
        assert part.parent == path.parent, "renaming is atomic only within a file system"
    assert path.read_text() == "complete"
    assert list(tmp_path.iterdir()) == [path]


def test_a_whole_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def fail_half_way() -> None:
        with whole_file(path, overwrite=True) as part:
            part.write_text("half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
