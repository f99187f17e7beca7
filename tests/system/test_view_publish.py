"""Publishing through a process that is stopped and killed: what is lost is counted, and nobody waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import psutil
import pytest
import zmq

from child_processes import PUBLISHER, children
from locstream.errors import LocstreamError
from locstream.localizations import empty
from locstream.stream.messages import Batch, End, Hello, Published
from locstreamd.view import publish
from locstreamd.view.link import LINK_MESSAGES
from locstreamd.view.publish import Publisher
from raw_subscriber import Subscriber
from stream_examples import HELLO

pytestmark = pytest.mark.system

PATIENCE_S = 60.0


@pytest.fixture
def endpoint(runtime: str) -> str:
    return f"ipc://{runtime}/stream"


@pytest.fixture
def idle(runtime: str, endpoint: str) -> Iterator[Publisher]:
    with zmq.Context() as context:
        publisher = Publisher(context, [endpoint], high_water_mark=100)
        yield publisher
        publisher.close()


@pytest.fixture
def publisher(idle: Publisher) -> Publisher:
    idle.begin(HELLO)
    return idle


def greet(publisher: Publisher, subscriber: Subscriber) -> None:
    """Let the publisher hear of a subscriber, as its loop would."""
    deadline = time.monotonic() + PATIENCE_S
    while subscriber.hello is None:  # one that was connected before comes back while it listens
        assert time.monotonic() < deadline
        turn(publisher)
        subscriber.receive(0.01)
    until(publisher, lambda: publisher.subscribers > 0)
    while subscriber.receive(0.2) is not None:
        continue  # greeted when it came, it may be greeted once more with the news


def until(publisher: Publisher, condition: Callable[[], bool]) -> None:
    """Turn the publisher's wheel until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        turn(publisher)


def turn(publisher: Publisher) -> None:
    publisher.socket.poll(10)
    publisher.tend()


def publisher_pid() -> int | None:
    """Return the process id of the publisher that runs, None while there is none."""
    return next((child.pid for child in children(PUBLISHER)), None)


def kill(publisher: Publisher, sign: signal.Signals = signal.SIGKILL) -> int:
    """Kill the process that runs, or the next one as soon as it does."""
    until(publisher, lambda: publisher_pid() is not None)
    pid = publisher_pid()
    assert pid is not None
    os.kill(pid, sign)
    while sign == signal.SIGKILL and publisher_pid() == pid:
        time.sleep(0.001)  # it is on its way out
    return pid


def bind(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Bind to what a process that is just dying has held."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.bind(endpoint)
            return
        except zmq.ZMQError:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def receive_until_end(subscriber: Subscriber) -> list[Published]:
    messages: list[Published] = []
    while not (messages and isinstance(messages[-1], End)):
        received = subscriber.receive(PATIENCE_S)
        assert received is not None, messages[-3:]
        messages.append(received[0])
    return messages


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
        received = [subscriber.receive(PATIENCE_S) for _ in range(2)]
    batches = [r for r in received if r is not None]
    assert [b[0].seq for b in batches] == [0, 1]
    assert isinstance(batches[1][0], Batch)
    assert batches[1][0].row_first == 3
    np.testing.assert_array_equal(batches[0][1], rows(3))
    assert subscriber.lost == 0


def test_a_late_subscriber_begins_where_it_joins(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as early:
        greet(publisher, early)
        publisher.batch(rows(3), 0, 1)
        assert early.receive(PATIENCE_S) is not None, "the other process has sent it"
        with Subscriber(endpoint) as late:
            until(publisher, lambda: publisher.subscribers == 2)
            assert late.wait_for_hello().seq == 1
            publisher.batch(rows(1), 2, 2)
            received = late.receive(PATIENCE_S)
    assert received is not None
    assert received[0].seq == 1
    assert late.lost == 0


def test_lost_messages_are_counted(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        publisher.batch(rows(1), 0, 0)
        publisher._take_seq()
        publisher._take_seq()
        publisher.batch(rows(1), 3, 3)
        for _ in range(2):
            assert subscriber.receive(PATIENCE_S) is not None
    assert subscriber.lost == 2


def test_the_last_message_is_read_before_the_socket_closes(publisher: Publisher, endpoint: str) -> None:
    seen: list[int] = []

    def follow() -> None:
        with Subscriber(endpoint) as subscriber:
            while (received := subscriber.receive(PATIENCE_S)) is not None:
                seen.append(len(received[1]))
                if isinstance(received[0], End):
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    until(publisher, lambda: publisher.subscribers > 0)
    for i in range(80):
        publisher.batch(rows(100), i, i)
    publisher.end("complete", 80, "")
    assert publisher.subscribers == 0
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert sum(seen) == 8000


def test_a_subscriber_that_never_reads_costs_the_acquisition_nothing(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        for i in range(3000):
            publisher.batch(rows(200), i, i)
            publisher.tend()
        assert publisher.socket.sndhwm == LINK_MESSAGES
        assert publisher.deaths == 0
        published, received, last = 3000, 0, -1
        while last != published - 1:  # what it reads now makes room for what is published next
            publisher.batch(rows(1), published, published)
            published += 1
            while (message := subscriber.receive(0.3)) is not None:
                received += isinstance(message[0], Batch)
                last = message[0].seq
        assert 0 < received < published
        assert received + subscriber.lost == published


def test_the_next_acquisition_is_numbered_from_zero_and_loses_nothing(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        publisher.batch(rows(1), 0, 0)
        publisher._take_seq()
        publisher.begin(msgspec.structs.replace(HELLO, acquisition="a2"))
        publisher.batch(rows(2), 0, 0)
        received = [subscriber.receive(PATIENCE_S) for _ in range(3)]
    messages = [r[0] for r in received if r is not None]
    assert [m.acquisition for m in messages] == ["a1", "a2", "a2"]
    assert [m.seq for m in messages] == [0, 0, 0]
    assert subscriber.lost == 0


def test_between_acquisitions_nobody_is_greeted(idle: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        until(idle, lambda: idle.subscribers > 0)
        assert subscriber.receive(0.2) is None
        idle.begin(HELLO)
        assert subscriber.wait_for_hello() == HELLO


def test_an_endpoint_that_cannot_be_had_is_told_and_nothing_is_left(runtime: str) -> None:
    with zmq.Context() as context:
        with pytest.raises(LocstreamError, match="cannot be bound to ipc:///nowhere/stream") as refused:
            Publisher(context, ["ipc:///nowhere/stream"], 100, f"ipc://{runtime}/link")
        assert "nothing was acquired" in refused.value.safe
    assert publisher_pid() is None


def test_one_that_cannot_start_is_told(runtime: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with zmq.Context() as context, pytest.raises(LocstreamError, match="did not start"):
        Publisher(context, [endpoint], 100, f"ipc://{runtime}/link")


# --- it dies, and it hangs ----------------------------------------------------------------------------


def test_killed_it_is_replaced_and_the_numbers_go_on(publisher: Publisher, endpoint: str) -> None:
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)
        for i in range(10):
            publisher.batch(rows(2), i, i)
        assert [subscriber.receive(PATIENCE_S)[0].seq for _ in range(10)] == list(range(10))
        first = kill(publisher)
        for i in range(10, 15):
            publisher.batch(rows(2), i, i)  # nobody has noticed, nobody is there
        until(publisher, lambda: publisher.deaths == 1)
        assert publisher.subscribers == 0
        hello = subscriber.receive(0)
        while hello is None:  # subscribers come back while they listen
            turn(publisher)
            hello = subscriber.receive(0.01)
        assert publisher_pid() not in (None, first)
        publisher.batch(rows(3), 15, 15)
        batch = subscriber.receive(PATIENCE_S)
    assert isinstance(hello[0], Hello)
    assert hello[0].seq == 15
    assert isinstance(batch[0], Batch)
    assert (batch[0].seq, batch[0].row_first) == (15, 30)
    assert subscriber.lost == 5
    assert publisher.unpublished <= 5, "some may have been on their way"


def test_killed_again_and_again_it_comes_back_every_time(publisher: Publisher, endpoint: str) -> None:
    for deaths in range(1, 5):
        kill(publisher)
        until(publisher, lambda deaths=deaths: publisher.deaths == deaths)
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)


def test_what_another_program_has_taken_meanwhile_is_tried_again_and_does_not_end_anything(runtime: str) -> None:
    """The view lane never ends a run: it comes back once it can."""
    with zmq.Context() as context:
        with context.socket(zmq.PUB) as other:
            other.linger = 0
            port = other.bind_to_random_port("tcp://127.0.0.1")
        endpoint = f"tcp://127.0.0.1:{port}"
        publisher = Publisher(context, [endpoint], 100, f"ipc://{runtime}/link")
        publisher.begin(HELLO)
        kill(publisher)
        with context.socket(zmq.PUB) as other:
            other.linger = 0
            bind(other, endpoint)
            until(publisher, lambda: publisher.deaths >= 3)
            publisher.batch(rows(1), 0, 0)
            assert publisher.unpublished == 1
        with Subscriber(endpoint) as subscriber:
            greet(publisher, subscriber)
            publisher.batch(rows(1), 1, 1)
            received = subscriber.receive(PATIENCE_S)
        assert received is not None
        assert received[0].seq == 1
        publisher.close()


def test_stopped_it_holds_nobody_up_and_is_replaced(
    publisher: Publisher, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "STALLED_S", 0.3)
    stopped = kill(publisher, signal.SIGSTOP)
    sent = 0
    while not publisher.unpublished:
        publisher.batch(rows(20_000), sent, sent)
        sent += 1
        assert sent < 10 * LINK_MESSAGES, "what waits for it is bounded"
    until(publisher, lambda: publisher.deaths == 1)
    assert publisher_pid() != stopped
    with Subscriber(endpoint) as subscriber:
        greet(publisher, subscriber)


def test_the_end_is_told_by_the_next_one_where_it_dies_just_before(publisher: Publisher, endpoint: str) -> None:
    seen: list[Published] = []

    def follow() -> None:
        with Subscriber(endpoint) as subscriber:
            seen.extend(receive_until_end(subscriber))

    thread = threading.Thread(target=follow)
    thread.start()
    until(publisher, lambda: publisher.subscribers > 0)
    publisher.batch(rows(5), 0, 0)
    kill(publisher)
    publisher.end("complete", 1, "")
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert isinstance(seen[-1], End)
    assert seen[-1].rows == 5


def test_it_ends_with_the_acquisition_that_dies(runtime: str, endpoint: str) -> None:
    """The process looks after its parent: nothing stays behind that holds the endpoints."""
    code = (
        "import sys, time, zmq; from locstreamd.view.publish import Publisher; "
        "p = Publisher(zmq.Context(), [sys.argv[1]], 10); print('up', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "up\n"
        (child,) = psutil.Process(daemon.pid).children()
        daemon.kill()
    child.wait(timeout=PATIENCE_S)
    assert not child.is_running()
