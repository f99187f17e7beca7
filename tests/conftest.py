"""What every test may use: the real data beside the project, where it is present."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from locstream.stream.keys import Keyring
from own_keys import keyring_for

EXIT_WITHIN_S = 120
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """See to it that the run ends: a thread or a socket that a failed test left is waited for at exit, for ever."""
    faulthandler.dump_traceback_later(EXIT_WITHIN_S, exit=True, file=sys.__stderr__)


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Return a function from a relative path to the file; it skips, with the path, where that is absent."""

    def find(relative: str) -> Path:
        path = SHARED_DATA / relative
        if not path.exists():
            pytest.skip(f"real data not present beside the project: {path}")
        return path

    return find


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """Return the keys of this computer, for processes that are started from now on, too; it has a server key."""
    return keyring_for(monkeypatch, tmp_path / "keys")


@pytest.fixture
def own_pid() -> int:
    """Return a process id that is alive: this one."""
    return os.getpid()


@pytest.fixture
def dead_pid() -> int:
    """Return a process id that was alive and is not."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid
