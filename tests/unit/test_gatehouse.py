"""Sockets that ask for keys, one after another and while they run: who is in, who is cut off, who else is not hurt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from knocking import Knocking
from locstream.errors import ConfigError, LocstreamError
from locstream.stream.gate import KINDS, Gate, Refusal, heard
from locstream.stream.keys import ClientKeys, Keyring, Role, secure_client
from locstreamd import gatehouse as module
from locstreamd.gatehouse import Gatehouse
from own_keys import keys_of
from waiting import until

ANYWHERE = "tcp://127.0.0.1:*"
Socket = zmq.Socket[bytes]


@pytest.fixture
def context() -> Iterator[zmq.Context[Socket]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def outside() -> Iterator[zmq.Context[Socket]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def gatehouse(context: zmq.Context[Socket], keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gatehouse]:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    gatehouse = Gatehouse(context, keyring)
    yield gatehouse
    gatehouse.close()


@pytest.fixture
def router(context: zmq.Context[Socket], gatehouse: Gatehouse) -> Iterator[Socket]:
    with context.socket(zmq.ROUTER) as router:
        router.linger = 0
        yield router
        gatehouse.release(router)


def dealer(outside: zmq.Context[Socket], endpoint: str, keys: ClientKeys | None = None) -> Socket:
    dealer = outside.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.sndtimeo = 60_000
    if keys is not None:
        secure_client(dealer, keys)
    dealer.connect(endpoint)
    return dealer


def offer(client: Socket) -> bool:
    """Send where there is a line: one who was refused has none any more, and would wait for it for ever."""
    return bool(client.poll(0, zmq.POLLOUT)) and client.send(b"again", zmq.DONTWAIT) is None


def first_heard(router: Socket) -> tuple[str | None, list[bytes]]:
    assert router.poll(60_000)
    ((user, frames),) = heard(router)
    return user, [frame.bytes for frame in frames[1:]]


def test_until_something_listens_it_asks_nobody_for_anything(context: zmq.Context[Socket], tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "none")
    gatehouse = Gatehouse(context, keyring)
    gatehouse.tend()
    assert gatehouse.refuse("work", None, "work") == ""
    assert gatehouse.take_refusals() == {}
    assert gatehouse.take_gone("work") == set()
    gatehouse.close()
    gatehouse.close()


def test_without_a_server_key_it_names_the_command_and_makes_none(context: zmq.Context[Socket], tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "none")
    gatehouse = Gatehouse(context, keyring)
    with context.socket(zmq.ROUTER) as router, pytest.raises(ConfigError, match="`locstream keys server` makes it"):
        gatehouse.listen(router, "control", ANYWHERE)
    assert not keyring.has_server
    gatehouse.close()


def test_what_was_bound_before_stays_open_and_what_comes_after_asks(
    gatehouse: Gatehouse, router: Socket, outside: zmq.Context[Socket], keyring: Keyring, tmp_path: Path
) -> None:
    router.bind(f"ipc://{tmp_path}/s")
    gatehouse.listen(router, "control", ANYWHERE)
    (endpoint,) = gatehouse.endpoints(router)
    keys = keys_of(keyring, "ann", Role.CONTROL)
    for connect, user in (
        (lambda: dealer(outside, f"ipc://{tmp_path}/s"), None),
        (lambda: dealer(outside, endpoint, keys), "ann"),
    ):
        with connect() as client:
            client.send_multipart([b"a", b"b"])
            assert first_heard(router) == (user, [b"a", b"b"])


def test_one_socket_after_another_may_ask_on_the_same_port(
    gatehouse: Gatehouse, context: zmq.Context[Socket], outside: zmq.Context[Socket], keyring: Keyring
) -> None:
    keys, endpoint = keys_of(keyring, "node1", Role.WORK), ANYWHERE
    for number in range(3):
        with context.socket(zmq.ROUTER) as router:
            router.linger = 0
            gatehouse.listen(router, "work", endpoint)
            (endpoint,) = gatehouse.endpoints(router)
            with dealer(outside, endpoint, keys) as client:
                client.send(bytes([number]))
                assert first_heard(router) == ("node1", [bytes([number])])
            gatehouse.release(router)
            assert gatehouse.endpoints(router) == set()
    until(lambda: gatehouse._gate is not None and not gatehouse._gate._monitors)


def test_a_port_that_is_taken_is_told(gatehouse: Gatehouse, router: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BIND_S", 0.05)
    with zmq.Context() as other, other.socket(zmq.PUB) as holder:
        port = holder.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(LocstreamError, match=rf"control socket cannot be bound to tcp://127\.0\.0\.1:{port}"):
            gatehouse.listen(router, "control", f"tcp://127.0.0.1:{port}")
    assert gatehouse.endpoints(router) == set()


def test_who_is_revoked_is_cut_off_from_where_they_were_and_the_others_come_back(
    gatehouse: Gatehouse, context: zmq.Context[Socket], outside: zmq.Context[Socket], keyring: Keyring
) -> None:
    ann, bob = (keys_of(keyring, name, Role.CONTROL) for name in ("ann", "bob"))
    node = keys_of(keyring, "node1", Role.WORK)
    with context.socket(zmq.ROUTER) as control, context.socket(zmq.ROUTER) as work:
        for router, domain in ((control, "control"), (work, "work")):
            router.linger = 0
            gatehouse.listen(router, domain, ANYWHERE)
        (to_control,), (to_work,) = gatehouse.endpoints(control), gatehouse.endpoints(work)
        with (
            dealer(outside, to_control, ann) as leaving,
            dealer(outside, to_control, bob) as staying,
            dealer(outside, to_work, node) as working,
        ):
            for client, name, router in (
                (leaving, "ann", control),
                (staying, "bob", control),
                (working, "node1", work),
            ):
                client.send(b"here")
                assert first_heard(router) == (name, [b"here"])
            keyring.revoke("ann")
            until(lambda: [gatehouse.tend(), gatehouse.take_gone("control")][1] == {"ann"})
            assert gatehouse.take_gone("work") == set()
            until(lambda: [gatehouse.tend(), not gatehouse._doors[control].shut][1])
            # what is sent before the cut is noticed is lost
            until(lambda: [offer(staying), offer(leaving), control.poll(100)][2])
            until(lambda: gatehouse._gate is not None and gatehouse._gate.refused["unknown key"])
            assert {user for user, _ in heard(control)} == {"bob"}
            working.send(b"still")
            assert first_heard(work) == ("node1", [b"still"])
        for router in (control, work):
            gatehouse.release(router)


def test_a_port_that_somebody_else_takes_meanwhile_is_waited_for_without_waiting(
    gatehouse: Gatehouse, router: Socket, outside: zmq.Context[Socket], keyring: Keyring
) -> None:
    bob = keys_of(keyring, "bob", Role.CONTROL)
    gatehouse.listen(router, "control", ANYWHERE)
    (endpoint,) = gatehouse.endpoints(router)
    with dealer(outside, endpoint, bob) as client:
        client.send(b"here")
        first_heard(router)
        keyring.admit("bob", bob.pair.public, Role.VIEW)  # may still connect to the control
        gatehouse.tend()
        assert gatehouse.take_gone("control") == set()
        keyring.admit("bob", bob.pair.public, Role.WORK)  # may not
        gatehouse.tend()
        assert gatehouse.take_gone("control") == {"bob"}
    with outside.socket(zmq.PUB) as thief:
        thief.linger = 0

        def stolen() -> bool:
            try:
                thief.bind(endpoint)
            except zmq.ZMQError:
                return False
            return True

        until(stolen)
        for _ in range(3):
            gatehouse.tend()
        assert gatehouse._doors[router].shut == {endpoint}
        assert gatehouse.endpoints(router) == {endpoint}
    until(lambda: [gatehouse.tend(), gatehouse._doors[router].open][1] == {endpoint})


def test_refusals_say_who_as_far_as_is_known(
    gatehouse: Gatehouse, router: Socket, outside: zmq.Context[Socket], keyring: Keyring
) -> None:
    gatehouse.listen(router, "control", ANYWHERE)
    (endpoint,) = gatehouse.endpoints(router)
    node, eve = keys_of(keyring, "node1", Role.WORK), keys_of(keyring, "eve", Role.VIEW)
    keyring.revoke("eve")
    found: dict[Refusal, int] = {}
    with dealer(outside, endpoint, node), dealer(outside, endpoint, eve), dealer(outside, endpoint):

        def complete() -> bool:
            for refusal, count in gatehouse.take_refusals().items():
                found[refusal] = found.get(refusal, 0) + count
            return {"role", "unknown key", "handshake"} == {refusal.reason for refusal in found}

        until(complete)
    assert found[Refusal("control", "role", "node1 at 127.0.0.1")] >= 1
    assert found[Refusal("control", "unknown key", "127.0.0.1")] >= 1
    assert found[Refusal("control", "handshake", "")] >= 1


def test_a_flood_of_refusals_is_counted_in_bounded_memory(context: zmq.Context[Socket], keyring: Keyring) -> None:
    with Gate(context, keyring) as gate:
        for number in range(1_000):
            gate.count(Refusal("stream", "unknown key", f"10.0.0.{number}"))
        assert gate.refused == {"unknown key": 1_000}
        found = gate.take_refusals()
    assert found.total() == 1_000
    assert len(found) == KINDS + 1
    assert found[Refusal("stream", "unknown key", "others")] == 1_000 - KINDS


def test_one_who_keeps_knocking_holds_up_nobody(
    gatehouse: Gatehouse, router: Socket, outside: zmq.Context[Socket], keyring: Keyring
) -> None:
    gatehouse.listen(router, "control", ANYWHERE)
    (endpoint,) = gatehouse.endpoints(router)
    ann = keys_of(keyring, "ann", Role.CONTROL)
    with Knocking(endpoint):
        until(lambda: gatehouse._gate is not None and gatehouse._gate.refused["handshake"] > 100)
        with dealer(outside, endpoint, ann) as client:
            client.send(b"here")
            assert first_heard(router) == ("ann", [b"here"])


def test_it_ends_while_somebody_still_knocks(
    context: zmq.Context[Socket], outside: zmq.Context[Socket], keyring: Keyring
) -> None:
    """libzmq's own thread waits for the reader of a monitor: it must not be left without one."""
    gatehouse = Gatehouse(context, keyring)
    with context.socket(zmq.ROUTER) as router:
        router.linger = 0
        gatehouse.listen(router, "control", ANYWHERE)
        (endpoint,) = gatehouse.endpoints(router)
        with Knocking(endpoint):
            until(lambda: gatehouse._gate is not None and gatehouse._gate.refused["handshake"] > 10)
            gatehouse.close()
            with context.socket(zmq.PULL) as pull, outside.socket(zmq.PUSH) as push:
                push.linger = 0
                port = pull.bind_to_random_port("tcp://127.0.0.1")
                push.connect(f"tcp://127.0.0.1:{port}")
                push.send(b"alive")
                assert pull.poll(60_000), "the context is stuck"
