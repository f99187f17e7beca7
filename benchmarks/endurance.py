"""Long runs of the real command: is each frame there exactly once, and is memory flat?

    python benchmarks/endurance.py [--quick]

Numbered frames of Micro-Manager's sequence tester, and frames of the simulated sample, with workers killed with SIGKILL
every few seconds; then a minute of three times as many frames as the worker can fit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from contest import table
from machine import statement

from long_runs import Counted, Overloaded, count_numbered_frames, count_simulated_frames, overload

TIMES = 3.0


def counted(what: str, count: Callable[[Path, int], Counted], frames: int) -> tuple[list[str], bool]:
    """Return a row of the first table, and whether all is well."""
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        found = count(Path(folder), frames)
    good = found.nothing_lost(frames)
    numbers = (frames, found.pages, found.wrong_pages, found.records, found.wrong_records, found.ledger["fitted"])
    row = [what, *(f"{n:,}" for n in numbers), f"{found.killed}", f"{found.acquired_fps:,.0f}"]
    return [*row, "each once" if good else "**not so**"], good


def overloaded(seconds: float) -> tuple[str, bool]:
    """Return what came of more frames than could be fitted, and whether all is well."""
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        found = overload(Path(folder), seconds, times=TIMES)
    same = np.array_equal(found.live, found.unhurried)
    lines = [
        f"Camera for {seconds:g} s at {found.acquired_fps:.0f} frames/s, where a worker fits {found.capacity_fps:.0f}: "
        f"{found.ledger['acquired']:,} frames acquired, up to {found.most_waiting:,} waited, "
        f"{found.ledger['fitted']:,} fitted after {found.whole_s:.0f} s, {found.ledger['camera_dropped']:,} dropped.",
        f"{len(found.live):,} localizations, {'the same' if same else '**not the same**'} as of the stack fitted at "
        "leisure, bit by bit.",
        "",
        _memory(found),
    ]
    return "\n".join(lines), same and found.ledger["acquired"] == found.ledger["fitted"]


def _memory(found: Overloaded) -> str:
    rows = [[name, f"{found.most_mb[name]:.0f}", f"{growth:+.1f}"] for name, growth in sorted(found.growth_mb.items())]
    return table(["process", "most memory (MB)", "largest growth (MB)"], rows)


def main() -> int:
    """Print what came of each run; return 1 where anything is missing or different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the frames")
    part = 10 if parser.parse_args().quick else 1
    print(statement("all used"), end="\n\n")
    rows, good = zip(
        counted("sequence tester, 64²", count_numbered_frames, 100_000 // part),
        counted("simulated sample, 64²", count_simulated_frames, 20_000 // part),
        strict=True,
    )
    header = ["source", "frames", "pages", "wrong", "records", "wrong", "fitted", "workers killed", "frames/s", ""]
    print(table(header, list(rows)), end="\n\n")
    text, well = overloaded(60 / part)
    print(text)
    return 0 if all(good) and well else 1


if __name__ == "__main__":
    sys.exit(main())
