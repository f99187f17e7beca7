"""Runs the real command in processes of its own, with a private runtime folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from waiting import PATIENCE_S, until

LOCSTREAM = str(Path(sys.executable).parent / "locstream")


class Command:
    """One `locstream` command that was started; ended with the test, whatever happens."""

    def __init__(self, *arguments: str | Path, env: dict[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            [LOCSTREAM, *(str(a) for a in arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            cwd=cwd,
        )
        self.out = self.err = ""

    def finish(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end; keep what was printed; return the exit status."""
        self.out, self.err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def runtime() -> Iterator[str]:
    """Return a private folder for sockets; short, as paths of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ls-") as folder:
        yield folder


@pytest.fixture
def locstream(tmp_path: Path, runtime: str) -> Iterator[Callable[..., Command]]:
    """Return a function that starts `locstream VERB …` in a private runtime and working folder."""
    started: list[Command] = []

    def start(*arguments: str | Path) -> Command:
        env = {**os.environ, "LOCSTREAM_RUNTIME_DIR": runtime, "PYTHONWARNINGS": "default"}
        started.append(Command(*arguments, env=env, cwd=tmp_path))
        return started[-1]

    yield start
    for command in started:
        command.end()


def wait_until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S, what: str = "the condition") -> None:
    """Wait for something another process does; fail loudly after `timeout_s`."""
    until(condition, lambda: f"{what} did not come within {timeout_s:g} s", timeout_s)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until
