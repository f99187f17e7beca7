"""A client gives every row of a growing file once, says what it waits for, and asks for what it is told to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

import locstream
from locstream.errors import LocstreamError
from locstream.localizations import Localizations
from locstream.results.layout import live_path
from locstream.results.reader import ResultsReader, read_results
from locstream.stream import async_client
from locstream.stream.client import Client, connect
from locstream.stream.digest import file_digest
from locstream.stream.events import Began, Ended, Rows
from locstream.stream.messages import Status
from locstream.stream.runtime import Connection, publish_connection
from stream_server import Server, ServerThread

WAIT_S = 20.0


@pytest.fixture
def endpoints(tmp_path: Path) -> tuple[str, str]:
    return f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"


@pytest.fixture
def server(tmp_path: Path, endpoints: tuple[str, str]) -> Iterator[ServerThread]:
    with ServerThread(lambda: Server(tmp_path, *endpoints)) as server:
        yield server


def client_of(endpoints: tuple[str, str], *, start: int | None = 0, timeout_s: float = WAIT_S) -> Client:
    return connect(endpoints[0], control=endpoints[1], start=start, timeout_s=timeout_s)


def commit(server: ServerThread, batches: int) -> None:
    for _ in range(batches):
        server.do(lambda s: s.commit())


def test_every_row_is_given_from_the_beginning(
    server: ServerThread, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 30)
    with client_of(endpoints) as client:
        rows = iter(client)
        got = [next(rows)]
        assert client.acquisition == "a"
        assert client.next_row == len(got[0])
        commit(server, 30)
        server.do(Server.end)
        got += list(rows)
        assert np.concatenate(got).tobytes() == read_results(live_path(tmp_path, "a")).table.tobytes()
        assert client.ended is not None
        assert client.ended.verified
        assert client.ended.digest == file_digest(live_path(tmp_path, "a"))
        assert client.hello is not None
        assert client.hello.name == "a"
        assert client.missing == 0


def test_it_may_go_on_where_it_left_off(server: ServerThread, endpoints: tuple[str, str], tmp_path: Path) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 10)
    with client_of(endpoints) as client:
        first = next(iter(client))
        stopped_at = client.next_row
    commit(server, 5)
    with client_of(endpoints, start=stopped_at) as client:
        rest = iter(client)
        second = next(rest)
        server.do(Server.end)
        both = np.concatenate([first, second, *rest])
    assert both.tobytes() == read_results(live_path(tmp_path, "a")).table.tobytes()


def test_it_may_begin_with_what_comes_now(server: ServerThread, endpoints: tuple[str, str], tmp_path: Path) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 5)
    with ResultsReader(live_path(tmp_path, "a")) as reader:
        before = reader.n_rows
    with client_of(endpoints, start=None) as client:
        client.status()
        while client.hello is None:
            client._turn()
        commit(server, 5)
        server.do(Server.end)
        assert client.table().tobytes() == read_results(live_path(tmp_path, "a")).table[before:].tobytes()


def test_what_a_slow_reader_loses_is_fetched(tmp_path: Path, endpoints: tuple[str, str]) -> None:
    with ServerThread(lambda: Server(tmp_path, *endpoints, high_water_mark=2)) as server:
        server.do(lambda s: s.begin("a"))
        with client_of(endpoints) as client:
            rows = iter(client)
            commit(server, 1)
            got = [next(rows)]
            server.do(lambda s: [s.commit(20, per_frame=100) for _ in range(200)])
            server.do(Server.end)
            got += list(rows)
            assert sum(map(len, got)) > 200_000
            assert client.ended is not None
            assert client.ended.verified


def test_the_next_acquisition_follows(server: ServerThread, endpoints: tuple[str, str], tmp_path: Path) -> None:
    with client_of(endpoints) as client:
        for name in ("a", "b"):
            server.do(lambda s, name=name: s.begin(name))
            commit(server, 3)
            server.do(Server.end)
            assert client.table().tobytes() == read_results(live_path(tmp_path, name)).table.tobytes()
            assert client.acquisition == name


def test_without_a_history_what_is_missing_is_counted(server: ServerThread, endpoints: tuple[str, str]) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 5)
    with connect(endpoints[0], timeout_s=WAIT_S) as client:
        while client.hello is None:
            client._turn()
        commit(server, 5)
        server.do(Server.end)
        rows = client.table()
        assert client.ended is not None
        assert client.missing > 0
        assert client.missing + len(rows) == client.ended.rows
        assert client.ended.verified is None


def test_the_status_is_asked_for_or_heard(server: ServerThread, endpoints: tuple[str, str]) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 2)
    with client_of(endpoints) as client:
        status = client.status()
        assert (status.state, status.acquisition) == ("acquiring", "a")
        assert status.localizations == server.do(lambda s: s.writer.n_rows if s.writer else -1)
        while client.heard_status is None:
            client._turn()


def test_a_refusal_is_told_with_its_reason(server: ServerThread, endpoints: tuple[str, str]) -> None:
    with client_of(endpoints) as client:
        for wish in (client.stop, client.abort, lambda: client.start("cell", 10)):
            with pytest.raises(LocstreamError, match=r"control refused: .* at the control endpoint"):
                wish()


def test_nobody_there_is_told_with_endpoint_and_time(endpoints: tuple[str, str]) -> None:
    with client_of(endpoints, timeout_s=0.3) as client:
        with pytest.raises(LocstreamError, match=r"nothing came from ipc://.*/stream for 0.3 s") as caught:
            next(iter(client))
        assert "0 rows were received" in str(caught.value)
    with client_of(endpoints, timeout_s=0.3) as client, pytest.raises(LocstreamError, match=r"0\.3 s"):
        client.status()


def test_a_service_that_is_idle_is_not_silent(server: ServerThread, endpoints: tuple[str, str], tmp_path: Path) -> None:
    with client_of(endpoints, timeout_s=2.0) as client:
        while server.do(lambda s: len(s.asked)) != 6:  # a sign of life every 0.5 s: longer than silence may last
            client._turn()
            client._link.check()
        client._link.timeout_s = WAIT_S
        server.do(lambda s: s.begin("a"))
        commit(server, 3)
        server.do(Server.end)
        assert client.table().tobytes() == read_results(live_path(tmp_path, "a")).table.tobytes()


def test_an_acquisition_that_is_silent_while_others_are_answered_is_told(
    server: ServerThread, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    server.do(lambda s: s.begin("a"))
    nobody = f"ipc://{tmp_path}/nobody"
    with (
        connect(nobody, control=endpoints[1], timeout_s=1.0) as client,
        pytest.raises(LocstreamError, match=r"nothing came from ipc://.*nobody for 1 s") as caught,
    ):
        next(iter(client))
    assert "control answers (acquiring): is the way to the stream's port open?" in str(caught.value)


def test_all_that_is_said_is_told_in_order(server: ServerThread, endpoints: tuple[str, str], tmp_path: Path) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 3)
    with client_of(endpoints) as client:
        events = client.events()
        told = [next(events)]
        while not any(isinstance(event, Status) for event in told):
            told.append(next(events))
        commit(server, 3)
        server.do(Server.end)
        told += list(events)
        assert client._waiting_event() is None, "nothing follows the end"
    assert isinstance(told[0], Began)
    assert told[0].hello is not None
    assert told[0].hello.name == "a"
    rows = [event for event in told if isinstance(event, Rows)]
    assert [event.row_first for event in rows] == [sum(len(r.table) for r in rows[:i]) for i in range(len(rows))]
    table = read_results(live_path(tmp_path, "a")).table
    assert np.concatenate([event.table for event in rows]).tobytes() == table.tobytes()
    assert isinstance(told[-1], Ended)
    assert told[-1].verified


def test_a_history_that_does_not_answer_is_told(
    server: ServerThread, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 2)
    nobody = f"ipc://{tmp_path}/nobody"
    with connect(endpoints[0], control=endpoints[1], history=nobody, timeout_s=2.0) as client:
        with pytest.raises(LocstreamError, match=r"rows from 0 on are missing, and ipc://.*nobody did not give them"):
            next(iter(client))
        assert client.status().state == "acquiring"


def test_a_history_that_refuses_is_told_with_its_reason(server: ServerThread, endpoints: tuple[str, str]) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 2)
    server.do(lambda s: s.history._known.clear())
    with (
        client_of(endpoints, timeout_s=2.0) as client,
        pytest.raises(LocstreamError, match="no acquisition 'a' is known here"),
    ):
        next(iter(client))


def test_a_stream_alone_cannot_be_asked(endpoints: tuple[str, str]) -> None:
    with connect(endpoints[0]) as client, pytest.raises(LocstreamError, match="needs a control endpoint"):
        client.status()


def test_malformed_messages_are_counted_and_passed_over(
    server: ServerThread, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    server.do(lambda s: s.begin("a"))
    with client_of(endpoints) as client:
        client.status()
        server.do(lambda s: s.xpub.send_multipart([b"localizations", b"\xc1"]))
        server.do(lambda s: s.xpub.send_multipart([b"alone"]))
        commit(server, 3)
        server.do(Server.end)
        assert client.table().tobytes() == read_results(live_path(tmp_path, "a")).table.tobytes()
        assert client._link.rejected == 2


@pytest.fixture
def announced(endpoints: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_pid: int) -> Path:
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / "run"))
    stream, control = endpoints
    return publish_connection(
        Connection(acquisition="id1", name="cell", pid=own_pid, started_s=0.0, control=control, stream=stream)
    )


@pytest.mark.parametrize("how", ["newest", "name", "path", "text"])
def test_it_is_found_by_name_or_connection_file(
    how: str, announced: Path, server: ServerThread, endpoints: tuple[str, str]
) -> None:
    where = {"newest": None, "name": "cell", "path": announced, "text": str(announced)}[how]
    with locstream.connect(where) as client:
        assert client._link.endpoints == (*endpoints, endpoints[1])
        assert client.status().state == "acquiring"


def test_an_endpoint_of_its_own_for_history_is_used(announced: Path) -> None:
    connection = msgspec.json.decode(announced.read_bytes(), type=Connection)
    publish_connection(msgspec.structs.replace(connection, history="ipc:///tmp/other"))
    with connect(announced) as client:
        assert client._link.endpoints.history == "ipc:///tmp/other"


def test_what_is_no_place_to_connect_to_is_told(tmp_path: Path, announced: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for where, why in (
        (tmp_path / "missing.json", r"missing\.json cannot be read"),
        (tmp_path / "broken.json", "not a connection file"),
        ("nothing://there", "'nothing://there' is not an endpoint"),
        ("sell", "no acquisition named 'sell'"),
    ):
        with pytest.raises(LocstreamError, match=why):
            connect(where)
    with pytest.raises(LocstreamError, match="go with the endpoint"):
        connect("cell", control="ipc:///tmp/x")


def test_the_library_that_is_missing_is_named(
    server: ServerThread, endpoints: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pandas", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    server.do(lambda s: s.begin("a"))
    server.do(Server.end)
    with client_of(endpoints) as client:
        server.do(lambda s: s.begin("b"))
        server.do(Server.end)
        with pytest.raises(LocstreamError, match="pandas is not installed"):
            client.to_pandas()


@pytest.mark.parametrize(("library", "method"), [("pandas", "to_pandas"), ("pyarrow", "to_arrow")])
def test_rows_become_tables_of_other_libraries(
    library: str, method: str, server: ServerThread, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    pytest.importorskip(library)
    server.do(lambda s: s.begin("a"))
    with client_of(endpoints) as client:
        client.status()
        commit(server, 3)
        server.do(Server.end)
        table = getattr(client, method)()
    expected = read_results(live_path(tmp_path, "a")).table
    columns = list(table.columns) if library == "pandas" else table.column_names
    assert columns == list(expected.dtype.names or ())
    for name in columns:
        np.testing.assert_array_equal(np.asarray(table[name]), expected[name])


def test_the_asynchronous_client_does_the_same(
    server: ServerThread, endpoints: tuple[str, str], tmp_path: Path
) -> None:
    server.do(lambda s: s.begin("a"))
    commit(server, 10)

    async def go_on() -> None:
        await asyncio.to_thread(commit, server, 10)
        await asyncio.to_thread(server.do, Server.end)

    async def follow() -> list[Localizations]:
        got: list[Localizations] = []
        async with async_client.connect(endpoints[0], control=endpoints[1], timeout_s=WAIT_S) as client:
            assert (await client.status()).state == "acquiring"
            others: asyncio.Task[None] | None = None
            async for rows in client:
                # What comes after the first rows is made by another task: it only comes if the loop goes on.
                others = others or asyncio.create_task(go_on())
                got.append(rows)
            assert others is not None
            await others
            assert client.ended is not None
            assert client.ended.verified
            with pytest.raises(LocstreamError, match="refused"):
                await client.stop()
            with pytest.raises(LocstreamError, match="refused"):
                await client.abort()
            with pytest.raises(LocstreamError, match="refused"):
                await client.start()
        return got

    got = asyncio.run(follow())
    assert np.concatenate(got).tobytes() == read_results(live_path(tmp_path, "a")).table.tobytes()


def test_the_asynchronous_client_names_what_it_waited_for(endpoints: tuple[str, str]) -> None:
    async def follow() -> Localizations:
        async with async_client.connect(endpoints[0], control=endpoints[1], timeout_s=0.3) as client:
            return await client.table()

    with pytest.raises(LocstreamError, match=r"nothing came from ipc://.*/stream for 0.3 s"):
        asyncio.run(follow())


def test_closing_twice_does_no_harm(endpoints: tuple[str, str]) -> None:
    client = client_of(endpoints)
    client.close()
    client.close()
    with pytest.raises(zmq.ZMQError):
        client._link.turn()
