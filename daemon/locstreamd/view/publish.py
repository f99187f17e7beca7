"""Publishes what is committed, to whoever subscribes. Never waits: a slow subscriber loses messages, and can tell."""

from __future__ import annotations

import time

import msgspec
import zmq

from locstream.errors import LocstreamError
from locstream.localizations import Localizations
from locstream.stream.messages import (
    TOPIC_END,
    TOPIC_HELLO,
    TOPIC_LOCALIZATIONS,
    TOPIC_STATUS,
    Batch,
    End,
    Hello,
    Status,
)
from locstream.stream.wire import Buffer, Message, pack

SUBSCRIBE = 1
FAREWELL_S = 2.0
"""How long the last message waits for subscribers to read it and leave (libzmq loses it otherwise, issue 4660)."""


class Publisher:
    """The XPUB socket of one acquisition after another.

    Parameters
    ----------
    context
        The context of the acquisition.
    endpoints
        Where to bind; the first is in the connection file.
    high_water_mark
        Messages that wait for a slow subscriber.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: list[str], high_water_mark: int) -> None:
        self.hello: Hello | None = None
        self.subscribers = 0
        self._seq = 0
        self._rows = 0
        self.socket = context.socket(zmq.XPUB)
        self.socket.sndhwm = high_water_mark
        self.socket.linger = 1_000
        self.socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # every subscriber counts, not only the first and the last
        for endpoint in endpoints:
            try:
                self.socket.bind(endpoint)
            except zmq.ZMQError as error:
                self.socket.close(linger=0)
                raise LocstreamError(
                    f"the localization stream cannot be bound to {endpoint}: {error.strerror}",
                    safe="nothing was acquired",
                    todo="another program, perhaps another run, uses it: choose another port for stream.listen",
                ) from error

    def tend(self) -> None:
        """Greet who has subscribed, count who has left."""
        while self.socket.poll(0):
            event = self.socket.recv()
            if event[:1] == bytes([SUBSCRIBE]):
                self.subscribers += 1
                self._greet()
            else:
                self.subscribers = max(0, self.subscribers - 1)

    def begin(self, hello: Hello) -> None:
        """Begin an acquisition: its messages are numbered from 0, and everyone is told what comes."""
        self.hello = hello
        self._seq = self._rows = 0
        self._greet()

    def _greet(self) -> None:
        if self.hello is not None:
            self._send(TOPIC_HELLO, msgspec.structs.replace(self.hello, seq=self._seq))

    def batch(self, rows: Localizations, frame_first: int, frame_last: int) -> None:
        """Publish committed rows."""
        message = Batch(
            acquisition=self._acquisition,
            seq=self._take_seq(),
            frame_first=frame_first,
            frame_last=frame_last,
            row_first=self._rows,
            rows=len(rows),
        )
        self._rows += len(rows)
        self._send(TOPIC_LOCALIZATIONS, message, rows.tobytes())

    def status(self, status: Status) -> None:
        """Publish the numbers that decide; the sequence number is given here."""
        self._send(TOPIC_STATUS, msgspec.structs.replace(status, seq=self._take_seq()))

    def end(self, outcome: str, frames: int, message: str) -> None:
        """Say that nothing follows, and wait a moment for subscribers to read it and leave."""
        end = End(
            acquisition=self._acquisition,
            seq=self._take_seq(),
            outcome=outcome,
            frames=frames,
            rows=self._rows,
            message=message,
        )
        self._send(TOPIC_END, end)
        self.hello = None
        deadline = time.monotonic() + FAREWELL_S
        while self.subscribers and time.monotonic() < deadline:
            self.socket.poll(50)
            self.tend()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    @property
    def _acquisition(self) -> str:
        return self.hello.acquisition if self.hello is not None else ""

    def _take_seq(self) -> int:
        self._seq += 1
        return self._seq - 1

    def _send(self, topic: bytes, message: Message, *buffers: Buffer) -> None:
        self.socket.send_multipart([topic, *pack(message, *buffers)])
