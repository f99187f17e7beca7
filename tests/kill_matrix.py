"""Kills the processes of an acquisition at random moments, recovers what is left, and counts what was lost.

The demo gives the same frames for the same seed, bit by bit. So each run is held to one that nobody disturbed: page
by page and row by row.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import tifffile

from child_processes import PUBLISHER, RECORDER, WORKER, children
from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream.formats.picasso import PicassoRows
from locstream.results.reader import ResultsReader
from locstream.stacks.live_frames import read_pages_info
from waiting import until

FRAMES, SIZE, FPS = 240, 64, 200
WORKER_KILLS = 2
"""In one run: a frame on which three workers die counts as failed."""
RECORDER_KILLS = 3
"""In one run: with the sixth death in a minute the recorder is given up."""
PUBLISHER_KILLS = 2
"""In one run."""
SECONDS = 120.0

LOCSTREAM = str(Path(sys.executable).parent / "locstream")
MODULES = {"worker": WORKER, "recorder": RECORDER, "publisher": PUBLISHER}
CHECKS = (
    "committed rows lost",
    "rows that differ",
    "frames twice or out of order",
    "reported pages lost",
    "pages that differ",
    "recoveries that failed",
    "ledgers that do not balance",
    "recorded frames not fitted",
    "files left over",
)


def warm_cache() -> None:
    """Have the kernels compiled by a process that does nothing else.

    What a process has compiled itself and what the next one takes from the cache differ in the last bits of some rows.
    """
    subprocess.run([sys.executable, "-c", "from locstream.fitting import warmup; warmup()"], check=True)


@dataclass
class Tally:
    """What was done, and what came of it.

    Parameters
    ----------
    kills
        How often each process was killed.
    moments
        What the acquisition had come to when its daemon was killed.
    found
        How often each of `CHECKS` failed.
    frames
        Frames recorded in all runs together.
    """

    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    frames: int = 0

    def table(self) -> str:
        """Return it for the terminal."""
        lines = [f"{self.runs} runs of {FRAMES} frames, {self.frames:,} frames recorded", "", "killed with SIGKILL"]
        lines += [f"  {who:<32}{self.kills[who]:>6}" for who in ("daemon", *MODULES, "recover")]
        lines += [f"  {'in all':<32}{self.kills.total():>6}", "", "the daemon was killed"]
        lines += [f"  {moment:<32}{count:>6}" for moment, count in sorted(self.moments.items())]
        lines += ["", "found afterwards", *(f"  {check:<32}{self.found[check]:>6}" for check in CHECKS)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Seen:
    """What was on disk at one moment: this may never be lost again."""

    rows: PicassoRows | None = None
    frames: int = 0
    pages: int = 0


class KillMatrix:
    """Runs demos, kills their processes, recovers them.

    Parameters
    ----------
    folder
        An empty folder for everything.
    seed
        The same seed gives the same sequence of victims and delays.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.tally = Tally()
        self._folder = folder
        self._chance = random.Random(seed)
        self._runtime = folder / "rt"
        self._runtime.mkdir(mode=0o700)
        self._images: np.ndarray
        self._rows: dict[int, bytes]

    def learn(self) -> None:
        """Make the run that nobody disturbs, to which all others are held."""
        warm_cache()
        process = self._demo(self._folder / "undisturbed")
        assert process.wait(SECONDS) == 0
        files = self._files(self._folder / "undisturbed")
        assert files is not None
        self._images = tifffile.imread(files.stack)
        with ResultsReader(files.results) as reader:
            self._rows = _rows_by_frame(reader)

    def run(self) -> None:
        """Disturb one run, recover it, and count."""
        out = self._folder / f"run{self.tally.runs}"
        self.tally.runs += 1
        process = self._demo(out)
        try:
            self._chance.choice([self._at_the_start, self._in_the_middle, self._in_the_middle, self._at_the_end])(
                process.pid, out
            )
            seen = self._kill_daemon(process, out)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if (files := self._files(out)) is not None:
            self._recover(files)
            self._check(files, seen)

    def _at_the_start(self, daemon: int, out: Path) -> None:
        time.sleep(self._chance.uniform(0.5, 2.0))

    def _in_the_middle(self, daemon: int, out: Path) -> None:
        self._kill_helpers(daemon, out)
        time.sleep(self._chance.uniform(0, 0.5))

    def _at_the_end(self, daemon: int, out: Path) -> None:
        """Let the last frames be committed: the files are about to be finished, or just being."""
        self._kill_helpers(daemon, out)
        until(lambda: _committed(self._files(out)) >= FRAMES or not _lives(daemon))
        time.sleep(self._chance.uniform(0, 0.8))

    def _demo(self, out: Path) -> subprocess.Popen[bytes]:
        options = {"frames": FRAMES, "size": SIZE, "fps": FPS, "workers": 2, "seed": 1, "out": out}
        return self._start("demo", *(str(part) for name, value in options.items() for part in (f"--{name}", value)))

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, "LOCSTREAM_RUNTIME_DIR": str(self._runtime)}
        return subprocess.Popen(
            [LOCSTREAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, cwd=self._folder
        )

    @staticmethod
    def _files(out: Path) -> RunFiles | None:
        """Return the names of the only run in a folder, None where it has not begun."""
        folders = [folder for folder in out.iterdir() if any(folder.iterdir())] if out.exists() else []
        return RunFiles(folders[0], folders[0].name) if folders else None

    def _kill_helpers(self, daemon: int, out: Path) -> None:
        """Kill workers, recorders and publishers while frames come."""
        victims = ["worker"] * WORKER_KILLS + ["recorder"] * self._chance.randint(1, RECORDER_KILLS)
        victims += ["publisher"] * self._chance.randint(1, PUBLISHER_KILLS)
        self._chance.shuffle(victims)
        until(lambda: _committed(self._files(out)) > 0 or not _lives(daemon))
        for victim in victims:
            time.sleep(self._chance.uniform(0, 0.25))
            with contextlib.suppress(psutil.NoSuchProcess):
                if processes := children(MODULES[victim], daemon):
                    self._chance.choice(processes).kill()
                    self.tally.kills[victim] += 1

    def _kill_daemon(self, process: subprocess.Popen[bytes], out: Path) -> Seen:
        """Kill the daemon; return what was on disk just before."""
        seen = _seen(self._files(out))
        if process.poll() is None:
            process.kill()
            self.tally.kills["daemon"] += 1
            self.tally.moments[_moment(self._files(out))] += 1
        return seen

    def _recover(self, files: RunFiles) -> None:
        """Recover, killing the recovery itself a few times first."""
        for _ in range(self._chance.choice([0, 1, 2])):
            process = self._start("recover", str(files.folder))
            time.sleep(self._chance.uniform(0.3, 2.0))
            if process.poll() is None:
                process.kill()
                self.tally.kills["recover"] += 1
            process.wait()
        status = self._start("recover", str(files.folder)).wait(SECONDS)
        self._count("recoveries that failed", status != 0)

    def _check(self, files: RunFiles, seen: Seen) -> None:
        names = sorted(path.name.removeprefix(files.name) for path in files.folder.iterdir())
        self._count("files left over", any(".live." in name or "lock" in name or "part" in name for name in names))
        if not files.results.exists():
            self._count("committed rows lost", 0 if seen.rows is None else len(seen.rows))
            self._count("reported pages lost", seen.pages)
            return
        pages = read_pages_info(files.stack).numbers if files.stack.exists() else np.zeros(0, np.int64)
        self.tally.frames += len(pages)
        self._count("reported pages lost", max(0, seen.pages - len(pages)))
        images = tifffile.imread(files.stack).reshape(-1, SIZE, SIZE) if len(pages) else []
        for number, image in zip(pages, images, strict=True):
            self._count("pages that differ", not np.array_equal(image, self._images[number]))
        with ResultsReader(files.results) as reader:
            self._check_results(reader, seen, pages)
        frames = json.loads(files.summary.read_text())["frames"]
        settled = frames["fitted"] + frames["pending"] + frames["skipped"] + frames["failed"]
        self._count("ledgers that do not balance", frames["acquired"] != settled)
        self._count("recorded frames not fitted", frames["acquired"] - frames["fitted"])

    def _check_results(self, reader: ResultsReader, seen: Seen, pages: np.ndarray) -> None:
        numbers = reader.frames()["frame"].astype(np.int64)
        self._count("frames twice or out of order", int(np.count_nonzero(np.diff(numbers) <= 0)))
        self._count("recorded frames not fitted", len(np.setdiff1d(pages, numbers)))
        if seen.rows is not None:
            kept = reader.stored_rows(0, len(seen.rows))
            same = len(kept) == len(seen.rows) and kept.tobytes() == seen.rows.tobytes()
            self._count("committed rows lost", 0 if same and len(numbers) >= seen.frames else len(seen.rows))
        for number, rows in _rows_by_frame(reader).items():
            self._count("rows that differ", rows != self._rows[number])

    def _count(self, check: str, failed: int | bool) -> None:
        assert check in CHECKS
        self.tally.found[check] += int(failed)


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _committed(files: RunFiles | None) -> int:
    return _seen(files).frames


def _seen(files: RunFiles | None) -> Seen:
    """Look at the growing files, as any reader may."""
    if files is None:
        return Seen()
    pages = 0
    for stack in (files.live_stack, files.stack):
        with contextlib.suppress(LocstreamError):
            pages = len(read_pages_info(stack).numbers)
    for results in (files.live_results, files.results):
        with contextlib.suppress(LocstreamError), ResultsReader(results) as reader:
            return Seen(reader.stored_rows(), reader.n_frames, pages)
    return Seen(pages=pages)


def _moment(files: RunFiles | None) -> str:
    if files is None or not (files.live_results.exists() or files.results.exists()):
        return "before its first frame"
    if files.live_results.exists():
        return "while it recorded and fitted" if _seen(files).frames < FRAMES else "when all was fitted"
    return "after its end" if files.summary.exists() else "while it finished the files"


def _rows_by_frame(reader: ResultsReader) -> dict[int, bytes]:
    rows, records = reader.stored_rows(), reader.frames()
    parts = np.split(rows, np.cumsum(records["rows"])[:-1]) if len(records) else []
    return {int(number): part.tobytes() for number, part in zip(records["frame"], parts, strict=True)}
