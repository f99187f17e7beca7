"""A publisher as small as the protocol allows: an XPUB socket that says what a test wants said, when it wants."""

from __future__ import annotations

import msgspec
import zmq

from locstream.localizations import Localizations
from locstream.stream.messages import (
    TOPIC_END,
    TOPIC_HELLO,
    TOPIC_LOCALIZATIONS,
    TOPIC_STATUS,
    Batch,
    End,
    Hello,
    Published,
    Status,
)
from locstream.stream.wire import pack


class SmallPublisher:
    """One stream; call `tend` now and then, so that who subscribes is greeted."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._socket.bind(endpoint)
        self._hello: Hello | None = None
        self._seq = self._rows = 0

    def tend(self) -> None:
        while self._socket.poll(0):
            if self._socket.recv()[:1] == b"\1":
                self._greet()

    def _greet(self) -> None:
        if self._hello is not None:
            self._send(TOPIC_HELLO, msgspec.structs.replace(self._hello, seq=self._seq))

    def begin(self, hello: Hello) -> None:
        self._hello, self._seq, self._rows = hello, 0, 0
        self._greet()

    def batch(self, rows: Localizations, frame_first: int, frame_last: int) -> None:
        message = Batch(
            acquisition=self._acquisition, seq=self._take_seq(), frame_first=frame_first, frame_last=frame_last,
            row_first=self._rows, rows=len(rows),
        )  # fmt: skip
        self._rows += len(rows)
        self._send(TOPIC_LOCALIZATIONS, message, rows.tobytes())

    def status(self, status: Status) -> None:
        self._send(TOPIC_STATUS, msgspec.structs.replace(status, seq=self._take_seq()))

    def end(self, outcome: str, frames: int, message: str) -> None:
        end = End(
            acquisition=self._acquisition, seq=self._take_seq(), outcome=outcome, frames=frames, rows=self._rows,
            message=message,
        )  # fmt: skip
        self._hello = None
        self._send(TOPIC_END, end)

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()

    @property
    def _acquisition(self) -> str:
        return self._hello.acquisition if self._hello is not None else ""

    def _take_seq(self) -> int:
        self._seq += 1
        return self._seq - 1

    def _send(self, topic: bytes, message: Published, *buffers: bytes) -> None:
        self._socket.send_multipart([topic, *pack(message, *buffers)])
