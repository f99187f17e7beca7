"""What systemd is told, over a datagram socket of our own."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from locstreamd.service import systemd
from locstreamd.service.systemd import Watchdog, notify


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return the service manager's end of NOTIFY_SOCKET."""
    address = (
        str(tmp_path / "notify") if request.param == "path" else f"@locstream-test-{tmp_path.name}-{time.time_ns()}"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + address[1:] if address.startswith("@") else address)
        end.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield end


def test_lines_arrive_as_one_datagram(manager: socket.socket) -> None:
    assert notify("READY=1", "STATUS=idle")
    assert manager.recv(1000) == b"READY=1\nSTATUS=idle"


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")


def test_the_watchdog_beats_while_work_moves(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    watchdog = Watchdog()
    assert watchdog.progress(1, pending=True)
    assert not watchdog.progress(2, pending=True), "not before a third of the time-out"
    time.sleep(0.011)
    assert watchdog.progress(3, pending=True)
    assert manager.recv(1000) == b"WATCHDOG=1"


def test_the_watchdog_stops_when_pending_work_stands_still(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000")
    monkeypatch.setattr(systemd, "STALLED_S", 0.05)
    watchdog = Watchdog()
    assert watchdog.progress(7, pending=True)
    time.sleep(0.06)
    assert not watchdog.progress(7, pending=True)
    assert watchdog.progress(8, pending=True), "it moves again"
    time.sleep(0.06)
    assert watchdog.progress(8, pending=False), "nothing to do is no standstill"


def test_without_a_watchdog_nothing_is_sent(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert not Watchdog().progress(1, pending=False)
