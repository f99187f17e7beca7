"""Fit workers as on another computer: with keys, over tcp, under a bad network; and what they must find."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from locstream.bundle.files import RunFiles
from locstream.fitting import FitOptions, Localizer, warmup
from locstream.formats.picasso import as_stored
from locstream.results.reader import ResultsReader, read_results
from locstream.stacks.open import open_stack
from locstream.stream.control import ask
from locstream.stream.digest import RowsDigest, file_digest
from locstreamd.record.sample import SimulationOptions
from spawned_run import LOCSTREAM, SpawnedRun
from waiting import PATIENCE_S, until


class Node:
    """One `locstream worker` in a process of its own; ended with the test, whatever happens.

    Parameters
    ----------
    folder
        For what it prints.
    endpoint, keys
        Where it connects, and with which file of keys, if any.
    command
        What is run instead of `locstream worker`; the arguments are the same.
    count
        Processes; one is the worker itself, several have a parent.
    """

    COMMAND = (LOCSTREAM, "worker")

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        keys: Path | None,
        command: Sequence[str] = COMMAND,
        *,
        count: int = 1,
    ) -> None:
        self._path = folder / f"node-{time.monotonic_ns()}.txt"
        self._out = self._path.open("w")
        given = [] if keys is None else ["--keys", str(keys)]
        self.process = subprocess.Popen(
            [*command, "--connect", endpoint, *given, "--count", str(count)], stdout=self._out, stderr=self._out
        )

    @property
    def printed(self) -> str:
        """What it has said so far."""
        return self._path.read_text()

    def wait_until_it_says(self, text: str) -> None:
        """Wait for a sentence."""
        until(lambda: text in self.printed, lambda: f"{text!r} is not in: {self.printed}")

    def wait_until_it_ends(self) -> int:
        """Wait until it ended of itself; return its status."""
        until(lambda: self.process.poll() is not None, lambda: f"it still runs: {self.printed}")
        return self.process.returncode

    def leave(self) -> int:
        """Ask it to leave; return its status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        self._out.close()


class Follower:
    """A command that follows a run and prints one line at its end; ended with the test, whatever happens.

    Parameters
    ----------
    command
        The command.
    folder
        For what it prints.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._out = (folder / "follower.txt").open("w+")
        self._process = subprocess.Popen(command, stdout=self._out, stderr=self._out)

    def finish(self) -> str:
        """Wait for the end; return the line."""
        status = self._process.wait(PATIENCE_S)
        self._out.seek(0)
        printed = self._out.read()
        assert status == 0, printed
        return printed.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._out.close()


def worker_events(run: SpawnedRun) -> list[tuple[str, str]]:
    """Return what a finished run tells of its workers: kind and sentence."""
    with ResultsReader(run.files.results) as reader:
        told = [(event["EventName"].decode(), event["EventDescr"].decode()) for event in reader.events]
    return [(kind, text) for kind, text in told if kind.startswith("Worker")]


def digest_fitted_here(files: RunFiles, simulation: SimulationOptions) -> str:
    """Fit the raw stack of a simulated run in this process; return the digest of the rows."""
    options, calibration = FitOptions(), simulation.calibration()
    warmup(options, calibration.pixel_size_nm)
    digest = RowsDigest()
    with contextlib.closing(open_stack(files.stack)) as stack:
        localizer = Localizer(calibration, stack.info.height, stack.info.width, options)
        for number in range(len(stack)):
            digest.add(as_stored(localizer(stack.read(number), number), calibration.pixel_size_nm))
    return digest.hexdigest()


def finished_whole(run: SpawnedRun, simulation: SimulationOptions) -> int:
    """See that every frame of a run was fitted once, and to the bit as in this process; return how many there were."""
    frames = run.finish()["frames"]
    count: int = frames["acquired"]
    assert frames["fitted"] == count == (simulation.frames or count), run.printed
    assert read_results(run.files.results).frames["frame"].tolist() == list(range(count))
    assert file_digest(run.files.results) == digest_fitted_here(run.files, simulation)
    return count


def stop(run: SpawnedRun) -> None:
    """Have the camera of a run stop; what was taken is still fitted."""
    assert ask(run.connection().control, "stop", timeout_s=PATIENCE_S).ok
