"""Who is let in, and as what: wrong keys, no keys, plain clients, the revoked, viewers who want to control."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from locstream.errors import LocstreamError
from locstream.results.layout import live_path
from locstream.results.reader import read_results
from locstream.stream.client import Client, connect
from locstream.stream.gate import DOMAINS, Gate, user_of
from locstream.stream.keys import ClientKeys, KeyPair, Keyring, Role, read_client_keys, secure_client
from locstream.stream.messages import HISTORY_REPLIES, Fetch, Reply, Request
from locstream.stream.wire import Buffer, pack
from locstreamd.gatehouse import Gatehouse
from stream_server import ANYWHERE, Server, ServerThread
from waiting import until


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys")


@pytest.fixture
def server(tmp_path: Path, keyring: Keyring) -> Iterator[ServerThread]:
    local = f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"
    keyring.server()
    with ServerThread(lambda: Server(tmp_path, *local, gatehouse=lambda c: Gatehouse(c, keyring))) as server:
        server.do(lambda s: s.begin("a"))
        server.do(lambda s: s.commit())
        yield server


def keys_of(keyring: Keyring, name: str, role: Role = Role.VIEW) -> ClientKeys:
    return read_client_keys(keyring.create_client(name, role))


def client_of(server: ServerThread, keys: ClientKeys | None, timeout_s: float = 20.0) -> Client:
    ends = server.do(lambda s: s.guarded)
    assert isinstance(ends, tuple)
    return connect(ends[0], control=ends[1], history=ends[1], keys=keys, timeout_s=timeout_s)


def refused(server: ServerThread) -> dict[str, int]:
    found = server.do(lambda s: dict(s.refused))
    assert isinstance(found, dict)
    return found


def test_who_is_admitted_watches(server: ServerThread, keyring: Keyring, tmp_path: Path) -> None:
    with client_of(server, keys_of(keyring, "ann")) as client:
        rows = iter(client)
        next(rows)
        assert client.status().acquisition == "a"
        server.do(Server.end)
        assert sum(map(len, rows)) == 0
        assert client.ended is not None
        assert client.ended.verified
    assert len(read_results(live_path(tmp_path, "a")).table) == client.next_row
    assert refused(server) == {}


def test_the_local_endpoints_stay_open_to_who_can_reach_them(server: ServerThread, tmp_path: Path) -> None:
    with connect(f"ipc://{tmp_path}/stream", control=f"ipc://{tmp_path}/control") as client:
        assert len(next(iter(client))) > 0


def test_an_unknown_key_is_refused_and_told(server: ServerThread, keyring: Keyring) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    stranger = ClientKeys("eve", KeyPair(public, secret), keyring.server().public)
    with client_of(server, stranger) as client, pytest.raises(LocstreamError, match="refused this computer's key"):
        next(iter(client))
    assert refused(server)["unknown key"] >= 1


def test_a_client_without_keys_hears_nothing(server: ServerThread) -> None:
    with client_of(server, None, timeout_s=0.5) as client:
        with pytest.raises(LocstreamError, match="nothing came"):
            next(iter(client))
        until(lambda: "handshake" in refused(server))


def test_a_client_that_takes_another_server_for_ours_hears_nothing(server: ServerThread, keyring: Keyring) -> None:
    keys = keys_of(keyring, "ann")
    other = ClientKeys(keys.name, keys.pair, zmq.curve_keypair()[0].decode())
    with client_of(server, other, timeout_s=0.5) as client:
        with pytest.raises(LocstreamError, match="nothing came"):
            next(iter(client))
        until(lambda: "handshake" in refused(server))
    assert "unknown key" not in refused(server)


def test_a_worker_may_not_watch(server: ServerThread, keyring: Keyring) -> None:
    keys = keys_of(keyring, "node1", Role.WORK)
    with client_of(server, keys) as client, pytest.raises(LocstreamError, match="refused this computer's key"):
        next(iter(client))
    assert refused(server)["role"] >= 1


def test_one_who_was_revoked_before_is_refused(server: ServerThread, keyring: Keyring) -> None:
    keys = keys_of(keyring, "ann")
    keyring.revoke("ann")
    with client_of(server, keys) as client, pytest.raises(LocstreamError, match="refused this computer's key"):
        next(iter(client))
    assert refused(server)["unknown key"] >= 1


def test_one_who_is_revoked_is_cut_off_and_the_others_lose_nothing(
    server: ServerThread, keyring: Keyring, tmp_path: Path
) -> None:
    ann, bob = keys_of(keyring, "ann"), keys_of(keyring, "bob")
    with client_of(server, ann) as leaving, client_of(server, bob) as staying:
        rows = iter(staying)
        got = [next(rows)]
        next(iter(leaving))
        keyring.revoke("ann")
        until(lambda: "unknown key" in refused(server))
        server.do(lambda s: [s.commit() for _ in range(20)])
        server.do(Server.end)
        got += list(rows)
        with pytest.raises(LocstreamError, match="refused this computer's key"):
            list(leaving)
    assert b"".join(table.tobytes() for table in got) == read_results(live_path(tmp_path, "a")).table.tobytes()
    assert staying.ended is not None
    assert staying.ended.verified


def test_who_may_ask_for_what(keyring: Keyring) -> None:
    with zmq.Context() as context, Gate(context, keyring) as gate:
        keyring.create_client("ann", Role.VIEW)
        keyring.create_client("bob", Role.CONTROL)
        keyring.create_client("node1", Role.WORK)
        for verb in ("start", "stop", "abort", "anything new"):
            assert [not gate.why_not(user, verb) for user in ("ann", "bob", "node1", "eve", None)] == [
                False, True, False, False, True,
            ]  # fmt: skip
        assert [not gate.why_not(user, "status") for user in ("ann", "bob", "node1", "eve", None)] == [
            True, True, False, False, True,
        ]  # fmt: skip
        keyring.revoke("bob")
        assert gate.why_not("ann", "stop") == "ann is admitted with the role view; stop needs control"
        assert gate.why_not("ann", "work") == "ann is admitted with the role view; work needs work"
        assert gate.why_not("node1", "status") == "node1 is admitted with the role work; status needs control or view"
        assert gate.why_not("bob", "status") == "bob is admitted no longer"


class Control:
    """A guarded control socket that says who asks, as the daemon's would."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], gate: Gate, local: str) -> None:
        self.gate = gate
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(local)
        gate.guard(self.socket, "control")
        self.socket.bind(ANYWHERE)
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def answer(self) -> str | None:
        """Answer one request by what its sender may; return the sender's name."""
        assert self.socket.poll(10_000)
        identity, frame = self.socket.recv_multipart(copy=False)
        user = user_of(frame)
        reply = Reply(id=1, ok=not self.gate.why_not(user, "stop"))
        self.socket.send_multipart([identity.bytes, *pack(reply)])
        return user


@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEW, False), (Role.CONTROL, True), (None, True)])
def test_the_name_comes_with_every_message(keyring: Keyring, tmp_path: Path, role: Role | None, allowed: bool) -> None:
    local = f"ipc://{tmp_path}/control"
    with zmq.Context() as context, zmq.Context() as outside, Gate(context, keyring) as gate:
        control = Control(context, gate, local)
        gate.start()
        keys = None if role is None else keys_of(keyring, "ann", role)
        with outside.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            if keys is not None:
                secure_client(dealer, keys)
            dealer.connect(local if keys is None else control.endpoint)
            for still in (True, False):
                dealer.send_multipart(pack(Request(id=1, verb="stop")))
                assert control.answer() == (None if keys is None else "ann")
                assert dealer.poll(10_000)
                reply, _ = HISTORY_REPLIES.unpack(list(dealer.recv_multipart()))
                assert isinstance(reply, Reply)
                assert reply.ok == (allowed and (still or keys is None))
                if still and keys is not None:
                    keyring.revoke("ann")  # and the connection stays: the next message is refused all the same
        control.socket.close()


def test_a_changed_role_takes_effect_on_a_live_connection(server: ServerThread, keyring: Keyring) -> None:
    keys = keys_of(keyring, "ann")
    with client_of(server, keys) as client:
        next(iter(client))
        keyring.admit("ann", keys.pair.public, Role.WORK)
        with pytest.raises(LocstreamError, match="refused"):
            list(client)


def test_one_who_may_not_is_refused_history_at_the_socket(server: ServerThread, keyring: Keyring) -> None:
    keys = keys_of(keyring, "ann")

    def ask(s: Server) -> list[Buffer]:
        return s.router._answer("eve", [zmq.Frame(part) for part in pack(Fetch(id=9))])

    reply, _ = HISTORY_REPLIES.unpack(server.do(ask))
    assert isinstance(reply, Reply)
    assert (reply.id, reply.ok, reply.message) == (9, False, "eve is admitted no longer")
    assert keys.name in keyring.admitted()


def test_a_request_that_is_not_curve_is_refused(keyring: Keyring) -> None:
    with zmq.Context() as context, Gate(context, keyring) as gate:
        for mechanism, credentials in ((b"NULL", []), (b"PLAIN", [b"u", b"p"]), (b"CURVE", []), (b"CURVE", [b"short"])):
            answer = gate._answer([b"1.0", b"7", b"stream", b"127.0.0.1", b"", mechanism, *credentials])
            assert answer[:3] == [b"1.0", b"7", b"400"]
        assert gate.refused == {"mechanism": 4}


def test_an_unknown_kind_of_socket_cannot_be_guarded(keyring: Keyring) -> None:
    with zmq.Context() as context, Gate(context, keyring) as gate, context.socket(zmq.ROUTER) as socket:
        with pytest.raises(ValueError, match="'door' is none of"):
            gate.guard(socket, "door")
        assert set(DOMAINS) == {"stream", "history", "control", "work"}
