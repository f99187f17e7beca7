"""The control socket: who asks, whether they may, and what is not for other computers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import pytest
import zmq

import stream_examples
from locstream.errors import LocstreamError
from locstream.stream.control import ask, control_endpoint
from locstream.stream.keys import Keyring, Role
from locstream.stream.messages import Reply, Request
from locstream.stream.wire import pack
from locstreamd.gatehouse import Gatehouse
from locstreamd.service.control import ANSWERS_A_TURN, MAX_MESSAGE_BYTES, ControlSocket
from own_keys import keys_of
from stream_examples import STATUS

HELLO = msgspec.structs.replace(stream_examples.HELLO, folder="/data/patient")


class Desk:
    """A control socket that is looked after in a thread; use it as a context manager."""

    def __init__(self, keyring: Keyring, local: str) -> None:
        self.asked: list[str] = []
        self.refused: list[str] = []
        self._context = zmq.Context()
        self._gatehouse = Gatehouse(self._context, keyring)
        self.control = ControlSocket(self._context, local, self._gatehouse)
        self._gatehouse.listen(self.control.socket, "control", "tcp://127.0.0.1:*")
        (self.endpoint,) = self._gatehouse.endpoints(self.control.socket)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.control.socket.poll(10)
            self.control.answer(self._reply)
            self._gatehouse.tend()
            self.refused += [refusal.who for refusal in self._gatehouse.take_refusals()]

    def _reply(self, request: Request) -> Reply:
        self.asked.append(request.verb)
        return Reply(id=request.id, ok=True, message="done", status=STATUS, hello=HELLO)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.control.close()
        self.control.close()  # twice does no harm
        self._gatehouse.close()
        self._context.term()


@pytest.fixture
def local(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/control"


@pytest.fixture
def desk(keyring: Keyring, local: str) -> Iterator[Desk]:
    with Desk(keyring, local) as desk:
        yield desk


@pytest.mark.parametrize("verb", ["status", "start", "stop", "abort", "dance"])
def test_the_local_user_may_all_and_learns_the_folder(desk: Desk, local: str, verb: str) -> None:
    assert ask(local, verb, timeout_s=60).hello == HELLO
    assert desk.asked == [verb]


def test_who_controls_from_elsewhere_may_all_and_does_not_learn_the_folder(desk: Desk, keyring: Keyring) -> None:
    bob = keys_of(keyring, "bob", Role.CONTROL)
    for verb in ("status", "stop", "abort"):
        reply = ask(desk.endpoint, verb, timeout_s=60, keys=bob)
        assert reply.hello is not None
        assert (reply.hello.name, reply.hello.folder) == ("cell", "")
        assert reply.status == STATUS
    assert desk.asked == ["status", "stop", "abort"]


def test_a_viewer_may_ask_for_the_status_alone_and_is_told_why(desk: Desk, keyring: Keyring) -> None:
    ann = keys_of(keyring, "ann", Role.VIEW)
    assert ask(desk.endpoint, "status", timeout_s=60, keys=ann).ok
    for verb in ("start", "stop", "abort", "dance"):
        with pytest.raises(LocstreamError, match=f"refused '{verb}': ann is admitted with the role view; {verb} needs"):
            ask(desk.endpoint, verb, timeout_s=60, keys=ann)
    assert desk.asked == ["status"]
    assert set(desk.refused) == {"ann"}


def test_a_worker_may_not_even_connect(desk: Desk, keyring: Keyring) -> None:
    node = keys_of(keyring, "node1", Role.WORK)
    with pytest.raises(LocstreamError, match="refused this computer's key"):
        ask(desk.endpoint, "status", timeout_s=60, keys=node)
    assert desk.asked == []


def test_without_keys_nobody_answers(desk: Desk) -> None:
    with pytest.raises(LocstreamError, match=r"did not answer 'stop' within 0.3 s[\s\S]*only those who have a key"):
        ask(desk.endpoint, "stop", timeout_s=0.3)
    assert desk.asked == []


def test_what_is_no_endpoint_is_told(keyring: Keyring) -> None:
    with pytest.raises(LocstreamError, match="'tcp://nowhere' is not an endpoint"):
        ask("tcp://nowhere", "status", keys=keys_of(keyring, "ann", Role.VIEW))


def test_nonsense_is_counted_and_a_flood_answered_a_few_at_a_time(keyring: Keyring, local: str) -> None:
    with zmq.Context() as context:
        gatehouse = Gatehouse(context, keyring)
        control = ControlSocket(context, local, gatehouse)
        asked = 0

        def reply(request: Request) -> Reply:
            nonlocal asked
            asked += 1
            return Reply(id=request.id, ok=True)

        with context.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(local)
            for parts in ([b""], [b"\xc1"], [b"x", b"y"], [bytes(MAX_MESSAGE_BYTES - 1)]):
                dealer.send_multipart(parts)
            for number in range(2 * ANSWERS_A_TURN):
                dealer.send_multipart(pack(Request(id=number, verb="status")))
            turns = 0
            while asked < 2 * ANSWERS_A_TURN:
                assert control.socket.poll(60_000)
                before = asked
                control.answer(reply)
                assert asked - before <= ANSWERS_A_TURN
                turns += 1
            assert control.rejected == 4
            assert turns >= 3
        control.close()


def test_where_requests_are_answered(keyring: Keyring) -> None:
    ann = keys_of(keyring, "ann", Role.VIEW)
    assert control_endpoint("tcp://microscope:5577", ann) == "tcp://microscope:5579"
    assert control_endpoint("tcp://[fe80::1]:5577", ann) == "tcp://[fe80::1]:5579"
    with pytest.raises(LocstreamError, match="gives the stream alone"):
        control_endpoint("tcp://microscope:5577")
    with pytest.raises(LocstreamError, match="gives the stream alone"):
        control_endpoint("ipc:///tmp/stream", ann)
