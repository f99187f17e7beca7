"""The service: steered over its control socket, told to systemd, one owner, recovered after a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from locstream.results.reader import read_results
from small_service import CONFIG

pytestmark = pytest.mark.system


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scope.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def serving(config: Path, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None]) -> Callable:
    """Return a function that starts the service and waits until it answers."""

    def start():
        service = locstream("serve", config, "--state", tmp_path / "state")
        wait_until(lambda: state_of(locstream) == "idle", what="an idle service")
        return service

    return start


def state_of(locstream: Callable) -> str:
    status = locstream("status", "serve")
    if status.finish():
        return ""
    return next(line.split()[1] for line in status.out.splitlines() if line.startswith("state"))


def summaries(tmp_path: Path) -> dict[str, dict]:
    return {p.parent.name: json.loads(p.read_text()) for p in (tmp_path / "data").glob("*/*_summary.json")}


def test_one_acquisition_after_another(
    serving: Callable, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    service = serving()
    for name in ("one", "two"):
        start = locstream("start", "--name", name, "--frames", "80")
        assert start.finish() == 0, start.err
        wait_until(lambda n=name: n in summaries(tmp_path), what=f"the summary of {name}")
        wait_until(lambda: state_of(locstream) == "idle", what="an idle service")
    assert {n: s["frames"]["fitted"] for n, s in summaries(tmp_path).items()} == {"one": 80, "two": 80}
    service.process.send_signal(signal.SIGTERM)
    assert service.finish() == 0, service.err
    assert "ready" in service.err
    assert not list((tmp_path / "state").glob("unfinished*"))


def test_what_cannot_be_done_now_is_refused_with_the_reason(
    serving: Callable, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    serving()
    stop = locstream("stop")
    assert stop.finish() == 1
    assert "no acquisition is running; the service is idle" in stop.err
    assert locstream("start", "--name", "long").finish() == 0
    wait_until(lambda: state_of(locstream) == "acquiring", what="an acquisition")
    again = locstream("start")
    assert again.finish() == 1
    assert "long is being acquired" in again.err
    assert locstream("abort").finish() == 0
    wait_until(lambda: "long" in summaries(tmp_path), what="the summary")
    assert summaries(tmp_path)["long"]["outcome"] == "stopped"


def test_an_acquisition_that_cannot_start_leaves_the_service_idle(
    serving: Callable, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    serving()
    (tmp_path / "data").write_text("a file where the folder should be")
    assert locstream("start", "--name", "x").finish() == 0
    wait_until(lambda: "cannot be made" in told(locstream), what="the reason")
    assert state_of(locstream) == "idle"


def told(locstream: Callable) -> str:
    status = locstream("status", "serve")
    status.finish()
    return status.out


def test_a_second_service_on_the_same_state_is_refused(
    serving: Callable, config: Path, tmp_path: Path, locstream: Callable
) -> None:
    serving()
    second = locstream("serve", config, "--state", tmp_path / "state")
    assert second.finish() == 1
    assert "another `locstream serve`" in second.err


def test_sigterm_finishes_the_files(
    serving: Callable, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    service = serving()
    assert locstream("start", "--name", "cut").finish() == 0
    wait_until(lambda: state_of(locstream) == "acquiring", what="an acquisition")
    service.process.send_signal(signal.SIGTERM)
    assert service.finish() == 0, service.err
    summary = summaries(tmp_path)["cut"]
    assert summary["outcome"] == "stopped"
    assert summary["frames"]["acquired"] == summary["frames"]["fitted"]


def test_sighup_reads_the_configuration_again(
    serving: Callable, config: Path, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    service = serving()
    config.write_text(CONFIG.replace("width = 64", "width = 80"))
    service.process.send_signal(signal.SIGHUP)
    assert locstream("start", "--name", "wide", "--frames", "20").finish() == 0
    wait_until(lambda: "wide" in summaries(tmp_path), what="the summary")
    assert summaries(tmp_path)["wide"]["source"]["width_px"] == 80


def test_a_service_that_was_killed_recovers_its_run_when_it_comes_up_again(
    serving: Callable, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None]
) -> None:
    service = serving()
    assert locstream("start", "--name", "lost").finish() == 0
    wait_until(lambda: state_of(locstream) == "acquiring", what="an acquisition")
    live = tmp_path / "data" / "lost" / "lost.live.tif"
    wait_until(lambda: live.exists() and live.stat().st_size > 500_000, what="recorded frames")
    children = psutil.Process(service.process.pid).children(recursive=True)
    service.process.kill()
    service.finish()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    serving()
    assert "lost" in summaries(tmp_path)
    results = read_results(tmp_path / "data" / "lost" / "lost_locs.hdf5")
    assert len(results.frames) > 20
    assert not (tmp_path / "state" / "unfinished.json").exists()


def test_systemd_is_told(
    config: Path, tmp_path: Path, locstream: Callable, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"@locstream-test-{os.getpid()}-{tmp_path.name}"
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "900000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:])
        manager.settimeout(30)
        service = locstream("serve", config, "--state", tmp_path / "state")
        messages: list[str] = []
        while not any("WATCHDOG=1" in m for m in messages):
            messages.append(manager.recv(4096).decode())
        assert "READY=1" in messages[0]
        assert locstream("start", "--name", "x").finish() == 0
        while not any(m.startswith("STATUS=acquiring") for m in messages):
            messages.append(manager.recv(4096).decode())
        service.process.send_signal(signal.SIGTERM)
        while not any("STOPPING=1" in m for m in messages):
            messages.append(manager.recv(4096).decode())
    assert service.finish() == 0
