"""Run the benchmarks and put what they print into docs/benchmarks.md.

    python benchmarks/document.py [kernel whole_job sweep uncertainties roofline endurance watched latency fanout …]

The page has a place for each, between ``<!-- NAME -->`` and ``<!-- end -->``; the words around stay as they are.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
PLOT = PAGE.parent / "images" / "uncertainties.png"
RUNS = {
    "kernel": ["--quiet-within", "600"],
    "whole_job": ["--quiet-within", "600"],
    "sweep": [],
    "uncertainties": ["--plot", str(PLOT)],
    "roofline": [],
    "endurance": [],
    "watched": [],
    "view_redraw": [],
    "latency": [],
    "fanout": [],
    "upload": [],
}


def put(page: str, name: str, printed: str) -> str:
    """Return the page with what a benchmark printed in its place.

    Raises
    ------
    ValueError
        The page has no place for it.
    """
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"{PAGE.name} has no <!-- {name} --> … <!-- end -->")
    return place.sub(lambda found: found[1] + printed.strip() + "\n" + found[2], page)


def main(names: list[str]) -> None:
    """Run what is named, or all, one after the other."""
    for name in names or RUNS:
        print(f"{name} …", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *RUNS[name]]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        PAGE.write_text(put(PAGE.read_text(), name, done.stdout))


if __name__ == "__main__":
    main(sys.argv[1:])
