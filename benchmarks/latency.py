"""From the camera's frame to its localizations committed on disk and published: 512², 100 frames/s, 150 molecules.

    python benchmarks/latency.py [--quick]

The numbers are the run's own, as its results file and its summary keep them: over the latest frames, from the time at
which the camera gave a frame.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from contest import table
from machine import statement

from locstream.results.reader import read_results
from spawned_run import SpawnedRun

SIMULATION = """
[simulation]
width = 512
height = 512
frames = {frames}
exposure_ms = {exposure_ms}
emitters_per_frame = 150
[workers]
count = {workers}
"""
EXPOSURE_MS = 10.0


def main() -> int:
    """Print a row for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 s instead of 30")
    frames = 500 if parser.parse_args().quick else 3_000
    print(statement("all used, also by the simulated camera"), end="\n\n")
    header = ["workers", "frames/s", "committed p50 (ms)", "p99", "published p50 (ms)", "p99", "p99 in frame periods"]
    print(table(header, [row(workers, frames) for workers in (1, 2)]))
    return 0


def row(workers: int, frames: int) -> list[str]:
    """Return what one run says of itself."""
    settings = SIMULATION.format(frames=frames, exposure_ms=EXPOSURE_MS, workers=workers)
    with tempfile.TemporaryDirectory(prefix="latency-") as folder, SpawnedRun(Path(folder), settings) as run:
        fps = run.finish()["speed"]["acquired_fps"]
        latency = read_results(run.files.results).summary["latency"]
    numbers = [latency[stage][p] for stage in ("committed", "published") for p in ("p50_ms", "p99_ms")]
    return [f"{workers}", f"{fps:.1f}", *(f"{ms:.1f}" for ms in numbers), f"{numbers[-1] / EXPOSURE_MS:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
