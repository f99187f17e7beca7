"""Clients that follow a run, several in one process, and note when each frame's rows have come.

    python benchmarks/followers.py OUT.npz CLIENTS STREAM [--control …] [--history …] [--keys FILE]

is what `Followers` starts. Times are seconds since the epoch, as those of the camera's frames are.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import psutil

from locstream.results.reader import Results
from locstream.stream.async_client import connect

PER_PROCESS = 10
PATIENCE_S = 120.0


class Followed(NamedTuple):
    """What one client has noted."""

    frames: npt.NDArray[np.int64]
    """Frames with rows, each once."""
    came_s: npt.NDArray[np.float64]
    """When the rows of each were there."""
    good: bool
    """Whether every row came, each once: by SHA-256."""

    def latencies_ms(self, results: Results, first: int) -> npt.NDArray[np.float64]:
        """Return the times from the camera's frame to its rows, ms, of frames from `first` on."""
        taken_s = dict(zip(results.frames["frame"].tolist(), results.frames["time_s"].tolist(), strict=True))
        late = self.frames >= first
        taken = np.array([taken_s[frame] for frame in self.frames[late].tolist()])
        return 1e3 * (self.came_s[late] - taken)


class Followers:
    """Processes with clients; use it as a context manager, which ends them whatever happens.

    Parameters
    ----------
    folder
        For what they note.
    clients
        How many.
    where
        Arguments of the command line that say where the run is.
    """

    def __init__(self, folder: Path, clients: int, where: Sequence[str]) -> None:
        processes = -(-clients // PER_PROCESS)
        counts = [len(part) for part in np.array_split(np.arange(clients), processes)] if clients else []
        self._notes = [folder / f"followers-{k}.npz" for k in range(len(counts))]
        self.processes = [
            psutil.Popen([sys.executable, __file__, str(notes), str(count), *where], stdout=subprocess.PIPE)
            for notes, count in zip(self._notes, counts, strict=True)
        ]

    def wait_until_following(self) -> None:
        """Wait until all of them have rows; they give up by themselves where none come."""
        for process in self.processes:
            assert process.stdout.readline(), "a follower ended without rows"

    def finish(self) -> list[Followed]:
        """Wait for their end; return what they noted."""
        for process in self.processes:
            assert process.wait(PATIENCE_S) == 0
        found = []
        for path in self._notes:
            with np.load(path) as notes:
                each = [notes[str(k)] for k in range(len(notes["good"]))]
                found += [
                    Followed(frames.astype(np.int64), came, bool(good))
                    for (frames, came), good in zip(each, notes["good"], strict=True)
                ]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


async def follow(given: argparse.Namespace, has_rows: Callable[[], None]) -> Followed:
    """Follow a run to its end; say when the first rows have come."""
    came: dict[int, float] = {}
    async with connect(
        given.stream, control=given.control, history=given.history, keys=given.keys, timeout_s=PATIENCE_S
    ) as client:
        async for rows in client:
            now = time.time()
            if not came:
                has_rows()
            came.update(dict.fromkeys(np.unique(rows["frame"]).tolist(), now))
        assert client.ended is not None
        good = client.ended.verified is True and not client.missing
    return Followed(np.array(list(came)), np.array(list(came.values())), good)


async def follow_all(given: argparse.Namespace) -> list[Followed]:
    """Follow with all clients; print a line as soon as all of them have rows."""
    without_rows = given.clients

    def has_rows() -> None:
        nonlocal without_rows
        without_rows -= 1
        if not without_rows:
            print("following", flush=True)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follow(given, has_rows)) for _ in range(given.clients)]
    return [task.result() for task in tasks]


def main() -> int:
    """Follow, and save what was noted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("clients", type=int)
    parser.add_argument("stream")
    parser.add_argument("--control")
    parser.add_argument("--history")
    parser.add_argument("--keys", type=Path)
    given = parser.parse_args()
    found = asyncio.run(follow_all(given))
    notes = {str(k): np.array([each.frames, each.came_s]) for k, each in enumerate(found)}
    np.savez(given.out, good=np.array([each.good for each in found]), **notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
