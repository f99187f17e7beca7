"""What every figure must be seen with: the machine, the versions, the load; and one core for all of it."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import locstream

THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")}
"""Environment that keeps libraries to one thread."""
QUIET_LOAD = 0.5


def core() -> int:
    """Return the core that everything measured runs on: the last of those that are allowed."""
    return max(os.sched_getaffinity(0))


def pin() -> None:
    """Keep this process on that core."""
    os.sched_setaffinity(0, {core()})


def processor() -> str:
    """Return the name of the processor, as the kernel knows it, with its family and model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{said.get('model name', '?')} (family {said.get('cpu family', '?')}, model {said.get('model', '?')})"


def commit() -> str:
    """Return the commit of the clone this runs in, in brackets; "" where there is none."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=, changed"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f" ({said})"


def statement(cores: str = "of which one is used") -> str:
    """Return one paragraph: date, machine, versions, load."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "scipy"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {processor()}, {os.cpu_count()} cores, {cores} · "
        f"{platform.system()} {platform.release()} · Python {platform.python_version()}, {packages} · "
        f"locstream {locstream.__version__}{commit()} · load {load():.2f}"
    )


def wait_for_quiet(longest_s: float) -> None:
    """Wait until hardly anything else runs, or until so many seconds have passed."""
    end = time.monotonic() + longest_s
    while load() > QUIET_LOAD and time.monotonic() < end:
        time.sleep(5)


def load() -> float:
    """Return the load of the last minute: processes that wanted to run."""
    return os.getloadavg()[0]
