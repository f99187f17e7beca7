"""``locstream doctor``: what an acquisition needs of this computer, looked at one by one before it is needed."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from locstreamd.service.checks.clock import check_clock
from locstreamd.service.checks.extras import check_omero, check_viewer
from locstreamd.service.checks.finding import Finding, Level
from locstreamd.service.checks.interpreter import check_kernel_cache, check_kernels, check_numba, check_python

WIDTH = 118
LEVEL_COLUMN = 9
TEXT_COLUMN = 25
COLOURS = {Level.OK: "\x1b[32m", Level.WARNING: "\x1b[33m", Level.PROBLEM: "\x1b[1;31m"}
PLAIN = "\x1b[0m"


def command(arguments: Sequence[str]) -> int:
    """Look at everything that an acquisition needs on this computer, and say what to do. Takes no picture."""
    parser = argparse.ArgumentParser(prog="locstream doctor", description=command.__doc__)
    parser.add_argument(
        "config", nargs="?", type=Path, metavar="CONFIG.toml", help="configuration; its camera is opened and closed"
    )
    given = parser.parse_args(arguments)
    counts: Counter[Level] = Counter()
    for finding in examine(given.config):
        counts[finding.level] += 1
        show(finding, sys.stdout)
    print(f"{counts[Level.OK]} ok, {_some(counts, Level.WARNING)}, {_some(counts, Level.PROBLEM)}")
    return 1 if counts[Level.PROBLEM] else 0


def examine(path: Path | None) -> Iterator[Finding]:
    """Give one finding after another; those that need the kernels are left out where these cannot be loaded.

    Parameters
    ----------
    path
        A configuration; None for the defaults, and no camera is then opened.
    """
    yield check_python()
    cache = check_kernel_cache()
    if cache.level is Level.PROBLEM:
        yield cache
    else:
        yield check_numba()
        yield cache
        yield check_kernels()
        # imported here: it needs the kernels, which have just been shown to load
        from locstreamd.service.checks.configured import examine_configured

        yield from examine_configured(path)
    yield from (check_clock(), check_viewer(), check_omero())


def show(finding: Finding, out: TextIO) -> None:
    """Print a finding: its level, its name, what was found, and below it what to do."""
    lines = _wrapped(finding.found)
    lines += [f"{'  ' if i else '→ '}{line}" for i, line in enumerate(_wrapped(finding.todo))]
    heads = [f"{finding.level:<{LEVEL_COLUMN}}{finding.name}"] + [""] * (len(lines) - 1)
    text = [f"{head:<{TEXT_COLUMN}}{line}" for head, line in zip(heads, lines, strict=True)]
    if out.isatty() and not os.environ.get("NO_COLOR"):
        text[0] = COLOURS[finding.level] + text[0][:LEVEL_COLUMN] + PLAIN + text[0][LEVEL_COLUMN:]
    print("\n".join(text), file=out, flush=True)


def _some(counts: Counter[Level], level: Level) -> str:
    return f"{counts[level]} {level}{'' if counts[level] == 1 else 's'}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH - TEXT_COLUMN, break_long_words=False, break_on_hyphens=False)
