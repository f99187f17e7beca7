"""The reconstruction as OME-Zarr: part of the run like every other file, whole or not there."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from finished_run import ALSO, finished
from killed_run import PAGES, Left, leave
from locstream.bundle import finish, images
from locstream.bundle.bundle import open_bundles
from locstream.bundle.files import RunFiles
from locstream.bundle.recovery import recover_run
from locstream.bundle.verify import verify_folder
from locstream.bundle.whole_file import files_in, whole_file
from locstream.errors import ConfigError, LocstreamError
from locstream.rendering import ome_zarr
from locstream.rendering.grid import Grid, Picture
from locstream.rendering.pyramid import smaller_copies
from locstream.upload.folder_filer import FolderFiler


def picture(rows: int, columns: int) -> Picture:
    """Return a picture without symmetry: flipped or transposed it is another one."""
    image = np.random.default_rng(0).poisson(0.1, (rows, columns)).astype(np.float32)
    image[: rows // 3, : columns // 4] += 3
    return image


def stored(folder: Path, level: str = "0") -> Picture:
    return np.asarray(zarr.open_array(folder / level, mode="r")[:], np.float32)


@pytest.mark.parametrize("shape", [(700, 1301), (256, 256), (1, 300), (5, 3)])
def test_each_level_is_the_picture_at_its_size_and_place(tmp_path: Path, shape: tuple[int, int]) -> None:
    image, grid = picture(*shape), Grid(*shape, 20.0, -54.0, -44.0)
    ome_zarr.save_ome_zarr(tmp_path / "a.ome.zarr", image, grid, "cell")
    yaozarrs.validate_zarr_store(str(tmp_path / "a.ome.zarr"))
    attributes: Any = zarr.open_group(tmp_path / "a.ome.zarr", mode="r").attrs["ome"]
    (multiscale,) = attributes["multiscales"]
    levels = [image, *smaller_copies(image, ome_zarr.CHUNK_PX)]
    assert [one["path"] for one in multiscale["datasets"]] == [str(k) for k in range(len(levels))]
    for number, (level, about) in enumerate(zip(levels, multiscale["datasets"], strict=True)):
        np.testing.assert_array_equal(stored(tmp_path / "a.ome.zarr", about["path"]), level)
        scale, translation = about["coordinateTransformations"]
        size_nm = 20.0 * 2**number
        assert scale["scale"] == [size_nm, size_nm]
        # y first; the first pixel of each level begins where the picture begins
        assert np.subtract(translation["translation"], size_nm / 2).tolist() == [-44.0, -54.0]
    assert [axis["unit"] for axis in multiscale["axes"]] == ["nanometer", "nanometer"]


def test_a_level_is_one_file(tmp_path: Path) -> None:
    image = picture(2000, 1500)
    ome_zarr.save_ome_zarr(tmp_path / "a.ome.zarr", image, Grid(2000, 1500, 10.0, 0.0, 0.0), "cell")
    assert len(files_in(tmp_path / "a.ome.zarr")) == 1 + 2 * (1 + len(smaller_copies(image, ome_zarr.CHUNK_PX)))


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return finished(tmp_path / "run", bundle=ALSO)


def test_it_shows_what_the_ome_tiff_shows(files: RunFiles) -> None:
    shown = stored(files.ome_zarr)
    assert shown.sum() > 0
    np.testing.assert_array_equal(shown, tifffile.imread(files.reconstruction))


def test_its_files_are_held_to_their_checksums(files: RunFiles) -> None:
    assert verify_folder(files.folder).faults == ()
    (files.ome_zarr / "0" / "zarr.json").write_text("{}")
    (files.ome_zarr / "notes.txt").write_text("nice")
    (files.ome_zarr / "zarr.json").unlink()
    faults = sorted(verify_folder(files.folder).faults)
    assert len(faults) == 3
    assert faults[0].startswith("run_recon.ome.zarr/0/zarr.json: is altered")
    assert faults[1].startswith("run_recon.ome.zarr/notes.txt: is extra")
    assert faults[2].startswith("run_recon.ome.zarr/zarr.json: is missing")


def test_it_is_handed_on_with_the_run(files: RunFiles, tmp_path: Path) -> None:
    (bundle,) = open_bundles(files.folder)
    bundle.check()
    (tmp_path / "lab").mkdir()
    there = Path(FolderFiler(tmp_path / "lab").file(bundle, lambda name, done, total: None).removeprefix("file://"))
    assert verify_folder(there).faults == ()
    np.testing.assert_array_equal(stored(there / files.ome_zarr.name), tifffile.imread(files.reconstruction))


@pytest.mark.parametrize("cut", ["save_ome_zarr", "write_further_tables", "write_crate", "write_summary"])
def test_a_run_that_is_killed_while_it_is_written_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    class KilledError(BaseException):
        """Nothing catches it."""

    def kill(*arguments: object, **named: object) -> None:
        raise KilledError

    monkeypatch.setattr(images if hasattr(images, cut) else finish, cut, kill)
    files = leave(tmp_path, Left(PAGES, 12), config={"render": {"bin_nm": 25.0}, "bundle": ALSO})
    with pytest.raises(KilledError):
        recover_run(files)
    (tmp_path / ".run_recon.ome.zarr.7.part").mkdir()  # of one that had no time to clear up
    (tmp_path / ".run_recon.ome.zarr.7.part" / "zarr.json").write_text("{")
    monkeypatch.undo()
    recover_run(files)
    assert [fault for fault in verify_folder(tmp_path).faults if "lock" not in fault] == []
    assert files.ome_zarr.is_dir()


def test_without_the_library_a_run_is_recovered_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch)
    files = finished(tmp_path, bundle=ALSO)
    assert not files.ome_zarr.exists()
    assert files.reconstruction.exists()
    assert 'pip install \\"locstream[zarr]\\"' in files.summary.read_text()
    with h5py.File(files.results) as results:
        assert len(results["locs"]) > 0


def test_without_the_library_it_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch)
    with pytest.raises(ConfigError, match="zarr, which is not installed"):
        ome_zarr.save_ome_zarr(tmp_path / "a", picture(9, 9), Grid(9, 9, 20.0, 0.0, 0.0), "cell")
    assert not (tmp_path / "a").exists()


def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "zarr" else find(name, *rest))


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a"

    def write_half() -> None:
        with whole_file(target) as part:
            (part / "half").mkdir(parents=True)
            (part / "nowhere" / "half").write_text("x")

    with pytest.raises(FileNotFoundError):
        write_half()
    assert list(tmp_path.iterdir()) == []
    for content in ("old", "new"):
        with whole_file(target, overwrite=True) as part:
            part.mkdir()
            (part / content).write_text(content)
    assert [path.name for path in target.iterdir()] == ["new"]
    with pytest.raises(LocstreamError, match="exists already"), whole_file(target) as part:
        part.mkdir()
    with pytest.raises(IsADirectoryError), whole_file(target, overwrite=True) as part:
        part.write_text("a file")
    assert [path.name for path in target.iterdir()] == ["new"]
    shutil.rmtree(target)
