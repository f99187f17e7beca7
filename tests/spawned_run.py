"""One `locstream run` in processes of its own, that can be watched and hurt while it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import psutil

from child_processes import WORKER, children
from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream.results.reader import ResultsReader
from locstream.stream.control import ask
from locstream.stream.runtime import Connection

LOCSTREAM = str(Path(sys.executable).parent / "locstream")
MB = 1e6
PATIENCE_S = 120.0


class SpawnedRun:
    """A run in a folder of its own; use it as a context manager, which ends it whatever happens.

    Parameters
    ----------
    folder
        An empty folder for everything.
    settings
        The configuration, TOML, without ``[acquisition]``.
    around
        What runs a command, such as ``ip netns exec NAME``; its arguments are added.
    """

    def __init__(self, folder: Path, settings: str, around: Sequence[str] = ()) -> None:
        self.folder = folder
        self.files = RunFiles(folder / "data", "run")
        self._runtime = tempfile.TemporaryDirectory(prefix="ls-")  # short, as paths of sockets must be
        (folder / "run.toml").write_text(f'[acquisition]\nname = "run"\nfolder = "data"\n{settings}')
        self._printed = (folder / "printed.txt").open("w+")
        env = {**os.environ, "LOCSTREAM_RUNTIME_DIR": self._runtime.name}
        self.process = subprocess.Popen(
            [*around, LOCSTREAM, "run", "run.toml"], stdout=self._printed, stderr=self._printed, env=env, cwd=folder
        )

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        self._printed.flush()
        return Path(self._printed.name).read_text()

    def wait_for_frames(self, frames: int) -> None:
        """Wait until so many frames are committed, or it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.committed < frames and self.process.poll() is None:
            assert time.monotonic() < deadline, f"{frames} frames did not come: {self.printed}"
            time.sleep(0.05)

    @property
    def committed(self) -> int:
        """Frames in the growing results file."""
        with contextlib.suppress(LocstreamError), ResultsReader(self.files.live_results) as reader:
            return reader.n_frames
        return 0

    def connection(self) -> Connection:
        """Return how it is reached, as soon as it says so."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self._announced()) is None:
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return found

    def _announced(self) -> Connection | None:
        with contextlib.suppress(FileNotFoundError):
            for path in Path(self._runtime.name).glob("*.json"):
                return msgspec.json.decode(path.read_bytes(), type=Connection)
        return None

    def waiting(self) -> int | None:
        """Return how many frames wait to be fitted; None once it no longer says how it is reached."""
        with contextlib.suppress(LocstreamError):
            if (connection := self._announced()) is not None:
                status = ask(connection.control, "status", timeout_s=2.0).status
                return None if status is None else status.ledger.pending
        return None

    def work_endpoint(self) -> str:
        """Return where its workers connect to."""
        return self.connection().control.removesuffix("control") + "work"

    def kill_a_worker(self, chance: random.Random) -> bool:
        """Kill one of its workers; return whether there was one."""
        workers = children(WORKER, self.process.pid)
        if workers:
            chance.choice(workers).kill()
        return bool(workers)

    def finish(self, timeout_s: float = 1_200.0) -> dict[str, Any]:
        """Wait for its end in good order; return its summary."""
        assert self.process.wait(timeout_s) == 0, self.printed
        summary: dict[str, Any] = json.loads(self.files.summary.read_text())
        return summary

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._printed.close()
        self._runtime.cleanup()


class MemoryWatch:
    """What the resident memory of a process and of its children comes to.

    Parameters
    ----------
    pid
        The process.
    settle_s
        Growth counts from so long after now, s: until then things are being set up.
    """

    def __init__(self, pid: int, settle_s: float) -> None:
        self._process = psutil.Process(pid)
        self._counts_from = time.monotonic() + settle_s
        self.settled_mb: dict[str, float] = {}
        """What each process held when it had settled, MB."""
        self.most_mb: dict[str, float] = {}
        """The most it held from then on, MB."""

    def look(self) -> None:
        """Look at all of them."""
        if time.monotonic() >= self._counts_from:
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in (self._process, *self._process.children()):
                    self._note(each)

    def _note(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            modules = [word for word in process.cmdline() if word.startswith("locstreamd.")]
            name = f"{(modules or ['the daemon'])[0].rpartition('.')[2]} {process.pid}"
            mb = process.memory_info().rss / MB
            self.settled_mb.setdefault(name, mb)
            self.most_mb[name] = max(self.most_mb.get(name, 0.0), mb)

    @property
    def growth_mb(self) -> dict[str, float]:
        """The largest growth of each process, MB."""
        return {name: self.most_mb[name] - settled for name, settled in self.settled_mb.items()}
