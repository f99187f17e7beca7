"""One program under test, in a process and an environment of its own: it answers requests, one JSON object a line.

Only this file and the adapters beside it run in the peers' environments; they need nothing but numpy and the peer.
Answers go to the file descriptor named on the command line, since programs print what they like; rows go to a file.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Method(NamedTuple):
    """One way in which a program does its work."""

    run: Callable[..., Any]
    """What is timed: ``run(spots)``, or ``run(movie, threshold)``."""
    rows: Callable[[Any], Array]
    """Brings the result into columns: x, y, photons for spots; frame, x, y, photons for movies. Not timed. px from the
    centre of the first pixel."""


@dataclass(frozen=True)
class Program:
    """What a program under test offers."""

    name: str
    version: str
    fits: Mapping[str, Method] = field(default_factory=dict)
    """Fits of isolated spots, photoelectrons, float32, shape (n, box, box)."""
    movies: Mapping[str, Method] = field(default_factory=dict)
    """The whole job on a movie: detect, cut, fit, table."""
    thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What to try for a movie method; none where the program has one default for every movie."""
    open_movie: Callable[[str, int], Any] = lambda path, frames: np.array(np.load(path, mmap_mode="r")[:frames])
    """From a .npy file, and the number of frames to take, to what the methods run on."""


def answer(program: Program) -> None:
    """Answer requests until standard input ends."""
    replies = os.fdopen(int(sys.argv[1]), "w")
    spots = functools.lru_cache(2)(lambda path, n: np.load(path)[:n])
    movie = functools.lru_cache(2)(program.open_movie)

    def reply(**what: Any) -> None:
        replies.write(json.dumps(what) + "\n")
        replies.flush()

    reply(
        name=program.name,
        version=program.version,
        fits=list(program.fits),
        movies=list(program.movies),
        thresholds={m: list(t) for m, t in program.thresholds.items()},
    )
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "fit":
            data, method = spots(asked["data"], asked["n"]), program.fits[asked["method"]]
            arguments: tuple[Any, ...] = (data,)
        else:
            data, method = movie(asked["data"], asked["n"]), program.movies[asked["method"]]
            arguments = (data, asked["threshold"])
        wall_s, cpu_s, passes, result = _timed(method.run, arguments, asked["least_s"])
        rows = method.rows(result)
        np.save(asked["rows"], np.asarray(rows, np.float64))
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        reply(wall_s=wall_s / passes, cpu_s=cpu_s / passes, passes=passes, peak_mb=peak_mb)


def _timed(run: Callable[..., Any], arguments: tuple[Any, ...], least_s: float) -> tuple[float, float, int, Any]:
    """Run until `least_s` have passed; return wall and processor seconds (of all threads), passes and the result."""
    passes = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        result = run(*arguments)
        passes += 1
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        if wall_s >= least_s:
            return wall_s, cpu_s, passes, result
