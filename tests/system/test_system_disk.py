"""A disk that is full: the run stops loudly, and what was reported as committed is there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tifffile

from locstream.errors import ResultsError
from locstream.results.reader import ResultsReader, read_results

pytestmark = pytest.mark.system

MB = 1_000_000


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of its own with 6 MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can be mounted by root only")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def settings(tmp_path: Path, folder: Path, *, reserve_mb: int, frames: str = "") -> Path:
    """Return the configuration of a small simulated camera that goes on until stopped, at 150 frames per second."""
    path = tmp_path / "scope.toml"
    path.write_text(
        f"[acquisition]\nname = 'cell'\nfolder = '{folder}'\n[results]\nreserve_mb = {reserve_mb}\n"
        f"[simulation]\nwidth = 64\nheight = 64\nexposure_ms = 6.7\n{frames}\n"
    )
    return path


def test_at_the_reserve_the_camera_stops_and_the_files_are_finished(
    small_disk: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    run = locstream("run", settings(tmp_path, small_disk, reserve_mb=3))
    assert run.finish() == 1
    assert "less than the reserve of 3 MB" in run.err
    assert "recorded and fitted" in run.err
    ledger = json.loads((small_disk / "cell_summary.json").read_text())["frames"]
    assert ledger["acquired"] == ledger["fitted"] > 50
    assert len(read_results(small_disk / "cell_locs.hdf5").frames) == ledger["fitted"]
    with tifffile.TiffFile(small_disk / "cell.ome.tif") as stack:
        assert len(stack.pages) == ledger["acquired"]


def test_frames_that_do_not_fit_are_not_begun(
    small_disk: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    run = locstream("run", settings(tmp_path, small_disk, reserve_mb=1, frames="frames = 100000"))
    assert run.finish() == 1
    assert "100,000 frames need about 2,819 MB" in run.err
    assert "nothing was started" in run.err
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_stops_the_run_and_loses_nothing_that_was_committed(
    small_disk: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    run = locstream("run", settings(tmp_path, small_disk, reserve_mb=0))
    assert run.finish() == 1
    assert "Traceback" not in run.err
    assert "no space" in run.err.lower() or "full" in run.err.lower()
    assert "Safe:" in run.err
    name = "cell"
    moved = tmp_path / "moved" / name
    shutil.copytree(small_disk, moved)
    if list(moved.glob("*.live.*")) or not (moved / f"{name}_summary.json").exists():
        recover = locstream("recover", moved)
        assert recover.finish() == 0, recover.err
    results = read_results(moved / f"{name}_locs.hdf5")
    recorded = max(map(number, re.findall(r"Safe: ([\d,]+) frames are complete", run.err)), default=0)
    committed = max(map(number, re.findall(r"Safe: ([\d,]+) frames with", run.err)), default=0)
    assert recorded + committed > 0, run.err
    assert len(results.frames) >= committed, "what was reported as safe is there"
    assert results.frames["frame"].tolist() == list(range(len(results.frames)))
    assert len(results.table) == results.frames["rows"].sum()
    with tifffile.TiffFile(moved / f"{name}.ome.tif") as stack:
        assert len(stack.pages) >= recorded


def test_a_folder_that_cannot_be_made_starts_nothing(tmp_path: Path, locstream: Callable[..., object]) -> None:
    (tmp_path / "occupied").write_text("a file")
    run = locstream("demo", "--frames", "10", "--out", "occupied")
    assert run.finish() == 1
    assert "cannot be made" in run.err
    assert "nothing was started" in run.err


def test_a_disk_that_can_only_be_read_starts_nothing(
    small_disk: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    run = locstream("run", settings(tmp_path, small_disk, reserve_mb=1))
    assert run.finish() == 1
    assert "cannot be written" in run.err
    assert "nothing was started" in run.err
    assert "Traceback" not in run.err
    assert list(small_disk.iterdir()) == []


@pytest.fixture
def removable_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Return where a disk of 64 MB is mounted, and a function that mounts it again once it is gone."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("a disk can be made and mounted by root only, with mkfs.ext4")
    image, mount = tmp_path / "image", tmp_path / "removable"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * MB)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)

    def plug_in() -> None:
        mounted = subprocess.run(["mount", "-o", "loop", str(image), str(mount)], capture_output=True)
        if mounted.returncode:
            pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")

    plug_in()
    yield mount, plug_in
    subprocess.run(["umount", str(mount)], check=False, capture_output=True)


def test_a_disk_that_is_unmounted_stops_the_run_and_has_what_was_reported_once_it_is_back(
    removable_disk: tuple[Path, Callable[[], None]],
    tmp_path: Path,
    locstream: Callable[..., object],
    wait_until: Callable[..., None],
) -> None:
    mount, plug_in = removable_disk
    folder = mount / "cell"
    run = locstream("run", settings(tmp_path, folder, reserve_mb=1))
    wait_until(lambda: published(folder) > 100, what="a hundred frames")
    seen = published(folder)
    subprocess.run(["umount", "-l", str(mount)], check=True)
    assert run.finish() == 1
    assert "its disk was unmounted or removed" in run.err
    assert run.err.count("Next:") == 1, "one message, not what comes of it as well"
    assert "Traceback" not in run.err
    assert list(mount.iterdir()) == [], "nothing is left where the disk was"
    plug_in()
    recover = locstream("recover", folder)
    assert recover.finish() == 0, recover.err
    results = read_results(folder / "cell_locs.hdf5")
    assert results.frames["frame"].tolist() == list(range(len(results.frames)))
    assert len(results.frames) >= seen, "what was seen as committed is there"
    with tifffile.TiffFile(folder / "cell.ome.tif") as stack:
        assert len(stack.pages) == len(results.frames)


def published(folder: Path) -> int:
    """Return how many frames the growing results file holds: these and no others are published."""
    with contextlib.suppress(ResultsError), ResultsReader(folder / "cell.live.h5") as reader:
        return reader.n_frames
    return 0
