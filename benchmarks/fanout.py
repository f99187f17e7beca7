"""What many who watch cost, and what they get: a run with 50,000 localizations/s, followed by 0, 1, 5 and 20 clients.

    python benchmarks/fanout.py [--quick]

Each round has every run once, the one that nobody follows first; ratios are taken within a round, and printed is the
median. All is measured over the second half of a run's frames. Clients are those of `locstream.connect` (asyncio), up
to ten in a process, each with its own connection; every one checks by SHA-256 that it has every row.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import psutil
from contest import table
from followers import Followers
from machine import statement

from locstream.localizations import LOCALIZATION
from locstream.results.reader import read_results
from spawned_run import SpawnedRun

SIMULATION = """
[simulation]
width = 512
height = 512
frames = {frames}
exposure_ms = {exposure_ms}
emitters_per_frame = 200
[workers]
count = 1
"""
CLIENTS = (0, 1, 5, 20)
PUBLISHER = "locstreamd.view.publisher_process"
EXPOSURE_MS = 5.0


class Watched(NamedTuple):
    """What came of one run."""

    fps: float
    rows_per_s: float
    committed_p50_ms: float
    committed_p99_ms: float
    publisher: float
    """Processor time of the publisher's process, of one core."""
    clients: float
    """The same of all clients."""
    machine: float
    """Processor time of all programs, of all cores."""
    client_p50_ms: float
    """Of the median client."""
    client_p99_ms: float
    worst_p99_ms: float
    """Of the client that was last."""
    bad: int
    """Clients that did not get every row."""


def acquire(clients: int, frames: int) -> Watched:
    """Record so many frames while so many clients follow."""
    with (
        tempfile.TemporaryDirectory(prefix="fanout-") as folder,
        SpawnedRun(Path(folder), SIMULATION.format(frames=frames, exposure_ms=EXPOSURE_MS)) as run,
    ):
        connection = run.connection()
        where = [connection.stream, "--control", connection.control, "--history", connection.history]
        with Followers(Path(folder), clients, where) as followers:
            followers.wait_until_following()
            run.wait_for_frames(frames // 2)
            before = Spent.by(run, followers)
            run.wait_for_frames(frames * 9 // 10)
            after = Spent.by(run, followers)
            speed = run.finish()["speed"]
            noted = followers.finish()
        results = read_results(run.files.results)
    committed = results.summary["latency"]["committed"]
    latencies = [each.latencies_ms(results, frames // 2) for each in noted]
    p50 = sorted(float(np.percentile(each, 50)) for each in latencies) or [np.nan]
    p99 = sorted(float(np.percentile(each, 99)) for each in latencies) or [np.nan]
    return Watched(
        speed["acquired_fps"],
        len(results.table) * speed["acquired_fps"] / frames,
        committed["p50_ms"],
        committed["p99_ms"],
        after.share("publisher", before),
        after.share("clients", before),
        after.share("machine", before) / (psutil.cpu_count() or 1),
        statistics.median(p50),
        statistics.median(p99),
        p99[-1],
        sum(not each.good for each in noted),
    )


class Spent(NamedTuple):
    """Processor time up to a moment, s."""

    at_s: float
    publisher: float
    clients: float
    machine: float

    @classmethod
    def by(cls, run: SpawnedRun, followers: Followers) -> Self:
        """Look at a run and those who follow it."""
        publisher = [c for c in psutil.Process(run.process.pid).children() if PUBLISHER in c.cmdline()]
        everything = psutil.cpu_times()
        return cls(
            time.monotonic(),
            _processor_s(publisher),
            _processor_s(followers.processes),
            sum(everything) - everything.idle - everything.iowait,
        )

    def share(self, what: str, before: Spent) -> float:
        """Return the time that was spent since another look, of one core."""
        return float(getattr(self, what) - getattr(before, what)) / (self.at_s - before.at_s)


def _processor_s(processes: Sequence[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def _median(runs: Sequence[Watched], what: str) -> float:
    return statistics.median(float(getattr(run, what)) for run in runs)


def _of_alone(runs: Sequence[Watched], alone: Sequence[Watched], what: str) -> float:
    return statistics.median(getattr(run, what) / getattr(one, what) for run, one in zip(runs, alone, strict=True))


def cost_row(clients: int, runs: Sequence[Watched], alone: Sequence[Watched]) -> list[str]:
    """Return what the record and the machine had of so many clients."""
    return [
        f"{clients}",
        f"{_median(runs, 'fps'):.1f}",
        f"{_of_alone(runs, alone, 'fps'):.4f}",
        f"{_median(runs, 'committed_p50_ms'):.1f}",
        f"{_median(runs, 'committed_p99_ms'):.1f}",
        f"{_of_alone(runs, alone, 'committed_p50_ms'):.2f}",
        f"{100 * _median(runs, 'publisher'):.0f}%",
        f"{100 * _median(runs, 'clients'):.0f}%",
        f"{100 * _median(runs, 'machine'):.0f}%",
    ]


def client_row(clients: int, runs: Sequence[Watched]) -> list[str]:
    """Return what so many clients got."""
    megabytes = clients * _median(runs, "rows_per_s") * LOCALIZATION.itemsize / 1e6
    return [
        f"{clients}",
        f"{_median(runs, 'rows_per_s'):,.0f}",
        f"{megabytes:.0f}",
        *(f"{_median(runs, what):.1f}" for what in ("client_p50_ms", "client_p99_ms", "worst_p99_ms")),
        f"{_median(runs, 'client_p99_ms') / EXPOSURE_MS:.1f}",
        f"{sum(run.bad for run in runs)}",
    ]


def main() -> int:
    """Print two tables; return 1 where a client did not get every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of 5 s instead of three of 20 s")
    quick = parser.parse_args().quick
    print(statement("all used, also by the camera and by those who follow"), end="\n\n")
    found: dict[int, list[Watched]] = {clients: [] for clients in CLIENTS}
    for _ in range(1 if quick else 3):
        for clients, runs in found.items():
            runs.append(acquire(clients, 1_000 if quick else 4_000))
    head = ["clients", "frames/s", "of alone", "committed p50 (ms)", "p99", "p50 of alone", "publisher", "all clients"]
    costs = [cost_row(clients, runs, found[0]) for clients, runs in found.items()]
    print(table([*head, "machine"], costs), end="\n\n")
    head = ["clients", "rows/s each", "MB/s in all", "rows in client p50 (ms)", "p99", "p99, worst client"]
    print(table([*head, "p99 in frame periods", "incomplete"], [client_row(n, runs) for n, runs in found.items() if n]))
    return 1 if any(run.bad for runs in found.values() for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
