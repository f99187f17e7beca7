"""What `locstream tail` makes of a stream: text, CSV, JSON lines, and how it ends."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from locstream.errors import LocstreamError
from locstream.localizations import LOCALIZATION, empty
from locstream.results.layout import live_path
from locstream.results.ledger import LedgerSnapshot
from locstream.results.reader import read_results
from locstream.stream.client import Client
from locstream.stream.events import Began, Ended, Event, Rows
from locstream.stream.keys import Keyring, Role
from locstream.stream.messages import End, Status
from locstream_watch.forms import sink_for
from locstream_watch.tail import Tail, command
from locstreamd.gatehouse import Gatehouse
from stream_examples import HELLO, STATUS
from stream_server import Server, ServerThread

BEGAN = Began("a1", HELLO)


class Recorded:
    """A client that gives what was recorded, then silence."""

    def __init__(self, *events: Event | Status, silent: bool = False) -> None:
        self._events, self._silent = events, silent
        self.next_row = 7

    def events(self) -> Iterator[Event | Status]:
        yield from self._events
        if self._silent:
            raise LocstreamError("nothing came; no end was announced")


def rows(count: int, row_first: int = 0) -> Rows:
    table = empty(count)
    table["frame"] = 3 + np.arange(count)
    table["x_nm"] = 250.0
    return Rows("a1", row_first, table)


def ended(
    outcome: str = "complete", count: int = 2, *, message: str = "", missing: int = 0, good: bool = True
) -> Ended:
    end = End(
        acquisition="a1", seq=3, outcome=outcome, frames=12, rows=count, message=message, digest="d" if good else "e"
    )
    return Ended("a1", count, missing, "d", end, True)


def follow(recorded: Recorded, form: str = "text") -> tuple[int, str]:
    out = io.StringIO()
    tail = Tail(recorded, sink_for(form, out))  # type: ignore[arg-type]  # it gives what a client gives
    return tail.follow(), out.getvalue()


def told(form: str, *events: Event | Status) -> str:
    status, out = follow(Recorded(*events), form)
    assert status == 0
    return out


def test_text_is_a_line_an_event() -> None:
    assert told("text", BEGAN, rows(2), STATUS, Began("a2", None), ended()).splitlines() == [
        "cell: 5 × 4 px of 100 nm, locstream 0",
        "row 0: 2 localizations of frames 3–4",
        "acquiring: 12 acquired, 10 fitted, 2 pending, 0 skipped, 0 failed, 0 dropped by the camera; "
        "delayed, 1.5 s behind",
        "acquisition a2",
    ]


def test_a_service_that_is_idle_is_told_once() -> None:
    idle = Status(acquisition="", seq=0, state="idle", ledger=LedgerSnapshot())
    lines = told("text", idle, idle, BEGAN, STATUS, ended(count=0), idle, idle).splitlines()
    assert [line.split(":")[0] for line in lines] == ["idle", "cell", "acquiring", "idle"]
    assert lines[0] == "idle: the next acquisition is waited for"


def test_ndjson_is_an_object_a_localization() -> None:
    found = [json.loads(line) for line in told("ndjson", BEGAN, STATUS, rows(2), ended()).splitlines()]
    assert len(found) == 2
    assert list(found[0]) == list(LOCALIZATION.names or ())
    assert (found[1]["frame"], found[1]["x_nm"]) == (4, 250.0)


def test_what_is_no_number_is_null_in_json() -> None:
    event = rows(1)
    event.table["x_nm"] = np.nan
    assert json.loads(told("ndjson", BEGAN, event, ended(count=1)), parse_constant=pytest.fail)["x_nm"] is None


def test_events_are_an_object_a_message_under_the_names_of_the_protocol() -> None:
    found = [json.loads(line) for line in told("events", BEGAN, rows(2), STATUS, ended()).splitlines()]
    assert [event["type"] for event in found] == ["hello", "localizations", "status", "end"]
    assert {event["acquisition"] for event in found} == {"a1"}
    assert (found[0]["name"], found[0]["pixel_size_nm"], found[0]["fields"][0]["name"]) == ("cell", 100.0, "frame")
    assert [found[1][name] for name in ("frame_first", "frame_last", "row_first", "rows")] == [3, 4, 0, 2]
    assert found[2]["ledger"]["fitted"] == 10
    assert [found[3][name] for name in ("outcome", "rows", "missing", "verified")] == ["complete", 2, 0, True]


def test_events_of_which_little_was_heard_name_their_acquisition() -> None:
    out = told("events", Began("a1", None), Ended("a1", 0, 0, "d", None, True))
    hello, end = (json.loads(line) for line in out.splitlines())
    assert hello == {"type": "hello", "acquisition": "a1"}
    assert end == {"type": "end", "acquisition": "a1", "rows": 0, "missing": 0, "verified": None}


def test_csv_counts_from_the_corner_and_from_frame_one() -> None:
    lines = told("csv", BEGAN, rows(1), ended(count=1)).splitlines()
    assert lines[0].startswith('"id","frame"')
    assert [float(v) for v in lines[1].split(",")[1:3]] == [4, 300.0]


def test_csv_without_a_pixel_size_is_refused() -> None:
    with pytest.raises(LocstreamError, match="pixel size"):
        told("csv", Began("a1", None), rows(1), ended(count=1))


@pytest.mark.parametrize(
    ("events", "status", "sentence"),
    [
        ((rows(2), ended()), 0, "2 localizations, 2 received here, the same as published (SHA-256)"),
        ((rows(2, 5), ended(count=7, good=True)), 0, "5 were published before those; `--from 0` gives them, too"),
        ((rows(2), ended(count=9, missing=7)), 0, "7 were lost on the way"),
        ((rows(2), ended(good=False)), 1, "not what is published"),
        ((ended("faulted", 0, message="the disk is full"),), 1, "the disk is full"),
        ((Ended("a1", 0, 0, "", None, True),), 0, "ended: 0 localizations"),
    ],
)
def test_how_it_ended_is_told(
    events: tuple[Event, ...], status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow(Recorded(BEGAN, *events))[0] == status
    assert sentence.replace("is published", "was published") in capsys.readouterr().err


def test_silence_is_no_end() -> None:
    with pytest.raises(LocstreamError, match="no end was announced"):
        follow(Recorded(BEGAN, rows(2), silent=True))


def test_each_acquisition_of_a_service_is_counted_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = Recorded(BEGAN, rows(2), ended())
    tail = Tail(recorded, sink_for("text", io.StringIO()))
    assert [tail.follow(), tail.follow()] == [0, 0]
    assert capsys.readouterr().err.count("2 localizations, 2 received here") == 2


# --- the whole command, with a server in a thread -------------------------------------------------------------------


@pytest.fixture
def ends(tmp_path: Path) -> tuple[str, str]:
    return f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"


class Following:
    """`locstream tail` in a thread of its own, with what it printed."""

    def __init__(self, *arguments: str) -> None:
        self.status = -1
        self._thread = threading.Thread(target=self._run, args=(arguments,))
        self._thread.start()

    def _run(self, arguments: tuple[str, ...]) -> None:
        self.status = command(arguments)

    def finish(self) -> int:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.status


def printed_rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize("start", ["0", "150"])
def test_rows_from_before_are_printed(
    start: str, tmp_path: Path, ends: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with ServerThread(lambda: Server(tmp_path, *ends)) as server:
        server.do(lambda s: s.begin("a"))
        server.do(lambda s: [s.commit() for _ in range(5)])
        tail = Following(ends[0], "--control", ends[1], "--from", start, "--format", "ndjson", "--wait", "60")
        server.do(lambda s: [s.commit() for _ in range(5)])
        server.do(Server.end)
        assert tail.finish() == 0
    table = read_results(live_path(tmp_path, "a")).table[int(start) :]
    found = printed_rows(capsys.readouterr().out)
    assert [row["frame"] for row in found] == table["frame"].tolist()
    np.testing.assert_array_equal(np.array([row["x_nm"] for row in found], np.float32), table["x_nm"])


def test_the_next_acquisition_of_an_idle_service_is_waited_for(
    tmp_path: Path, ends: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with ServerThread(lambda: Server(tmp_path, *ends)) as server:
        tail = Following(ends[0], "--control", ends[1], "--wait", "2", "--format", "events")
        asked = 0
        while asked < 6:  # a sign of life every 0.5 s: silence has lasted longer than it may
            asked = len(server.do(lambda s: s.asked[:]))
        server.do(lambda s: s.begin("a"))
        server.do(lambda s: [s.commit() for _ in range(5)])
        server.do(Server.end)
        assert tail.finish() == 0
    events = printed_rows(capsys.readouterr().out)
    begun = next(k for k, event in enumerate(events) if event["type"] == "hello")
    assert begun
    assert {(event["type"], event["acquisition"]) for event in events[:begun]} == {("status", "")}
    assert events[-1]["type"] == "end"


def test_a_key_opens_a_guarded_server(
    tmp_path: Path, ends: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    keyring = Keyring(tmp_path / "keys")
    keys = keyring.create_client("office", Role.VIEW)
    with ServerThread(lambda: Server(tmp_path, *ends, gatehouse=lambda c: Gatehouse(c, keyring))) as server:
        server.do(lambda s: s.begin("a"))
        server.do(lambda s: s.commit())
        places = server.do(lambda s: s.guarded)
        assert isinstance(places, tuple)
        tail = Following(
            places[0], "--control", places[1], "--history", places[1], "--keys", str(keys), "--from", "0",
            "--format", "ndjson", "--wait", "60",
        )  # fmt: skip
        while server.do(lambda s: s.router.asked_at) == -math.inf:
            pass
        server.do(Server.end)
        assert tail.finish() == 0
    assert len(printed_rows(capsys.readouterr().out)) == len(read_results(live_path(tmp_path, "a")).table)


@pytest.mark.parametrize("arguments", [["--from", "-1"], ["--from", "soon"], ["--wait", "-1"], ["--wait", "nan"],
                                       ["--format", "csv", "--forever"]])  # fmt: skip
def test_arguments_that_mean_nothing_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command(["ipc:///tmp/x", *arguments])
    assert "usage:" in capsys.readouterr().err


def test_an_interrupt_says_where_to_go_on(
    tmp_path: Path, ends: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Client.events

    def interrupted(client: Client) -> Iterator[Event | Status]:
        for event in before(client):
            yield event
            if client.next_row:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Client, "events", interrupted)
    with ServerThread(lambda: Server(tmp_path, *ends)) as server:
        server.do(lambda s: s.begin("a"))
        server.do(lambda s: s.commit())
        assert command([ends[0], "--control", ends[1], "--from", "0", "--wait", "60"]) == 130
    n = len(read_results(live_path(tmp_path, "a")).table)
    assert f"interrupted: {n} localizations were received; `--from {n}` goes on there" in capsys.readouterr().err
