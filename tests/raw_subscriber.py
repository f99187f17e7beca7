"""A subscriber that shows every message of a stream as it comes, and counts those that did not."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import numpy as np
import zmq

from locstream.localizations import LOCALIZATION, Localizations
from locstream.stream.messages import STREAM, Batch, Hello, Published, row_dtype, rows_from

RECEIVE_LIMIT = 1_000
"""Messages that may wait in this process; what arrives beyond is lost."""


class Subscriber:
    """One subscription; use it as a context manager. `locstream.connect` is what programs use.

    Parameters
    ----------
    endpoint
        Where to subscribe.

    Attributes
    ----------
    hello
        What is being acquired; None before it is known.
    lost
        Messages that were published and did not arrive, by their sequence numbers.
    """

    def __init__(self, endpoint: str) -> None:
        self.hello: Hello | None = None
        self.lost = 0
        self._dtype: np.dtype[np.void] = LOCALIZATION
        self._next: int | None = None
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.rcvhwm = RECEIVE_LIMIT
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)

    def receive(self, timeout_s: float) -> tuple[Published, Localizations] | None:
        """Return the next message and its rows, none for messages without; None when nothing came in time."""
        if not self._socket.poll(int(1000 * timeout_s)):
            return None
        message, buffers = STREAM.unpack(self._socket.recv_multipart()[1:])
        if isinstance(message, Hello):
            self._dtype = row_dtype(message)
            if self.hello is None or self.hello.acquisition != message.acquisition:
                self._next = message.seq
            self.hello = message
            return message, np.zeros(0, self._dtype)
        rows = rows_from(message, buffers, self._dtype) if isinstance(message, Batch) else np.zeros(0, self._dtype)
        if self._next is not None and message.seq > self._next:
            self.lost += message.seq - self._next
        self._next = message.seq + 1
        return message, rows

    def wait_for_hello(self, timeout_s: float = 60.0) -> Hello:
        """Return the description of the acquisition, which must come."""
        deadline = time.monotonic() + timeout_s
        while self.hello is None:
            assert time.monotonic() < deadline, "nobody greets"
            self.receive(0.1)
        return self.hello

    def close(self) -> None:
        """Unsubscribe, so that the publisher knows that the last message was read."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
