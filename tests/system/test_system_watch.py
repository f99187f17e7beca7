"""`locstream tail` and `status` on a real service, here and by key: idle, acquiring, idle again; interrupted."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyed_run import free_ports
from locstream.results.reader import read_results
from locstream.stream.keys import Keyring, Role
from small_service import CONFIG

pytestmark = pytest.mark.system


def test_a_service_is_followed_from_idle_to_idle(
    tmp_path: Path,
    locstream: Callable[..., Any],
    wait_until: Callable[..., None],
    keyring: Keyring,
) -> None:
    keys = keyring.create_client("office", Role.VIEW)
    stream = f"tcp://127.0.0.1:{free_ports(3)}"
    (tmp_path / "scope.toml").write_text(f'{CONFIG}[stream]\nlisten = "{stream}"\nkeys = true\n')
    locstream("serve", "scope.toml", "--state", "state")

    def status() -> Any:
        command = locstream("status", "--json", "serve")
        return json.loads(command.out)["status"] if command.finish() == 0 else {"state": "", "warning": ""}

    wait_until(lambda: status()["state"] == "idle", 180, what="an idle service")
    once = locstream("tail", "serve", "--format", "ndjson", "--from", "0", "--wait", "60")
    remote = stream, "--keys", keys
    forever = locstream("tail", *remote, "--forever", "--format", "events", "--from", "0", "--wait", "60")
    for name in ("one", "two"):
        assert locstream("start", "--name", name, "--frames", "80").finish() == 0
        wait_until(lambda n=name: status()["warning"].startswith(f"{n}: complete"), 180, what=f"the end of {name}")
    assert once.finish() == 0, once.err
    tables = {name: read_results(tmp_path / "data" / name / f"{name}_locs.hdf5").table for name in ("one", "two")}
    frames = [json.loads(line)["frame"] for line in once.out.splitlines()]
    assert frames == tables["one"]["frame"].tolist()
    assert forever.process.stdout is not None
    heard: list[dict[str, Any]] = []
    while sum(event["type"] == "end" for event in heard) < 2:
        heard.append(json.loads(forever.process.stdout.readline()))
    assert {event["type"] for event in heard} == {"hello", "localizations", "status", "end"}
    assert [event["name"] for event in heard if event["type"] == "hello"] == ["one", "two"]
    for event, table in zip([event for event in heard if event["type"] == "end"], tables.values(), strict=True):
        assert (event["outcome"], event["frames"], event["rows"]) == ("complete", 80, len(table))
        assert event["verified"] is True
    assert locstream("status", *remote).finish() == 0
    forever.process.send_signal(signal.SIGINT)
    assert forever.finish() == 130, forever.err
    assert f"interrupted: {len(tables['two']):,} localizations were received" in forever.err
    assert "Traceback" not in forever.err
