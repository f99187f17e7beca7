"""Long runs: every frame accounted for, memory flat."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import tifffile

from locstream.results.reader import read_results

pytestmark = pytest.mark.system

MB = 1e6


def memory_mb(process: psutil.Process) -> dict[int, float]:
    """Return the resident memory of a process and its children, MB, by process id."""
    found = {}
    for each in (process, *process.children()):
        try:
            found[each.pid] = each.memory_info().rss / MB
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize(
    "frames", [3_000, pytest.param(20_000, marks=pytest.mark.full)], ids=["reduced", "20,000 frames"]
)
def test_every_frame_is_accounted_for_and_memory_is_flat(
    frames: int, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    run = locstream("demo", "--frames", str(frames), "--size", "256", "--fps", "150", "--workers", "2")
    process = psutil.Process(run.process.pid)
    samples: list[dict[int, float]] = []
    while run.process.poll() is None:
        try:
            samples.append(memory_mb(process))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.2)
    assert run.finish() == 0, run.err
    (folder,) = (tmp_path / "demo-output").iterdir()
    ledger = json.loads((folder / f"{folder.name}_summary.json").read_text())["frames"]
    assert ledger == {
        "acquired": frames, "fitted": frames, "pending": 0, "skipped": 0, "failed": 0, "camera_dropped": 0,
    }  # fmt: skip
    results = read_results(folder / f"{folder.name}_locs.hdf5")
    assert results.frames["frame"].tolist() == list(range(frames))
    assert results.frames["rows"].sum() == len(results.table)
    with tifffile.TiffFile(folder / f"{folder.name}.ome.tif") as stack:
        assert len(stack.pages) == frames
    middle, late = samples[len(samples) // 2], samples[int(len(samples) * 0.9)]
    growth = {pid: late[pid] - middle[pid] for pid in middle if pid in late}
    print(f"growth from the middle of the run to its end, MB: {growth}")
    assert all(mb < 60 for mb in growth.values()), growth
