"""What is published arrives; what is lost is counted; the last message is read before the socket closes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from locstream.errors import LocstreamError
from locstream.localizations import empty
from locstream.stream.messages import Batch, End, Hello
from locstream.stream.subscriber import Subscriber
from locstreamd.view.publish import Publisher

HELLO = Hello(
    acquisition="a1", seq=0, name="cell", software="test", width=5, height=4, pixel_size_nm=100.0, started_s=0.0
)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/stream"


@pytest.fixture
def publisher(endpoint: str) -> Iterator[Publisher]:
    with zmq.Context() as context:
        publisher = Publisher(context, [endpoint], high_water_mark=100)
        publisher.begin(HELLO)
        yield publisher
        publisher.close()


def greet(publisher: Publisher, subscriber: Subscriber) -> None:
    """Let the publisher hear of a subscriber, as its loop would."""
    while publisher.subscribers == 0:
        publisher.socket.poll(100)
        publisher.tend()
    subscriber.wait_for_hello(5)


def rows(n: int) -> np.ndarray:
    table = empty(n)
    table["x_nm"] = np.arange(n)
    return table


def test_a_subscriber_is_told_first_what_it_gets(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        assert subscriber.hello == HELLO
        publisher.batch(rows(3), 0, 1)
        publisher.batch(rows(2), 2, 2)
        received = [subscriber.receive(5) for _ in range(2)]
    batches = [r for r in received if r is not None]
    assert [b[0].seq for b in batches] == [0, 1]
    assert isinstance(batches[1][0], Batch)
    assert batches[1][0].row_first == 3
    np.testing.assert_array_equal(batches[0][1], rows(3))
    assert subscriber.lost == 0


def test_a_late_subscriber_begins_where_it_joins(publisher: Publisher, endpoint: str) -> None:
    publisher.batch(rows(3), 0, 1)
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        assert subscriber.hello is not None
        assert subscriber.hello.seq == 1
        publisher.batch(rows(1), 2, 2)
        received = subscriber.receive(5)
    assert received is not None
    assert received[0].seq == 1
    assert subscriber.lost == 0


def test_lost_messages_are_counted(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        publisher.batch(rows(1), 0, 0)
        publisher._take_seq()
        publisher._take_seq()
        publisher.batch(rows(1), 3, 3)
        for _ in range(2):
            assert subscriber.receive(5) is not None
    assert subscriber.lost == 2


def test_malformed_messages_are_counted_and_passed_over(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        publisher.socket.send_multipart([b"localizations", b"\xc1\xc1"])
        publisher.socket.send_multipart([b"alone"])
        publisher.batch(rows(1), 0, 0)
        received = subscriber.receive(5)
    assert received is not None
    assert isinstance(received[0], Batch)
    assert subscriber.rejected == 2


def test_the_last_message_is_read_before_the_socket_closes(publisher: Publisher, endpoint: str) -> None:
    seen: list[int] = []

    def follow() -> None:
        with Subscriber(endpoint) as subscriber:
            while (received := subscriber.receive(5)) is not None:
                seen.append(len(received[1]))
                if isinstance(received[0], End):
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    while publisher.subscribers == 0:
        publisher.socket.poll(100)
        publisher.tend()
    for i in range(80):
        publisher.batch(rows(100), i, i)
    publisher.end("complete", 80, "")
    assert publisher.subscribers == 0
    thread.join(5)
    assert not thread.is_alive()
    assert sum(seen) == 8000


def test_a_subscriber_that_never_reads_does_not_hold_the_publisher(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        for i in range(5000):
            publisher.batch(rows(200), i, i)
        received = 0
        while (message := subscriber.receive(0.2)) is not None:
            received += 1
            last = message[0].seq
    assert received < 5000
    assert subscriber.lost > 0
    assert received + subscriber.lost == last + 1


def test_nobody_there_is_said_with_endpoint_and_time(endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber, pytest.raises(LocstreamError, match=r"ipc://.*within 0.2 s"):
        subscriber.wait_for_hello(0.2)


def test_the_next_acquisition_is_numbered_from_zero_and_loses_nothing(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        publisher.batch(rows(1), 0, 0)
        publisher._take_seq()
        publisher.begin(msgspec.structs.replace(HELLO, acquisition="a2"))
        publisher.batch(rows(2), 0, 0)
        received = [subscriber.receive(5) for _ in range(3)]
    messages = [r[0] for r in received if r is not None]
    assert [m.acquisition for m in messages] == ["a1", "a2", "a2"]
    assert [m.seq for m in messages] == [0, 0, 0]
    assert subscriber.lost == 0


def test_between_acquisitions_nobody_is_greeted(endpoint: str) -> None:
    with zmq.Context() as context:
        idle = Publisher(context, [endpoint], high_water_mark=10)
        with Subscriber(endpoint) as subscriber:
            while idle.subscribers == 0:
                idle.socket.poll(100)
                idle.tend()
            assert subscriber.receive(0.2) is None
        idle.close()
