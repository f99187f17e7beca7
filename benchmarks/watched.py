"""Can those who watch hurt the record? The same acquisition, left alone and disturbed.

    python benchmarks/watched.py [--quick]

Each round has every acquisition once, the undisturbed one first; ratios are taken within a round, and printed is the
median.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from contest import table
from machine import statement

from disturbances import DISTURBANCES, Disturbance
from spawned_run import SpawnedRun

SIMULATION = """
[simulation]
width = 256
height = 256
frames = {frames}
exposure_ms = 10.0
emitters_per_frame = 60
"""
ALONE = "left alone"


class Watched(NamedTuple):
    """What came of one acquisition."""

    fps: float
    latency_ms: float
    lost: int
    """Planned frames that were not recorded, or not fitted."""


def acquire(disturb: Disturbance | None, frames: int) -> Watched:
    """Record so many frames at 100 a second, with or without somebody who disturbs."""
    with (
        tempfile.TemporaryDirectory(prefix="watched-") as folder,
        SpawnedRun(Path(folder), SIMULATION.format(frames=frames)) as run,
    ):
        run.wait_for_frames(1)
        if disturb is not None:
            disturb(run, 1.0)
        summary: dict[str, Any] = run.finish()
    speed, lost = summary["speed"], 2 * frames - summary["frames"]["acquired"] - summary["frames"]["fitted"]
    return Watched(speed["acquired_fps"], speed["committed_p99_ms"], lost)


def main() -> int:
    """Print the table; return 1 where a frame was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round")
    rounds = 1 if parser.parse_args().quick else 3
    print(statement("all used, also by those who disturb"), end="\n\n")
    found: dict[str, list[Watched]] = {name: [] for name in (ALONE, *DISTURBANCES)}
    for _ in range(rounds):
        for name, runs in found.items():
            runs.append(acquire(DISTURBANCES.get(name), 1_500))
    header = ["256², 100 frames/s, 60 molecules a frame", "frames/s", "of alone", "committed p99 (ms)", "lost"]
    print(table(header, [_row(name, runs, found[ALONE]) for name, runs in found.items()]))
    return 1 if any(run.lost for runs in found.values() for run in runs) else 0


def _row(name: str, runs: list[Watched], alone: list[Watched]) -> list[str]:
    ratio = statistics.median(run.fps / other.fps for run, other in zip(runs, alone, strict=True))
    return [
        name,
        f"{statistics.median(run.fps for run in runs):.2f}",
        f"{ratio:.4f}",
        f"{statistics.median(run.latency_ms for run in runs):.1f}",
        f"{sum(run.lost for run in runs)}",
    ]


if __name__ == "__main__":
    sys.exit(main())
