"""`locstream recover` after real kills, and killed itself: what it makes equals a run that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from kill_matrix import warm_cache
from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream.results.reader import ResultsReader
from locstream.stacks.live_frames import read_pages_info

pytestmark = pytest.mark.system

CAMERA = """
[[camera]]
offset_adu = 100.0
gain_e_per_adu = 0.46
read_noise_e = 1.6
"""
"""The simulated camera of the demo."""

UNFITTED = 400


def committed(files: RunFiles) -> int:
    try:
        with ResultsReader(files.live_results) as reader:
            return reader.n_frames
    except LocstreamError:  # it is just coming into being
        return 0


def recorded(files: RunFiles) -> int:
    return len(read_pages_info(files.live_stack).numbers)


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    """Rows are compared to the last bit."""
    warm_cache()


@pytest.fixture
def killed(tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]) -> RunFiles:
    """Return the files of a demo that was killed when its workers had fallen `UNFITTED` frames behind."""
    run = locstream("demo", "--frames", "100000", "--size", "96", "--fps", "200", "--workers", "2")
    out = tmp_path / "demo-output"
    wait_until(lambda: any(out.glob("*/*.live.h5")), what="the first file")
    (folder,) = out.iterdir()
    files = RunFiles(folder, folder.name)
    wait_until(lambda: committed(files) > 30, what="the first frames")
    workers = [c for c in psutil.Process(run.process.pid).children() if "locstreamd.fit.worker" in c.cmdline()]
    for worker in workers:
        worker.send_signal(signal.SIGSTOP)
    fitted = committed(files)
    wait_until(lambda: recorded(files) > fitted + UNFITTED, what="frames that nobody fits")
    run.process.kill()
    for worker in workers:
        worker.kill()
    run.finish()
    return files


def moved(files: RunFiles, to: Path) -> RunFiles:
    shutil.copytree(files.folder, to)
    return RunFiles(to, files.name)


def summary(files: RunFiles) -> dict[str, object]:
    found: dict[str, object] = json.loads(files.summary.read_text())
    return found


def assert_same_results(one: Path, other: Path) -> None:
    """Row by row, bit by bit, and frame by frame but for their times."""
    with ResultsReader(one) as a, ResultsReader(other) as b:
        assert a.stored_rows().tobytes() == b.stored_rows().tobytes()
        for column in ("frame", "rows", "outcome"):
            np.testing.assert_array_equal(a.frames()[column], b.frames()[column])


def test_what_recovery_makes_is_what_a_replay_of_the_stack_makes(
    killed: RunFiles, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    recover = locstream("recover", killed.folder)
    assert recover.finish() == 0, recover.err
    assert "fitting frames that were never fitted, 100 %" in recover.out
    assert f"{killed.name}: recovered" in recover.out
    (tmp_path / "camera.toml").write_text(CAMERA)
    replay = locstream(
        "replay", killed.stack, "--config", "camera.toml", "--pixel-size-nm", "108", "--out", "again", "--name", "again"
    )
    assert replay.finish() == 0, replay.err
    assert_same_results(killed.results, tmp_path / "again" / "again_locs.hdf5")
    frames = summary(killed)["frames"]
    assert frames["fitted"] == frames["acquired"] == len(read_pages_info(killed.stack).numbers) > UNFITTED


def test_recovery_that_is_killed_again_and_again_makes_the_same(
    killed: RunFiles, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    undisturbed = moved(killed, tmp_path / "undisturbed")
    began = time.monotonic()
    assert locstream("recover", undisturbed.folder).finish() == 0
    took_s = time.monotonic() - began
    chance = random.Random(6)
    for count in range(3):
        disturbed = moved(killed, tmp_path / f"disturbed {count}")
        for _ in range(2):
            recover = locstream("recover", disturbed.folder)
            time.sleep(chance.uniform(0.2, 0.95) * took_s)
            recover.process.kill()
            recover.finish()
        recover = locstream("recover", disturbed.folder)
        assert recover.finish() == 0, recover.err
        assert_same_run(undisturbed, disturbed)


def assert_same_run(one: RunFiles, other: RunFiles) -> None:
    assert_same_results(one.results, other.results)
    with ResultsReader(one.results) as a, ResultsReader(other.results) as b:
        np.testing.assert_array_equal(a.frames(), b.frames())
        assert a.summary == b.summary
    assert summary(one) == summary(other)
    np.testing.assert_array_equal(tifffile.imread(one.stack), tifffile.imread(other.stack))
    assert sorted(p.name for p in one.folder.iterdir()) == sorted(p.name for p in other.folder.iterdir())


def test_two_recoveries_at_once_do_not_hurt_each_other(killed: RunFiles, locstream: Callable[..., object]) -> None:
    first, second = locstream("recover", killed.folder), locstream("recover", killed.folder)
    assert (first.finish(), second.finish()) == (0, 0), first.err + second.err
    others = ("left alone", "just been recovered", "nothing to recover")
    assert sum(any(said in each.out for said in others) for each in (first, second)) == 1
    frames = summary(killed)["frames"]
    assert frames["fitted"] == frames["acquired"] > UNFITTED


def test_an_interrupt_leaves_what_is_fitted_and_the_next_goes_on(
    killed: RunFiles, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    fitted = committed(killed)
    recover = locstream("recover", killed.folder)
    wait_until(lambda: committed(killed) > fitted or recover.process.poll() is not None, what="a commit")
    os.kill(recover.process.pid, signal.SIGINT)
    status = recover.finish()
    assert status in (0, 130)
    assert "Traceback" not in recover.err
    if status == 130:
        assert locstream("recover", killed.folder).finish() == 0
    frames = summary(killed)["frames"]
    assert frames["fitted"] == frames["acquired"] > UNFITTED
