"""`locstream status`, `start`, `stop` and `abort`: what is asked for, where, and how the answer is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from locstream.errors import LocstreamError
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.keys import Keyring, Role
from locstream.stream.messages import Reply, Status
from locstream.stream.runtime import Connection, publish_connection
from locstream_watch import control, tail
from locstream_watch.control import status_command, status_json, status_text
from locstreamd.gatehouse import Gatehouse
from stream_examples import HELLO, STATUS
from stream_server import Server, ServerThread


def test_a_status_names_every_value_with_its_unit() -> None:
    text = status_text(Reply(id=1, ok=True, status=STATUS, hello=HELLO))
    assert "12 acquired = 10 fitted + 2 pending + 0 skipped + 0 failed" in text
    assert "9.5 photons/px background, 10.0 nm precision, 130 nm sigma" in text
    assert "99.5 frames/s acquired" in text
    assert "5 × 4 px of 100 nm" in text
    assert "delayed, 2 frames and 1.5 s behind the camera" in text


def test_a_status_as_json_has_the_names_of_the_protocol() -> None:
    found = json.loads(status_json(Reply(id=1, ok=True, status=STATUS, hello=HELLO)))
    assert found["status"]["ledger"]["acquired"] == 12
    assert found["status"]["fps_acquired"] == 99.5
    assert found["hello"]["name"] == "cell"
    assert json.loads(status_json(Reply(id=1, ok=True, status=STATUS)))["hello"] is None


@pytest.mark.parametrize("form", [status_text, status_json])
def test_a_reply_without_a_status_is_refused(form: Any) -> None:
    with pytest.raises(LocstreamError, match="without a status"):
        form(Reply(id=1, ok=True))


def test_what_a_service_does_when_it_acquires_nothing_is_told() -> None:
    idle = Status(acquisition="", seq=0, state="idle", ledger=LedgerSnapshot(), warning="one: complete")
    lines = status_text(Reply(id=1, ok=True, status=idle)).splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [["state", "idle"], ["last", "one: complete"]]


# --- asking a server in a thread ------------------------------------------------------------------------------------


@pytest.fixture
def ends(tmp_path: Path) -> tuple[str, str]:
    return f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"


@pytest.fixture
def server(tmp_path: Path, ends: tuple[str, str]) -> Iterator[ServerThread]:
    with ServerThread(lambda: Server(tmp_path, *ends)) as server:
        server.do(lambda s: s.begin("a"))
        yield server


@pytest.mark.parametrize("how", ["address", "file", "name", "newest"])
def test_the_status_is_asked_for_wherever_it_is(
    how: str,
    server: ServerThread,
    ends: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_pid: int,
) -> None:
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / "run"))
    stream, control = ends
    file = publish_connection(
        Connection(acquisition="id1", name="cell", pid=own_pid, started_s=0.0, control=control, stream=stream)
    )
    where = {"address": [stream, "--control", control], "file": [str(file)], "name": ["cell"], "newest": []}[how]
    assert status_command([*where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"]["state"] == "acquiring"


def test_a_key_opens_a_guarded_server(
    tmp_path: Path, ends: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    keyring = Keyring(tmp_path / "keys")
    keys = keyring.create_client("office", Role.VIEW)
    with ServerThread(lambda: Server(tmp_path, *ends, gatehouse=lambda c: Gatehouse(c, keyring))) as server:
        server.do(lambda s: s.begin("a"))
        stream, history = server.do(lambda s: s.guarded)  # type: ignore[misc]  # a pair
        assert status_command([stream, "--control", history, "--keys", str(keys), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"]["acquisition"] == "a"


@pytest.mark.parametrize("verb", ["start", "stop", "abort"])
def test_a_wish_is_asked_for_as_it_was_given(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def ask(*what: object, **how: object) -> Reply:
        asked.append((what, how))
        return Reply(id=1, ok=True, message="it is done")

    monkeypatch.setattr(control, "ask", ask)
    command: Callable[[Sequence[str]], int] = getattr(control, f"{verb}_command")
    wish = ["--name", "cell", "--frames", "80"] if verb == "start" else []
    assert command(["tcp://microscope:5577", "--control", "tcp://microscope:9", *wish]) == 0
    ((what, how),) = asked
    assert what == ("tcp://microscope:9", verb)
    assert (how["name"], how["frames"]) == (("cell", 80) if wish else ("", None))
    assert capsys.readouterr().out == "it is done\n"


@pytest.mark.parametrize("command", [control.status_command, control.stop_command, tail.command])
def test_keys_go_with_an_address(command: Callable[[Sequence[str]], int], tmp_path: Path) -> None:
    keys = Keyring(tmp_path / "keys").create_client("office", Role.VIEW)
    for where in ([], ["cell"], [str(tmp_path / "id.json")]):
        with pytest.raises(LocstreamError, match="--keys goes with the address"):
            command([*where, "--keys", str(keys)])


@pytest.mark.parametrize("command", [control.status_command, control.start_command])
def test_an_address_without_control_is_told(command: Callable[[Sequence[str]], int]) -> None:
    with pytest.raises(LocstreamError, match="answered elsewhere"):
        command(["tcp://127.0.0.1:5577"])
