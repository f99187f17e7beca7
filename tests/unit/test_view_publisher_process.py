"""What the publisher's process does with its orders, and with bytes that are none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

import stream_examples
from keyed_run import free_ports
from locstream.errors import LocstreamError, MessageError
from locstream.localizations import LOCALIZATION
from locstream.stream.client import connect
from locstream.stream.endpoints import port_after
from locstream.stream.gate import Refusal
from locstream.stream.keys import ClientKeys, Keyring
from locstream.stream.messages import TOPIC_LOCALIZATIONS, Batch
from locstream.stream.wire import pack
from locstreamd.view.link import (
    REPORTS,
    Close,
    Greet,
    Here,
    Order,
    Report,
    Send,
    Serve,
    Serving,
    Subscribers,
    TurnedAway,
)
from locstreamd.view.outlet import Outlet
from locstreamd.view.publisher_process import Office, serve
from own_keys import keys_of
from raw_subscriber import Subscriber

HELLO = msgspec.structs.replace(stream_examples.HELLO, seq=7)


class Process:
    """The publisher in a thread, and the acquisition's end of its link."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], parent: int) -> None:
        self.error: BaseException | None = None
        self.link = context.socket(zmq.PAIR)
        self.link.bind("inproc://link")
        self._other = context.socket(zmq.PAIR)
        self._other.linger = 0
        self._other.connect("inproc://link")
        self._thread = threading.Thread(target=self._run, args=(context, parent))
        self._thread.start()

    def _run(self, context: zmq.Context[zmq.Socket[bytes]], parent: int) -> None:
        try:
            serve(self._other, Office(self._other, context), parent)
        except LocstreamError as error:
            self.error = error

    def tell(self, order: Order, *buffers: bytes) -> None:
        self.link.send_multipart(pack(order, *buffers))

    def hear(self) -> Report:
        assert self.link.poll(60_000)
        return REPORTS.unpack(self.link.recv_multipart())[0]

    def wait(self) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def end(self) -> None:
        if self._thread.is_alive():  # as after a test that failed: it would be waited for when all tests are done
            self.tell(Close())
        self.wait()
        self.link.close(linger=0)
        self._other.close()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


@pytest.fixture
def process(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[Process]:
    process = Process(context, os.getppid())
    assert process.hear() == Here()
    yield process
    process.end()


def test_it_greets_who_comes_and_sends_what_it_is_told(process: Process, endpoint: str) -> None:
    process.tell(Serve(endpoints=(endpoint,), high_water_mark=10))
    assert process.hear() == Serving()
    process.tell(Greet(hello=HELLO))
    with Subscriber(endpoint) as subscriber:
        assert process.hear() == Subscribers(count=1)
        assert subscriber.wait_for_hello() == HELLO
        batch = Batch(acquisition="a1", seq=7, frame_first=0, frame_last=0, row_first=0, rows=0)
        process.tell(Send(seq=7), TOPIC_LOCALIZATIONS, *pack(batch, b""))
        received = subscriber.receive(60)
        assert received is not None
        assert received[0] == batch
        with Subscriber(endpoint) as late:
            assert process.hear() == Subscribers(count=2)
            assert late.wait_for_hello().seq == 8, "the number of the next message"
        assert process.hear() == Subscribers(count=1)
    assert process.hear() == Subscribers(count=0)


def test_once_nothing_comes_nobody_is_greeted(process: Process, endpoint: str) -> None:
    process.tell(Serve(endpoints=(endpoint,), high_water_mark=10))
    process.tell(Greet(hello=HELLO))
    assert process.hear() == Serving()
    batch = Batch(acquisition="a1", seq=7, frame_first=0, frame_last=0, row_first=0, rows=0)
    with Subscriber(endpoint) as early:
        assert process.hear() == Subscribers(count=1)
        early.wait_for_hello()
        process.tell(Greet(hello=None))
        process.tell(Send(seq=7), TOPIC_LOCALIZATIONS, *pack(batch, b""))
        assert early.receive(60) is not None, "what was ordered before it is done, too"
        with Subscriber(endpoint) as late:
            assert process.hear() == Subscribers(count=2)
            process.tell(Send(seq=8), TOPIC_LOCALIZATIONS, *pack(msgspec.structs.replace(batch, seq=8), b""))
            first = late.receive(60)
            assert first is not None
            assert isinstance(first[0], Batch)


def test_without_a_parent_it_ends(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    process = Process(context, parent=1 if os.getppid() != 1 else 2)
    assert process.hear() == Here()
    process.wait()
    process.end()
    assert process.error is None


@pytest.mark.parametrize("order", [Greet(hello=HELLO), Send(seq=0)])
def test_an_order_before_its_time_ends_it(process: Process, order: Order) -> None:
    process.tell(order)
    process.wait()
    assert isinstance(process.error, MessageError)
    assert "out of turn" in process.error.what


def test_an_endpoint_in_use_names_itself(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with context.socket(zmq.PUB) as other:
        other.linger = 0
        port = other.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(LocstreamError, match=rf"127\.0\.0\.1:{port}.*in use"):
            Outlet(context, (f"tcp://127.0.0.1:{port}",), 10)


# --- for those who have a key


@pytest.fixture
def keys(keyring: Keyring) -> ClientKeys:
    return keys_of(keyring, "ann")


def reports(process: Process, until: Callable[[Report], bool]) -> list[Report]:
    """Return what the process says up to something that must come."""
    found: list[Report] = []
    while not found or not until(found[-1]):
        found.append(process.hear())
    return found


def test_who_has_a_key_hears_all_but_the_folder(process: Process, endpoint: str, keys: ClientKeys) -> None:
    guarded = f"tcp://127.0.0.1:{free_ports(2)}"
    process.tell(Serve(endpoints=(endpoint,), high_water_mark=10, guarded=(guarded, port_after(guarded, 1) or "")))
    assert process.hear() == Serving()
    process.tell(Greet(hello=msgspec.structs.replace(HELLO, folder="/data/patient")))
    with Subscriber(endpoint) as local, connect(guarded, keys=keys, start=None, timeout_s=60) as client:
        assert reports(process, lambda report: report == Subscribers(count=2))
        assert local.wait_for_hello().folder == "/data/patient"
        batch = Batch(acquisition="a1", seq=7, frame_first=0, frame_last=0, row_first=0, rows=1)
        process.tell(Send(seq=7), TOPIC_LOCALIZATIONS, *pack(batch, bytes(LOCALIZATION.itemsize)))
        assert len(next(iter(client))) == 1
        assert client.hello is not None
        assert (client.hello.name, client.hello.folder) == (HELLO.name, "")


def test_who_is_turned_away_is_reported(process: Process, endpoint: str, keyring: Keyring, keys: ClientKeys) -> None:
    guarded = f"tcp://127.0.0.1:{free_ports(2)}"
    process.tell(Serve(endpoints=(endpoint,), high_water_mark=10, guarded=(guarded, port_after(guarded, 1) or "")))
    assert process.hear() == Serving()
    keyring.revoke("ann")
    with connect(guarded, keys=keys, timeout_s=60) as client, pytest.raises(LocstreamError, match="refused"):
        next(iter(client))
    *_, last = reports(process, lambda report: isinstance(report, TurnedAway))
    assert isinstance(last, TurnedAway)
    assert {refusal for refusal, _ in last.refusals} <= {
        Refusal("stream", "unknown key", "127.0.0.1"),
        Refusal("history", "unknown key", "127.0.0.1"),
    }


def test_without_a_server_key_it_says_so_and_ends(
    process: Process, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(tmp_path / "none"))
    process.tell(Serve(endpoints=(endpoint,), high_water_mark=10, guarded=("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")))
    process.wait()
    assert "`locstream keys server`" in str(process.error)


def test_what_is_no_subscription_is_counted_and_is_nobody_who_leaves(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str
) -> None:
    outlet = Outlet(context, (endpoint,), 10)
    with context.socket(zmq.XSUB) as subscriber:
        subscriber.linger = 0
        subscriber.connect(endpoint)
        for event in (b"\x01", b"\x05nonsense", b"nonsense"):
            subscriber.send(event)
        deadline = time.monotonic() + 60
        while outlet.rejected < 2:
            assert time.monotonic() < deadline
            outlet.tend()
        assert outlet.subscribers == 1
    outlet.socket.close(linger=0)


def test_who_subscribes_to_much_is_greeted_once(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
    outlet = Outlet(context, (endpoint,), 1_000)
    outlet.greet(HELLO)
    with context.socket(zmq.SUB) as subscriber:
        subscriber.linger = 0
        subscriber.subscribe(b"hello")
        for number in range(50):
            subscriber.subscribe(b"%d" % number)
        subscriber.connect(endpoint)
        deadline, turns = time.monotonic() + 60, 0
        while outlet.subscribers < 51:
            assert time.monotonic() < deadline
            turns += outlet.tend()
        heard = 0
        while subscriber.poll(200):
            subscriber.recv_multipart()
            heard += 1
        assert 0 < heard <= turns
    outlet.socket.close(linger=0)
