"""The capture thread takes what comes, waits without dropping, and passes faults on after the last frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from locstream.errors import SourceError
from locstream.stacks.source import Frame, SourceInfo
from locstreamd.record.capture import Capture


class ListSource:
    """A source with a given number of frames, which may end in a fault or go on until stopped."""

    paced = False

    def __init__(self, frames: int, *, fault_after: int | None = None, endless: bool = False) -> None:
        self._frames = frames
        self._fault_after = fault_after
        self._endless = endless
        self._given = 0
        self._stopped = False
        self.closed = False
        self.started = False

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("list", 2, 2, frames=self._frames)

    @property
    def exhausted(self) -> bool:
        return self._stopped or (not self._endless and self._given >= self._frames)

    def start(self) -> None:
        self.started = True

    def read(self, timeout_s: float) -> Frame | None:
        if self._given == self._fault_after:
            raise SourceError("the cable came off", todo="plug it in")
        self._given += 1
        return Frame(self._given - 1, time.time(), np.zeros((2, 2), np.uint16))

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


def take_all(capture: Capture) -> list[int]:
    numbers = []
    while not capture.finished:
        capture.doorbell.socket.poll(50)
        capture.doorbell.answer()
        while (frame := capture.take()) is not None:
            numbers.append(frame.number)
    return numbers


def test_every_frame_in_order(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    source = ListSource(500)
    capture = Capture(source, context, capacity=8)
    capture.start()
    assert take_all(capture) == list(range(500))
    assert capture.fault is None
    capture.close()
    assert source.closed


def test_a_full_queue_waits_and_loses_nothing(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    capture = Capture(ListSource(20), context, capacity=3)
    capture.start()
    time.sleep(0.3)
    assert capture.waiting == 3
    assert not capture.finished
    assert take_all(capture) == list(range(20))
    capture.close()


def test_a_fault_comes_after_every_frame_before_it(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    capture = Capture(ListSource(100, fault_after=7), context, capacity=2)
    capture.start()
    assert take_all(capture) == list(range(7))
    assert capture.fault is not None
    assert "cable" in str(capture.fault)
    capture.close()


def test_stop_ends_an_endless_source(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    capture = Capture(ListSource(0, endless=True), context)
    capture.start()
    threading.Timer(0.1, capture.stop).start()
    numbers = take_all(capture)
    assert numbers == list(range(len(numbers)))
    assert numbers
    capture.close()


def test_closing_with_frames_unread_ends_the_thread(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    source = ListSource(0, endless=True)
    capture = Capture(source, context, capacity=1)
    capture.start()
    capture.close()
    assert source.closed
    assert not [t for t in threading.enumerate() if t.name == "capture"]


def test_a_source_that_cannot_start_says_so_itself(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    class Refuses(ListSource):
        def start(self) -> None:
            raise SourceError("the camera is in use by another program")

    capture = Capture(Refuses(1), context)
    with pytest.raises(SourceError, match="in use"):
        capture.start()
    capture.close()


def test_the_doorbell_rings(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    capture = Capture(ListSource(1), context)
    capture.start()
    assert capture.doorbell.socket.poll(5000)
    capture.doorbell.answer()
    assert take_all(capture) == [0]
    capture.close()
