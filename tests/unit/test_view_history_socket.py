"""The history's socket answers a few at a time, drops what it does not understand, and waits for who catches up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from locstream.errors import LocstreamError
from locstream.results.file import ResultsWriter
from locstream.results.layout import final_path, live_path
from locstream.stream.messages import HISTORY_REPLIES, Chunk, Fetch, Reply, Request
from locstream.stream.wire import pack
from locstreamd.view.history import History
from locstreamd.view.history_socket import ANSWERS_A_TURN, MAX_MESSAGE_BYTES, QUIET_S, HistorySocket
from results_example import batch, header


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History()
    live = live_path(tmp_path, "cell")
    with ResultsWriter(live, header()) as writer:
        writer.append(*batch(0, 50))
    history.begin("a1b2", live, final_path(live))
    yield history
    history.close()


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/history"


@pytest.fixture
def served(context: zmq.Context[zmq.Socket[bytes]], history: History, endpoint: str) -> Iterator[HistorySocket]:
    served = HistorySocket(context, history, [endpoint])
    yield served
    served.close()


@pytest.fixture
def dealer(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, served: HistorySocket
) -> Iterator[zmq.Socket[bytes]]:
    with context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(endpoint)
        yield dealer


def answered(dealer: zmq.Socket[bytes]) -> Reply | Chunk:
    assert dealer.poll(60_000)
    return HISTORY_REPLIES.unpack(list(dealer.recv_multipart()))[0]


def arrive(served: HistorySocket) -> None:
    assert served.socket.poll(60_000)


def test_rows_and_refusals_come_back_with_their_id(served: HistorySocket, dealer: zmq.Socket[bytes]) -> None:
    for wish, kind in (
        (Fetch(id=5), Chunk),
        (Fetch(id=6, acquisition="x"), Reply),
        (Request(id=7, verb="stop"), Reply),
    ):
        dealer.send_multipart(pack(wish))
        arrive(served)
        served.answer()
        answer = answered(dealer)
        assert isinstance(answer, kind)
        assert answer.id == wish.id


def test_what_is_no_request_is_counted_and_dropped(served: HistorySocket, dealer: zmq.Socket[bytes]) -> None:
    for parts in ([b""], [b"\xc1"], [b"x", b"y"], [b"\x91" * 10_000], pack(Reply(id=1, ok=True))):
        dealer.send_multipart(parts)
        arrive(served)
        served.answer()
    assert served.rejected == 5
    dealer.send_multipart(pack(Fetch(id=1)))
    arrive(served)
    served.answer()
    assert answered(dealer).id == 1


def test_a_message_that_is_too_long_ends_that_connection_only(
    served: HistorySocket, dealer: zmq.Socket[bytes], context: zmq.Context[zmq.Socket[bytes]], endpoint: str
) -> None:
    with context.socket(zmq.DEALER) as hostile:
        hostile.linger = 0
        hostile.connect(endpoint)
        hostile.send(bytes(MAX_MESSAGE_BYTES + 1))
        dealer.send_multipart(pack(Fetch(id=1)))
        arrive(served)
        served.answer()
        assert answered(dealer).id == 1
    assert served.rejected == 0


def test_a_flood_is_answered_a_few_at_a_time(served: HistorySocket, dealer: zmq.Socket[bytes]) -> None:
    wishes = 3 * ANSWERS_A_TURN
    for number in range(wishes):
        dealer.send_multipart(pack(Fetch(id=number, max_rows=1)))
    deadline = time.monotonic() + 60
    got = 0
    while got < wishes and time.monotonic() < deadline:
        served.answer()
        before = got
        while dealer.poll(50):
            dealer.recv_multipart()
            got += 1
        assert got - before <= ANSWERS_A_TURN
    assert got == wishes


def test_it_knows_whether_somebody_catches_up(
    served: HistorySocket, dealer: zmq.Socket[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.quiet
    dealer.send_multipart(pack(Fetch(id=1, max_rows=1)))
    arrive(served)
    served.answer()
    assert not served.quiet
    later = time.monotonic() + QUIET_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert served.quiet


def test_an_endpoint_that_is_taken_is_told(
    served: HistorySocket, context: zmq.Context[zmq.Socket[bytes]], history: History
) -> None:
    with pytest.raises(LocstreamError, match=r"the history cannot be bound to tcp://256"):
        HistorySocket(context, history, ["tcp://256.0.0.1:1"])
