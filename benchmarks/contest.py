"""Programs against each other: each in a process and an environment of its own, in turn, on one core.

A round asks every contestant once, so that what disturbs the machine disturbs all of them; what is compared is the
rate per second of processor time within a round, and of at least three rounds the median.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import machine
import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
MAKE_ENVIRONMENT = HERE.parent / "tests" / "peer" / "make_environment.py"
ENVIRONMENTS = {
    "locstream": None,
    "picasso": "picasso-fits",
    "daostorm": "daostorm",
    "microeye": "microeye",
    "pyme": "pyme",
}
"""Program and the environment it needs, requirements/peer-NAME.txt; None is the one that runs this."""
NOT_TRIED = {
    "Cpufit": "no package index has it: it is built from source with CMake",
    "storm-analysis (its own 3D-DAOSTORM)": "no package index has it: it is built from source with SCons",
}
"""Peers that no environment here can be made with, and why."""
LEAST_S = 0.5
ROUNDS = 3
Entry = TypeVar("Entry")


class Run(NamedTuple):
    """One answer of a program; times are of one pass over the data."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    rows: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Contestant:
    """One method of one program."""

    program: Program
    method: str

    @property
    def label(self) -> str:
        """Program, version and method."""
        return f"{self.program.name} {self.program.version} · {self.method}"


class ProgramError(Exception):
    """A program ended instead of answering; the message is the last thing it said."""


class Program:
    """A program under test that waits for requests."""

    def __init__(self, key: str, interpreter: Path | str, folder: Path) -> None:
        self.key = key
        self._said = folder / f"{key}.log"
        self._rows = folder / f"{key}.npy"
        ours, theirs = os.pipe()
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [str(interpreter), str(HERE / "programs" / f"with_{key}.py"), str(theirs)],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                text=True,
                env={**os.environ, **machine.THREADS, "QT_QPA_PLATFORM": "offscreen", "MPLBACKEND": "agg"},
            )
        os.close(theirs)
        self._answers = os.fdopen(ours)
        try:
            hello = self._answer()
        except ProgramError:
            self.close()
            raise
        self.name, self.version = str(hello["name"]), str(hello["version"])
        self.fits, self.movies = list(hello["fits"]), list(hello["movies"])
        self.thresholds: Mapping[str, Sequence[float]] = hello["thresholds"]

    def fit(self, method: str, data: Path, n: int, least_s: float = LEAST_S) -> Run:
        """Fit the first n spots of a file."""
        return self._ask(do="fit", method=method, data=str(data), n=n, least_s=least_s)

    def localize(
        self, method: str, data: Path, frames: int, threshold: float | None = None, least_s: float = LEAST_S
    ) -> Run:
        """Localize the first frames of a movie."""
        return self._ask(do="localize", method=method, data=str(data), n=frames, threshold=threshold, least_s=least_s)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it may have ended before it read all
            self._process.stdin.close()
        self._process.wait()
        self._answers.close()

    def _ask(self, **request: Any) -> Run:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request | {"rows": str(self._rows)}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProgramError(self._last_words()) from None
        answer = self._answer()
        return Run(answer["wall_s"], answer["cpu_s"], answer["peak_mb"], np.load(self._rows))

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            self._process.wait()
            raise ProgramError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        said = self._said.read_text(errors="replace").strip().splitlines()
        return said[-1] if said else f"it ended with status {self._process.returncode} and said nothing"


@contextmanager
def programs(keys: Sequence[str]) -> Iterator[list[Program]]:
    """Start programs, making their environments where needed; say which cannot take part, and why."""
    machine.pin()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        started = []
        for key in keys:
            try:
                program = Program(key, _interpreter(key), folder)
            except (ProgramError, subprocess.CalledProcessError) as error:
                print(f"Left out: {key}: {_reason(error)}", flush=True)
                continue
            stack.callback(program.close)
            started.append(program)
        yield started


def _interpreter(key: str) -> Path | str:
    environment = ENVIRONMENTS[key]
    if environment is None:
        return sys.executable
    made = subprocess.run(
        [sys.executable, str(MAKE_ENVIRONMENT), environment], capture_output=True, text=True, check=True
    )
    return Path(made.stdout.splitlines()[-1])


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in str(error.stderr).splitlines() if "error" in line.lower()]
        return lines[0].strip() if lines else f"pip failed with status {error.returncode}"
    return str(error)


def prepared(contestants: Sequence[Contestant], prepare: Callable[[Contestant], Entry]) -> dict[Contestant, Entry]:
    """Return what each contestant runs with; who fails is left out, with the reason printed."""
    entries = {}
    for contestant in contestants:
        try:
            entries[contestant] = prepare(contestant)
        except ProgramError as error:
            print(f"Left out: {contestant.label}: {error}", flush=True)
    return entries


def rounds(
    contestants: Sequence[Contestant], once: Callable[[Contestant], Run], n: int = ROUNDS
) -> dict[Contestant, list[Run]]:
    """Let every contestant run once a round; who fails is left out, with the reason printed."""
    runs: dict[Contestant, list[Run]] = {c: [] for c in contestants}
    for _ in range(n):
        for contestant in list(runs):
            try:
                runs[contestant].append(once(contestant))
            except ProgramError as error:
                print(f"Left out: {contestant.label}: {error}", flush=True)
                del runs[contestant]
    return runs


def rate(runs: Sequence[Run], items: int) -> float:
    """Return items per second of processor time, the median of the rounds."""
    return float(np.median([items / run.cpu_s for run in runs]))


def ratio(ours: Sequence[Run], items: int, theirs: Sequence[Run], their_items: int) -> float:
    """Return how many times as fast ours is, the median of the ratios within each round."""
    return float(np.median([(items / a.cpu_s) / (their_items / b.cpu_s) for a, b in zip(ours, theirs, strict=True)]))


def core_share(runs: Sequence[Run]) -> float:
    """Return processor over wall seconds: 1 where nothing else wanted the core."""
    return float(np.median([run.cpu_s / run.wall_s for run in runs]))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up; all but the first are flush right."""
    widths = [max(len(line[k]) for line in [head, *rows]) for k in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 2) if k == 0 else "-" * (w + 1) + ":" for k, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])
