"""Long runs of the real command: numbered frames with workers killed, and more frames than can be fitted in time."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from locstream.localizations import Localizations
from locstream.results.reader import ResultsReader, read_results
from locstream.stacks.source import Frame, Image
from record_cameras import serial_of
from spawned_run import LOCSTREAM, MemoryWatch, SpawnedRun

SEQUENCE_TESTER = """
Property,Core,Initialize,0
Device,THub,SequenceTester,THub
Device,TCamera,SequenceTester,TCamera-0
Property,TCamera,ImageMode,MachineReadable
Property,TCamera,ImageWidth,64
Property,TCamera,ImageHeight,64
Parent,TCamera,THub
Property,Core,Initialize,1
Property,Core,Camera,TCamera
"""

TESTER_SETTINGS = """
[micromanager]
config_file = "tester.cfg"
exposure_ms = {exposure_ms}
frames = {frames}
[[camera]]
pixel_size_nm = 100.0
offset_adu = 100.0
[workers]
count = 2
"""

SIMULATION_SETTINGS = """
[simulation]
width = {size}
height = {size}
frames = {frames}
exposure_ms = {exposure_ms}
emitters_per_frame = {emitters}
"""

SIMULATE_AGAIN = """
import sys
from hashlib import blake2b
from locstreamd.record.sample import SimulationOptions
from locstreamd.record.simulated import open_simulated
size, frames, emitters, exposure_ms = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
source = open_simulated(SimulationOptions(
    width=size, height=size, frames=frames, emitters_per_frame=emitters, exposure_ms=exposure_ms, paced=False
))
source.start()
while not source.exhausted:
    if (frame := source.read(1.0)) is not None:
        print(blake2b(frame.image.tobytes(), digest_size=8).hexdigest())
source.close()
"""
"""In a process of its own: it takes its kernels from the cache, as the run does, and so rounds alike."""

SLOW_FIT = """
[fit]
box_px = 11
"""
ONE_WORKER = """
[workers]
count = 1
backlog_mb = 16
"""
"""The frames that wait for it soon wait on disk."""

SIMULATED_CAMERA = """
[[camera]]
pixel_size_nm = 108.0
offset_adu = 100.0
gain_e_per_adu = 0.46
read_noise_e = 1.6
saturation_adu = 65535
"""
"""What the simulation says of itself; a stack does not say all of it."""

SECONDS_BETWEEN_KILLS = 3.0, 6.0
SETTLED_AFTER_S = 10.0


@dataclass(frozen=True)
class Counted:
    """What came of a run whose frames can be told apart.

    Parameters
    ----------
    ledger
        As in the summary.
    pages
        In the raw stack.
    wrong_pages
        Pages that do not hold the frame that belongs there.
    records
        Frames in the results.
    wrong_records
        Of them, those that are not where their number belongs.
    killed
        Workers that were killed meanwhile.
    acquired_fps
        Frames a second.
    """

    ledger: dict[str, int]
    pages: int
    wrong_pages: int
    records: int
    wrong_records: int
    killed: int
    acquired_fps: float

    def nothing_lost(self, frames: int) -> bool:
        """Return whether each of so many frames is there exactly once, in its place, fitted."""
        return (
            self.pages == self.records == self.ledger["acquired"] == self.ledger["fitted"] == frames
            and not self.wrong_pages
            and not self.wrong_records
        )


def count_numbered_frames(folder: Path, frames: int, *, exposure_ms: float = 1.0) -> Counted:
    """Record Micro-Manager's tester, which writes a serial number into every frame, and kill workers on the way."""
    (folder / "tester.cfg").write_text(SEQUENCE_TESTER)
    with SpawnedRun(folder, TESTER_SETTINGS.format(frames=frames, exposure_ms=exposure_ms)) as run:
        killed, summary = _finish_killing_workers(run)
        serials = [serial_of(Frame(0, 0.0, image)) for image in _images(run)]
        wrong = sum(serial != serials[0] + place for place, serial in enumerate(serials))
        return _counted(run, summary, killed, len(serials), wrong)


def count_simulated_frames(folder: Path, frames: int, *, size: int = 64, fps: float = 300.0) -> Counted:
    """Record the simulated sample, kill workers on the way, and hold every page to a frame simulated anew."""
    exposure_ms, emitters = 1000 / fps, 8.0
    settings = SIMULATION_SETTINGS.format(size=size, frames=frames, exposure_ms=exposure_ms, emitters=emitters)
    with SpawnedRun(folder, f"{settings}[workers]\ncount = 2\n") as run:
        killed, summary = _finish_killing_workers(run)
        again = [sys.executable, "-c", SIMULATE_AGAIN, *map(str, (size, frames, emitters, exposure_ms))]
        expected = subprocess.run(again, check=True, capture_output=True, text=True).stdout.split()
        found = [blake2b(image.tobytes(), digest_size=8).hexdigest() for image in _images(run)]
        wrong = sum(one != other for one, other in zip(found, expected, strict=False))
        return _counted(run, summary, killed, len(found), wrong)


@dataclass(frozen=True)
class Overloaded:
    """What came of a run with more frames than could be fitted in time.

    Parameters
    ----------
    ledger
        As in the summary.
    capacity_fps, acquired_fps
        Frames a second that the worker can fit, and that came.
    whole_s
        Until the last frame was fitted and the files were finished, s.
    most_waiting
        Frames that waited to be fitted, at most.
    growth_mb, most_mb
        Largest growth and largest size of each process once it had settled, MB.
    live, unhurried
        What was found, and what is found when the stack is fitted at leisure.
    """

    ledger: dict[str, int]
    capacity_fps: float
    acquired_fps: float
    whole_s: float
    most_waiting: int
    growth_mb: dict[str, float]
    most_mb: dict[str, float]
    live: Localizations
    unhurried: Localizations


def overload(folder: Path, seconds: float, *, times: float = 3.0, size: int = 128, emitters: int = 100) -> Overloaded:
    """Give one worker several times the frames that it can fit, for so many seconds of the camera."""
    capacity_fps = _capacity_fps(folder / "capacity", size, emitters)
    exposure_ms = 1000 / (times * capacity_fps)
    settings = SIMULATION_SETTINGS.format(
        size=size, frames=round(1000 * seconds / exposure_ms), exposure_ms=exposure_ms, emitters=emitters
    )
    hurried = folder / "overload"
    hurried.mkdir()
    began = time.monotonic()
    with SpawnedRun(hurried, settings + SLOW_FIT + ONE_WORKER) as run:
        run.wait_for_frames(1)
        # a short run may be over before: the growth then counts from sooner on, and there is more of it
        memory = MemoryWatch(run.process.pid, min(SETTLED_AFTER_S, seconds / 2))
        most_waiting = _most_waiting(run, memory)
        summary = run.finish()
        whole_s = time.monotonic() - began
        return Overloaded(
            ledger=summary["frames"],
            capacity_fps=capacity_fps,
            acquired_fps=summary["speed"]["acquired_fps"],
            whole_s=whole_s,
            most_waiting=most_waiting,
            growth_mb=memory.growth_mb,
            most_mb=memory.most_mb,
            live=read_results(run.files.results).table,
            unhurried=_fit_at_leisure(run, folder / "leisure"),
        )


def _capacity_fps(folder: Path, size: int, emitters: int) -> float:
    """Return how many frames a second the worker can fit, measured by giving it more than enough for a moment."""
    folder.mkdir()
    settings = SIMULATION_SETTINGS.format(size=size, frames=400, exposure_ms=1.0, emitters=emitters)
    with SpawnedRun(folder, settings + SLOW_FIT + ONE_WORKER) as run:
        return float(run.finish()["speed"]["fitted_fps"])


def _most_waiting(run: SpawnedRun, memory: MemoryWatch) -> int:
    """Look how many frames wait, and at the memory, until the last frame is fitted."""
    most = 0
    while run.process.poll() is None and (waiting := run.waiting()) is not None:
        most = max(most, waiting)
        memory.look()
        time.sleep(0.3)
    return most


def _fit_at_leisure(run: SpawnedRun, folder: Path) -> Localizations:
    """Fit the stack of a run with nothing else going on, by what the run was told."""
    (run.folder / "leisure.toml").write_text(SIMULATED_CAMERA + SLOW_FIT)
    words = [LOCSTREAM, "fit", run.files.stack, "--config", run.folder / "leisure.toml", "--out", folder]
    subprocess.run(words, check=True, capture_output=True)
    (results,) = folder.glob("*_locs.hdf5")
    return read_results(results).table


def _finish_killing_workers(run: SpawnedRun) -> tuple[int, dict[str, Any]]:
    """Kill a worker every few seconds until the run has ended; return how many, and the summary."""
    chance, killed = random.Random(1), 0
    run.wait_for_frames(1)
    while run.process.poll() is None:
        killed += run.kill_a_worker(chance)
        time.sleep(chance.uniform(*SECONDS_BETWEEN_KILLS))
    return killed, run.finish()


def _images(run: SpawnedRun) -> Iterator[Image]:
    """Yield the pages of the raw stack, one at a time."""
    with tifffile.TiffFile(run.files.stack) as stack:
        for page in stack.pages:
            yield page.asarray()


def _counted(run: SpawnedRun, summary: dict[str, Any], killed: int, pages: int, wrong_pages: int) -> Counted:
    with ResultsReader(run.files.results) as reader:
        numbers = reader.frames()["frame"].astype(np.int64)
    wrong_records = int(np.count_nonzero(numbers != np.arange(len(numbers))))
    ledger, fps = summary["frames"], summary["speed"]["acquired_fps"]
    return Counted(ledger, pages, wrong_pages, len(numbers), wrong_records, killed, fps)
