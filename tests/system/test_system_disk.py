"""A disk that is full: the run stops loudly, and what was reported as committed is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tifffile

from locstream.results.reader import read_results

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
