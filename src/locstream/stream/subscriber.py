"""Follow the localization stream of a running acquisition."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import numpy as np
import zmq

from locstream.errors import LocstreamError, MessageError
from locstream.localizations import LOCALIZATION, Localizations
from locstream.stream.liveness import notice_dead_lines
from locstream.stream.messages import STREAM, Batch, End, Hello, Published, Status, row_dtype, rows_from
from locstream.stream.wire import Buffer

RECEIVE_LIMIT = 1_000
"""Messages that may wait in this process; what arrives beyond is lost, and the gap is counted."""


class Subscriber:
    """One subscription; use it as a context manager.

    Parameters
    ----------
    endpoint
        Address of the localization stream, from the connection file.

    Raises
    ------
    LocstreamError
        The endpoint is no address.

    Attributes
    ----------
    lost
        Messages that were published and did not arrive, counted by their sequence numbers.
    rejected
        Messages that could not be decoded.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.hello: Hello | None = None
        self.lost = 0
        self.rejected = 0
        self._dtype: np.dtype[np.void] = LOCALIZATION
        self._next: int | None = None
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.rcvhwm = RECEIVE_LIMIT
        notice_dead_lines(self._socket)
        self._socket.subscribe(b"")
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise LocstreamError(
                f"{endpoint} is no address of a stream: {error.strerror}", todo="for example tcp://microscope:5555"
            ) from error

    def receive(self, timeout_s: float) -> tuple[Published, Localizations] | None:
        """Return the next message and its rows, or None when nothing came in time.

        Rows are an empty table for messages without rows. Malformed messages are counted and passed over.
        """
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0 or timeout_s == 0:
            if not self._socket.poll(max(0, int(left * 1000))):
                return None
            parts: list[Buffer] = list(self._socket.recv_multipart())
            try:
                return self._accept(parts)
            except MessageError:
                self.rejected += 1
        return None

    def wait_for_hello(self, timeout_s: float) -> Hello:
        """Return the description of the acquisition.

        Raises
        ------
        LocstreamError
            Nobody answered in time.
        """
        deadline = time.monotonic() + timeout_s
        while self.hello is None:
            if self.receive(max(0.0, deadline - time.monotonic())) is None and time.monotonic() >= deadline:
                raise LocstreamError(
                    f"no acquisition answered at {self.endpoint} within {timeout_s:g} s",
                    todo="is it still running? `locstream status` says what runs here",
                )
        return self.hello

    def _accept(self, parts: list[Buffer]) -> tuple[Published, Localizations]:
        message, buffers = STREAM.unpack(parts[1:])
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


__all__ = ["Batch", "End", "Hello", "Status", "Subscriber"]
