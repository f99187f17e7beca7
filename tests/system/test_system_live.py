"""Runs that are watched, stopped, hurt and killed while they go on."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import tifffile

from child_processes import RECORDER, WORKER, children
from locstream.errors import ResultsError
from locstream.results.reader import ResultsReader, read_results
from locstream.stacks.live_frames import read_pages_info
from locstream.stream.control import ask
from locstream.stream.runtime import find

pytestmark = pytest.mark.system


def demo_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "demo-output").iterdir()
    return folder


def committed(tmp_path: Path) -> int:
    """Return how many frames the growing results file of the only demo holds."""
    live = list((tmp_path / "demo-output").glob("*/*.live.h5")) if (tmp_path / "demo-output").exists() else []
    if not live:
        return 0
    try:
        with ResultsReader(live[0]) as reader:
            return reader.n_frames
    except ResultsError:  # it is just coming into being
        return 0


def test_the_demo_records_fits_and_renders(tmp_path: Path, locstream: Callable[..., object]) -> None:
    command = locstream("demo", "--frames", "150", "--size", "128", "--fps", "200", "--workers", "2")
    assert command.finish() == 0, command.err
    folder = demo_folder(tmp_path)
    name = folder.name
    assert sorted(p.name.removeprefix(name) for p in folder.iterdir()) == [
        ".ome.tif", "_config.toml", "_locs.hdf5", "_locs.yaml", "_recon.ome.tif", "_recon.png", "_summary.json",
        "_truth.hdf5", "ro-crate-metadata.json",
    ]  # fmt: skip
    summary = json.loads((folder / f"{name}_summary.json").read_text())
    assert summary["frames"]["acquired"] == summary["frames"]["fitted"] == 150
    late = "by their times"  # on a busy machine frames come late, which is no matter of this test
    assert [warning for warning in summary["warnings"] if not warning.startswith(late)] == []
    with tifffile.TiffFile(folder / f"{name}.ome.tif") as stack:
        assert stack.is_ome
        assert stack.series[0].shape == (150, 128, 128)
    for word in ("acquired", "fitted", "lag", "locs", "frame", "photons", "nm", "queue", "dropped"):
        assert word in command.out


def test_the_demo_finds_what_is_there(tmp_path: Path, locstream: Callable[..., object]) -> None:
    """Most bright molecules are found, and lie where they were: no half pixel, no swapped axes."""
    assert locstream("demo", "--frames", "60", "--size", "128", "--fps", "200").finish() == 0
    folder = demo_folder(tmp_path)
    table = read_results(folder / f"{folder.name}_locs.hdf5").table
    with h5py.File(folder / f"{folder.name}_truth.hdf5") as file:
        truth = file["truth"][:]
    errors, found = [], 0
    bright = truth[(truth["photons"] > 600)]
    for frame in np.unique(bright["frame"]):
        here = table[table["frame"] == frame]
        for molecule in bright[bright["frame"] == frame]:
            dx, dy = here["x_nm"] - molecule["x_nm"], here["y_nm"] - molecule["y_nm"]
            near = np.hypot(dx, dy)
            if len(near) and near.min() < 100:
                found += 1
                errors.append((dx[near.argmin()], dy[near.argmin()]))
    assert found > 0.6 * len(bright)
    bias_x_nm, bias_y_nm = np.median(errors, axis=0)
    assert abs(bias_x_nm) < 3
    assert abs(bias_y_nm) < 3


def followers() -> int:
    """Return how many programs follow the only demo."""
    status = ask(find(None).control, "status", timeout_s=60).status
    assert status is not None
    assert status.stages is not None
    return status.stages.subscribers


def test_a_running_demo_is_watched_and_stopped(
    tmp_path: Path,
    runtime: str,
    locstream: Callable[..., object],
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", runtime)
    run = locstream("demo", "--frames", "100000", "--size", "64", "--fps", "100")
    wait_until(lambda: committed(tmp_path) > 20, what="the first frames")
    csv = locstream("tail", "--format", "csv")
    text = locstream("tail")
    with ThreadPoolExecutor() as readers:  # who writes into a pipe that nobody reads comes to a stop
        ended = [readers.submit(each.finish) for each in (csv, text)]
        wait_until(lambda: followers() == 2, what="both who follow")
        status = locstream("status")
        assert status.finish() == 0, status.err
        for word in ("acquired =", "fitted", "pending", "skipped", "failed", "dropped", "nm precision", "frames/s"):
            assert word in status.out
        n = committed(tmp_path)
        wait_until(lambda: committed(tmp_path) > n + 50, what="more frames")
        stop = locstream("stop")
        assert stop.finish() == 0
        assert "stops" in stop.out
        assert run.finish() == 0, run.err
        assert [each.result() for each in ended] == [0, 0], csv.err + text.err
    folder = demo_folder(tmp_path)
    summary = json.loads((folder / f"{folder.name}_summary.json").read_text())
    assert summary["outcome"] == "stopped"
    assert summary["frames"]["pending"] == 0
    assert "acquired" in text.out
    assert "localizations" in text.out
    lines = csv.out.splitlines()
    assert lines[0].startswith('"id","frame","x [nm]"')
    table = read_results(folder / f"{folder.name}_locs.hdf5").table
    last = table[-1]
    pixel_nm = summary["source"]["pixel_size_nm"]
    x_nm = float(lines[-1].split(",")[2])
    assert x_nm == pytest.approx(last["x_nm"] + pixel_nm / 2, abs=0.01), "ThunderSTORM counts from the corner"
    assert len(lines) - 1 <= len(table)


def test_an_interrupt_finishes_the_files(
    tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    run = locstream("demo", "--frames", "100000", "--size", "64")
    wait_until(lambda: committed(tmp_path) > 20, what="the first frames")
    run.process.send_signal(signal.SIGINT)
    assert run.finish() == 0, run.err
    folder = demo_folder(tmp_path)
    summary = json.loads((folder / f"{folder.name}_summary.json").read_text())
    assert summary["outcome"] == "stopped"
    assert summary["frames"]["acquired"] == summary["frames"]["fitted"]
    with tifffile.TiffFile(folder / f"{folder.name}.ome.tif") as stack:
        assert len(stack.pages) == summary["frames"]["acquired"]


def test_workers_that_are_killed_lose_no_frame(
    tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    run = locstream("demo", "--frames", "500", "--size", "96", "--fps", "150", "--workers", "2")
    for threshold in (20, 120, 250):
        wait_until(lambda t=threshold: committed(tmp_path) > t, what=f"{threshold} frames")
        children(WORKER, run.process.pid)[0].kill()
    assert run.finish() == 0, run.err
    folder = demo_folder(tmp_path)
    results = read_results(folder / f"{folder.name}_locs.hdf5")
    assert results.frames["frame"].tolist() == list(range(500))
    assert json.loads((folder / f"{folder.name}_summary.json").read_text())["frames"]["fitted"] == 500


def test_a_killed_run_is_recovered_with_every_recorded_frame(
    tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    run = locstream("demo", "--frames", "100000", "--size", "64", "--fps", "200")
    wait_until(lambda: committed(tmp_path) > 150, what="150 frames")
    n = committed(tmp_path)
    all_of_them = psutil.Process(run.process.pid).children(recursive=True)
    run.process.kill()
    run.finish()
    folder = demo_folder(tmp_path)
    recover = locstream("recover", folder)
    assert recover.finish() == 0, recover.err
    assert not psutil.wait_procs(all_of_them, timeout=20)[1], "workers and recorder end with the acquisition"
    name = folder.name
    results = read_results(folder / f"{name}_locs.hdf5")
    with tifffile.TiffFile(folder / f"{name}.ome.tif") as stack:
        pages = len(stack.pages)
    assert len(results.frames) == pages >= n, "what was recorded and not fitted has been fitted"
    assert results.frames["frame"].tolist() == list(range(pages))
    assert len(results.table) == results.frames["rows"].sum()
    summary = json.loads((folder / f"{name}_summary.json").read_text())
    assert summary["outcome"] == "recovered"
    assert summary["frames"]["fitted"] == summary["frames"]["acquired"] == pages
    assert sorted(path.name.removeprefix(name) for path in folder.iterdir()) == [
        ".ome.tif", "_config.toml", "_locs.hdf5", "_locs.yaml", "_recon.ome.tif", "_recon.png", "_summary.json",
        "ro-crate-metadata.json",
    ]  # fmt: skip
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    again = locstream("recover", folder)
    assert again.finish() == 0
    assert "nothing to recover" in again.out
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()} == before


def test_an_acquisition_that_runs_is_left_alone_by_recover(
    tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    run = locstream("demo", "--frames", "300", "--size", "64", "--fps", "100")
    wait_until(lambda: committed(tmp_path) > 20, what="the first frames")
    folder = demo_folder(tmp_path)
    recover = locstream("recover", folder)
    assert recover.finish() == 0, recover.err
    assert f"{folder.name}: left alone" in recover.out
    assert f"process {run.process.pid}" in recover.out
    assert run.finish() == 0, run.err
    summary = json.loads((folder / f"{folder.name}_summary.json").read_text())
    assert (summary["outcome"], summary["frames"]["fitted"]) == ("complete", 300)


def test_a_recorder_that_is_killed_again_and_again_costs_no_frame(
    tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    run = locstream("demo", "--frames", "600", "--size", "96", "--fps", "150")
    for threshold in (20, 150, 300, 400):
        wait_until(lambda t=threshold: committed(tmp_path) > t, what=f"{threshold} frames")
        wait_until(lambda: children(RECORDER, run.process.pid), what="another recorder")
        children(RECORDER, run.process.pid)[0].kill()
    assert run.finish() == 0, run.err
    folder = demo_folder(tmp_path)
    stack = folder / f"{folder.name}.ome.tif"
    assert read_pages_info(stack).numbers.tolist() == list(range(600))
    times_s = read_pages_info(stack).times_s
    results = read_results(folder / f"{folder.name}_locs.hdf5")
    assert results.frames["frame"].tolist() == list(range(600))
    np.testing.assert_array_equal(results.frames["time_s"], times_s)
    summary = json.loads((folder / f"{folder.name}_summary.json").read_text())
    assert summary["outcome"] == "complete"
    assert summary["frames"]["fitted"] == summary["frames"]["acquired"] == 600
    assert any("died 4 times" in warning for warning in summary["warnings"])


def test_a_recorder_that_dies_at_once_each_time_ends_the_run_loudly_with_everything_safe(
    tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    run = locstream("demo", "--frames", "100000", "--size", "64")
    wait_until(lambda: committed(tmp_path) > 50, what="the first frames")

    def killed_to_the_end() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            for recorder in children(RECORDER, run.process.pid):
                recorder.kill()
        return run.process.poll() is not None

    wait_until(killed_to_the_end, what="the end of the run")
    assert run.finish() == 1
    assert "raw stack ended unasked 6 times within 60 s" in run.err
    assert "Safe:" in run.err
    folder = demo_folder(tmp_path)
    summary = json.loads((folder / f"{folder.name}_summary.json").read_text())
    assert summary["outcome"] == "faulted"
    assert summary["frames"]["fitted"] > 50
    results = read_results(folder / f"{folder.name}_locs.hdf5")
    assert len(results.frames) == summary["frames"]["fitted"]
