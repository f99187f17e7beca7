"""What a service writes while it runs: few lines, all in one form, in the file as on stderr."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

CONFIG = Path(__file__).resolve().parents[2] / "config"
PLAIN = re.compile(r"(INFO|WARNING|ERROR|CRITICAL) +\S.*|  \S.*")
IN_FILE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) +[\w.-]+: .*|    .*")


def test_a_service_with_a_camera_says_little_and_all_of_it_twice(
    tmp_path: Path, locstream: Callable, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Micro-Manager's Python side opens the root logger for DEBUG and prints in a form of its own."""
    monkeypatch.setenv("LOGS_DIRECTORY", str(tmp_path / "logs"))
    for name in ("micromanager.toml", "demo.cfg"):
        shutil.copy(CONFIG / name, tmp_path)
    service = locstream("serve", "micromanager.toml", "--state", tmp_path / "state")
    log = tmp_path / "logs" / "locstream.log"
    wait_until(lambda: log.exists() and "ready" in log.read_text(), what="a ready service")
    assert locstream("start", "--name", "one", "--frames", "60").finish() == 0
    wait_until(lambda: ": complete" in log.read_text(), what="the end of the run")
    service.process.send_signal(signal.SIGTERM)
    assert service.finish() == 0, service.err
    lines = service.err.splitlines()
    assert [line for line in lines if not PLAIN.fullmatch(line)] == []
    kept = log.read_text().splitlines()
    assert [line for line in kept if not IN_FILE.fullmatch(line)] == []
    assert len(lines) == len(kept) < 25
    for words in ("ready", "one begins in", "one: complete"):
        assert sum(words in line for line in lines) == sum(words in line for line in kept) == 1
    assert not [line for line in lines if "DEBUG" in line]


def test_what_stops_it_is_in_the_file_too(tmp_path: Path, locstream: Callable) -> None:
    (tmp_path / "scope.toml").write_text("[micromanager]\nconfig_file = 'missing.cfg'\n")
    service = locstream("serve", "scope.toml", "--state", tmp_path / "state")
    assert service.finish() == 1
    assert service.err.count("there is no Micro-Manager configuration") == 1
    assert (
        "ERROR    locstream: there is no Micro-Manager configuration"
        in (tmp_path / "state" / "locstream.log").read_text()
    )
