#!/usr/bin/env python3
"""How fast the live picture is drawn while 50,000 localizations a second arrive; beside it one point a localization.

    python benchmarks/view_redraw.py [--rows 1e6 1e7 1e8] [--file 1e7] [--points 1e5 1e6]

The window is the real one, its picture 1000 × 1000 px, once with Qt's painter and once through OpenGL (vispy): of the
graphics card where ``DISPLAY`` names a screen with one, else in software on a screen of its own (Xvfb). Points are
those of vispy's Markers, and of napari where its environment was made (tests/peer/make_environment.py napari).
CPU ms is processor time, of all cores together; what the wheel takes is real time, medians and what 95 % stay within.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from contest import table
from machine import statement
from view_parts import BLOCK, FRAMES, PIXEL_NM, SIZE_PX, filaments

from locstream.results.file import ResultsWriter
from locstream.results.frames import FRAME_RECORD, FrameOutcome
from locstream.results.header import ResultsHeader
from locstream_view.window.opengl import Trial
from peer.make_environment import python_of
from virtual_screen import virtual_screen

HERE = Path(__file__).resolve().parent
FIRST_WITHIN_S = 2.0
FLAT_WITHIN = 0.2


def write_file(path: Path, n: int) -> None:
    """Write a results file of n rows."""
    name = path.name.removesuffix(".live.h5")
    header = ResultsHeader(
        acquisition_id="b" * 32, name=name, height=SIZE_PX, width=SIZE_PX, pixel_size_nm=PIXEL_NM, started_s=0.0
    )
    writer = ResultsWriter(path, header)
    for number, first in enumerate(range(0, n, BLOCK)):
        rows = filaments(min(BLOCK, n - first), number)
        records = np.zeros(FRAMES, FRAME_RECORD)
        records["frame"] = number * FRAMES + np.arange(FRAMES)
        records["rows"] = np.bincount(rows["frame"] - number * FRAMES, minlength=FRAMES)
        records["outcome"] = FrameOutcome.FITTED.value
        writer.append(rows, records)
    writer.close()


def part(*command: str | Path) -> dict[str, Any]:
    """Run a part in a process of its own; return what it found."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def own(kind: str, *what: object) -> dict[str, Any]:
    """Run a part of view_parts.py."""
    return part(sys.executable, HERE / "view_parts.py", kind, *map(str, what))


def rows_table(found: dict[float, dict[str, Any]]) -> str:
    """Return the table of redraws."""
    head = [
        "localizations, drawn by",
        "whole field (CPU ms)",
        "zoom 4",
        "zoom 16",
        "redraws/s",
        "wheel, moved (ms; 95 %)",
    ]
    head += ["wheel, drawn (ms; 95 %)", "5,000 more (CPU ms)", "memory (GB)"]
    lines = []
    for n, each in found.items():
        for way in ("painter", "OpenGL"):
            if (of := each.get(way)) is None:
                continue
            line = [f"{n:,.0f}, {way}", *(f"{of[name]:.1f}" for name in ("whole", "zoom 4", "zoom 16"))]
            line += [f"{1_000 / of['whole']:.0f}", *(f"{of[x]:.0f}; {of[f'{x} p95']:.0f}" for x in ("moved", "drawn"))]
            lines.append([*line, f"{each['batch']:.2f}", f"{each['memory_gb']:.1f}"])
    return table(head, lines)


def flatness(found: dict[float, dict[str, Any]]) -> str:
    """Return how much the redraw differs from the fewest to the most rows, against the aim."""
    least, most = found[min(found)], found[max(found)]
    parts = [f"{way} {most[way]['whole'] / least[way]['whole']:.2f}" for way in ("painter", "OpenGL") if way in most]
    return (
        f"Redraw of the whole field with {max(found):,.0f} localizations against {min(found):,.0f}: "
        f"{', '.join(parts)} (aim: {1 - FLAT_WITHIN:.1f} to {1 + FLAT_WITHIN:.1f})."
    )


def points_table(points: list[float]) -> str:
    """Return the table of programs that draw one point a localization, in the same run."""
    lines = [[f"vispy's Markers, {n:,.0f}", f"{own('markers', n)['redraw_ms']:,.0f}", "", ""] for n in points]
    python = python_of("napari")
    if python is not None:
        for n in points:
            of = part(python, HERE / "programs" / "napari_points.py", str(n))
            lines.append([f"napari's points, {n:,.0f}", f"{of['redraw_ms']:,.0f}", f"{of['append_ms']:,.0f}", ""])
        lines[-1][-1] = f"{of['image_ms']:,.0f}"
    head = ["a point each", "redraw (CPU ms)", "5,000 more", "a picture of 2560² px as its image layer"]
    return table(head, lines)


def main() -> None:
    """Print what each part says; each runs in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, nargs="*", default=[1e6, 1e7, 1e8])
    parser.add_argument("--file", type=float, default=1e7, help="rows of the file that is opened")
    parser.add_argument("--points", type=float, nargs="*", default=[1e5, 1e6])
    given = parser.parse_args()
    display = os.environ.get("DISPLAY")
    with virtual_screen() if display is None else nullcontext(display) as screen:
        os.environ.update(DISPLAY=screen, QT_QPA_PLATFORM="xcb")
        print(f"{statement('shared with the screen')} · OpenGL: {Trial().renderer() or 'none'}\n", flush=True)
        found = {n: own("rows", n) for n in given.rows}
        if found:
            print(f"{rows_table(found)}\n\n{flatness(found)}\n", flush=True)
        print(f"{first_picture(int(given.file))}\n", flush=True)
        if given.points:
            print(points_table(given.points))


def first_picture(rows: int) -> str:
    """Return how soon a file is on the screen, against the aim."""
    with tempfile.TemporaryDirectory(prefix="view-") as folder:
        path = Path(folder) / "cell.live.h5"
        write_file(path, rows)
        own("file", path, rows, time.monotonic())  # into the system's cache
        of = own("file", path, rows, time.monotonic())
    return (
        f"A file of {rows:,} localizations: first picture {of['first_s']:.1f} s after the program was "
        f"started (aim: {FIRST_WITHIN_S:.0f} s), of which it used a processor for {of['first_cpu_s']:.1f} s; "
        f"all of it after {of['whole_s']:.1f} s."
    )


if __name__ == "__main__":
    main()
