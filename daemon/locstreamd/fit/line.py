"""A worker's connection to an acquisition: one socket for one connection.

libzmq would connect again by itself, and send what had waited for the old connection to whoever listens then: rows of
one acquisition would reach the next. So a line that is lost stays lost, with all that was on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import zmq
from zmq.utils.monitor import parse_monitor_message

from locstream.errors import LocstreamError
from locstream.stream.keys import ClientKeys
from locstream.stream.sockets import client_socket, connect
from locstream.stream.wire import Buffer
from locstreamd.fit.work import TO_WORKER, ToWorker

MAX_MESSAGE_BYTES = 256_000_000
"""A calibration map of 4096 × 4096 px has 67 MB."""
LINGER_MS = 3_000
NO_KEY = "no locstream listens there, or it needs --keys with a file that was made at that instrument"
NO_KEY_IN_COMMON = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
OVER = zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED
EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | NO_KEY_IN_COMMON | OVER


class LineLostError(LocstreamError):
    """The connection is gone, or was not to be had; another may be tried."""


class Line:
    """One connection to a dispatcher, whole or lost; use it as a context manager.

    Parameters
    ----------
    context
        Of the socket.
    endpoint
        The work endpoint of an acquisition. It need not be there.
    keys
        For an endpoint that asks for them.

    Attributes
    ----------
    met
        Whether the other side has been there and has let us in.

    Raises
    ------
    LocstreamError
        This is no endpoint.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, keys: ClientKeys | None = None) -> None:
        self.met = False
        self._endpoint = endpoint
        self._lost = ""
        self.socket = client_socket(context, zmq.DEALER, endpoint, keys)
        self.socket.linger = LINGER_MS
        self.socket.reconnect_ivl = -1
        self.socket.rcvhwm = 0  # bounded by credits
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._monitor = self.socket.get_monitor_socket(EVENTS)
        self._poller = zmq.Poller()
        for socket in (self.socket, self._monitor):
            self._poller.register(socket, zmq.POLLIN)
        try:
            connect(self.socket, endpoint)
        except LocstreamError:
            self.close()
            raise

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send a message.

        Raises
        ------
        LineLostError
            Nobody is at the other end any more.
        """
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again as error:
            raise LineLostError(f"the connection to {self._endpoint} is lost") from error

    def receive(self, patience_ms: int) -> tuple[ToWorker, list[Buffer]] | None:
        """Return the next message, None where none has come within the patience.

        Raises
        ------
        LineLostError
            The connection is gone, or was not to be had. What still waited on it is given up.
        LocstreamError
            The other side does not want this computer's key.
        MessageError
            Something else than a dispatcher speaks there, or one of another protocol.
        """
        ready = dict(self._poller.poll(patience_ms))
        while self._monitor.poll(0):
            self._see(self._monitor.recv_multipart())
        if self._lost:
            raise LineLostError(self._lost)
        return TO_WORKER.unpack(self.socket.recv_multipart()) if self.socket in ready else None

    def close(self, *, linger: int = LINGER_MS) -> None:
        """Close the socket; what was sent has a moment to get there, unless the line is lost."""
        if self.socket.closed:
            return
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=0 if self._lost else linger)

    def _see(self, parts: list[bytes]) -> None:
        event = parse_monitor_message(parts)
        match event["event"]:
            case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.met = True
            case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                raise LocstreamError(
                    f"{self._endpoint} refused this computer's key",
                    todo="at the instrument, `locstream keys list` says who is admitted; a worker needs the role work",
                )
            case code if code & NO_KEY_IN_COMMON:
                self._lost = f"{self._endpoint} closed the connection: {NO_KEY}"
            case code if code & OVER:
                self._lost = self._lost or (
                    f"the connection to {self._endpoint} is lost" if self.met else f"nobody is at {self._endpoint}"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
