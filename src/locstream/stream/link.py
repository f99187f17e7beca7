"""The sockets of a client, and what is to be done with what they bring. Never waits: whoever drives it does.

The synchronous and the asynchronous client are loops around it.
"""

from __future__ import annotations

import itertools
import time
from collections import deque

import zmq

from locstream.errors import LocstreamError, MessageError
from locstream.stream.endpoints import Endpoints
from locstream.stream.events import Began, Ended, Event, Rows
from locstream.stream.joining import Joining
from locstream.stream.keys import ClientKeys
from locstream.stream.messages import HISTORY_REPLIES, STREAM, Chunk, Hello, Reply, Request, Status
from locstream.stream.sockets import client_socket, connect, key_refused, refusals_of
from locstream.stream.wire import Buffer, pack

RECEIVE_LIMIT = 100
"""Messages that may wait in this process; what is lost beyond is fetched again."""
EVENTS_LIMIT = 16
"""Rows that were not taken yet; until they are, nothing is read or asked."""
LIFE_SIGN = 2**31
"""Id of the request that asks whether a silent stream belongs to a service that is idle."""
FIRST_REQUEST = LIFE_SIGN + 1
"""Ids from here on are of other requests, those below of fetches."""
POLL_S = 0.1
ANSWER_S = 2.0
"""After so long an unanswered fetch is asked again."""
AGAIN_S = 0.05
"""Before a history is asked again that had nothing new."""
QUIET_S = 2.0
"""A running acquisition says its status twice a second: after so long a silence, look into the history."""


class Link:
    """One connection to an acquisition or a service.

    Parameters
    ----------
    endpoints
        Where to connect to; without one for the history, what is lost is counted as missing.
    start
        First row wanted, None for the next that is published.
    timeout_s
        How long silence may last, and an answer may take, s; None is for ever.
    keys
        For servers that ask for them.
    """

    def __init__(
        self, endpoints: Endpoints, start: int | None, timeout_s: float | None, keys: ClientKeys | None
    ) -> None:
        self.endpoints, self.timeout_s = endpoints, timeout_s
        self.joining = Joining(start)
        self.events: deque[Event] = deque()
        self.hello: Hello | None = None
        self.status: Status | None = None
        self.rejected = 0
        self.missing = 0
        self.rows = 0
        self._refused = ""
        self._replies: dict[int, Reply] = {}
        self._unsent: list[Buffer] = []
        self._sent_at = 0.0
        self._ids = itertools.count(FIRST_REQUEST)
        now = time.monotonic()
        self._heard_at = self._answered_at = self._nudged_at = self._sign_asked_at = now
        self._state = ""
        self._sign_after_s = QUIET_S if timeout_s is None else min(QUIET_S, timeout_s / 4)
        self._asked_at: float | None = None
        self._ask_after = now
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._refusals: dict[zmq.Socket[bytes], str] = {}
        self.sockets: list[zmq.Socket[bytes]] = []
        """What to wait for, for at most `POLL_S`, before the next `turn`."""
        stream, control, history = endpoints
        self._sub = self._open(zmq.SUB, stream, keys)
        self._sub.subscribe(b"")
        self._control = None if control is None else self._open(zmq.DEALER, control, keys)
        self._history = self._control
        if history is not None and history != control:
            self._history = self._open(zmq.DEALER, history, keys)

    def _open(self, kind: int, endpoint: str, keys: ClientKeys | None) -> zmq.Socket[bytes]:
        socket = client_socket(self._context, kind, endpoint, keys)
        self.sockets.append(socket)
        if kind == zmq.SUB:
            socket.rcvhwm = RECEIVE_LIMIT
        else:
            socket.immediate = True  # nothing is queued for one who is not there
        if keys is not None:
            self._refusals[refusals_of(socket)] = endpoint
        try:
            connect(socket, endpoint)
        except LocstreamError:
            self.close()
            raise
        return socket

    def turn(self) -> None:
        """Take what has arrived, ask for what is missing.

        Raises
        ------
        LocstreamError
            The server refused our key.
        """
        now = time.monotonic()
        while len(self.events) < EVENTS_LIMIT and self._hear(now):
            pass
        for socket in self.sockets[1:]:
            while self._answer(socket, now):
                pass
        self._look_for_refusals()
        self._ask(now)

    def send(self, verb: str, *, name: str = "", frames: int | None = None) -> int:
        """Send a request; return the id of the reply to wait for.

        Raises
        ------
        LocstreamError
            There is no control endpoint.
        """
        if self._control is None:
            raise LocstreamError(
                f"{verb!r} needs a control endpoint, and only {self.endpoints.stream} was given",
                todo="connect by name or by connection file, or give control=",
            )
        request = Request(id=next(self._ids), verb=verb, name=name, frames=frames)
        self._sent_at = time.monotonic()
        self._unsent = pack(request)
        return request.id

    def reply(self, number: int) -> Reply | None:
        """Return the reply to a request, None where it has not come.

        Raises
        ------
        LocstreamError
            It took too long, or the answer is no.
        """
        reply = self._replies.pop(number, None)
        if reply is None:
            if self.timeout_s is not None and time.monotonic() - self._sent_at > self.timeout_s:
                raise LocstreamError(
                    f"{self.endpoints.control} did not answer within {self.timeout_s:g} s",
                    safe="what is recorded stays recorded",
                    todo="try again; if it stays silent, look at the log of the acquisition",
                )
            return None
        if not reply.ok:
            raise LocstreamError(f"{self.endpoints.control} refused: {reply.message}")
        return reply

    def close(self) -> None:
        """Close the sockets. Safe to call twice."""
        for socket in self.sockets:
            if not socket.closed:
                socket.disable_monitor()  # before its monitor is closed, see `refusals_of`
                socket.close()
        for monitor in self._refusals:
            monitor.close(linger=0)
        self._context.term()

    def _hear(self, now: float) -> bool:
        try:
            _, *parts = self._sub.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._heard_at = now
        try:
            message, buffers = STREAM.unpack(parts)
            self._see(self.joining.hear(message, list(buffers)))
        except MessageError:
            self.rejected += 1
            return True
        if isinstance(message, Status):
            self.status = message
        elif isinstance(message, Hello) and message.acquisition == self.joining.acquisition:
            self.hello = message
        return True

    def _answer(self, socket: zmq.Socket[bytes], now: float) -> bool:
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        try:
            message, buffers = HISTORY_REPLIES.unpack(parts)
            if isinstance(message, Chunk):
                self._see(self.joining.take(message, buffers))
        except MessageError:
            self.rejected += 1
            self._ask_after = now + AGAIN_S
            return True
        if isinstance(message, Chunk):
            self._asked_at = None
            self._refused = ""
            self._answered_at = now
            if not message.rows:
                self._ask_after = now + AGAIN_S
        elif message.id == LIFE_SIGN:
            self._take_sign(message, now)
        elif message.id >= FIRST_REQUEST:
            self._replies = {message.id: message}  # one is asked at a time
        else:
            self._refused = message.message
            self.joining.forget_request()
            self._asked_at, self._ask_after = None, now + AGAIN_S
        return True

    def _take_sign(self, reply: Reply, now: float) -> None:
        """Take what the other side says of itself: one that acquires nothing has nothing to publish."""
        self._state = reply.status.state if reply.status is not None else ""
        waiting = self.joining.acquisition is None or self.joining.ended
        if reply.status is not None and not reply.status.acquisition and waiting:
            self.status = reply.status
            self._heard_at = now

    def _ask_for_sign(self, now: float) -> None:
        """Ask a side that is silent whether it is there."""
        if self._control is None or now - max(self._heard_at, self._sign_asked_at) < self._sign_after_s:
            return
        if _send(self._control, pack(Request(id=LIFE_SIGN, verb="status"))):
            self._sign_asked_at = now

    def _ask(self, now: float) -> None:
        self._ask_for_sign(now)
        if now - self._heard_at > QUIET_S and now - self._nudged_at > QUIET_S:
            self._nudged_at = now
            self.joining.nudge()
        if self._asked_at is not None and now - self._asked_at > ANSWER_S:
            self.joining.forget_request()
            self._asked_at = None
        if self._unsent and self._control is not None and _send(self._control, self._unsent):
            self._unsent = []
        if now < self._ask_after or len(self.events) >= EVENTS_LIMIT:
            return
        fetch = self.joining.request()
        if fetch is None:
            self._answered_at = self._answered_at if self._asked_at is not None else now
        elif self._history is None:
            self._see(self.joining.skip())
            self._answered_at = now
        elif _send(self._history, pack(fetch)):
            self._asked_at = now
        else:
            self.joining.forget_request()
            self._ask_after = now + AGAIN_S

    def _see(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Began():
                    self.hello = event.hello
                case Rows():
                    self.rows += len(event.table)
                case Ended():
                    self.missing += event.missing
        self.events.extend(events)

    def _look_for_refusals(self) -> None:
        for monitor, endpoint in self._refusals.items():
            if monitor.poll(0):
                monitor.recv_multipart()
                raise key_refused(endpoint)

    def check(self) -> None:
        """See that somebody who waits for rows does not wait for nothing.

        Raises
        ------
        LocstreamError
            Nothing came for too long, or the rows that are missing are not to be had.
        """
        if self.timeout_s is None or self.events:
            return
        now = time.monotonic()
        safe = f"{self.rows:,} rows were received"
        if now - self._heard_at > self.timeout_s:
            raise LocstreamError(
                f"nothing came from {self.endpoints.stream} for {self.timeout_s:g} s; no end was announced",
                safe=safe,
                todo="`locstream status` says whether it still runs; the results file holds what was acquired"
                if not self._state
                else f"{self.endpoints.control} answers ({self._state}): is the way to the stream's port open?",
            )
        if now - self._answered_at > self.timeout_s:
            raise LocstreamError(
                f"rows from {self.joining.next_row} on are missing, and {self.endpoints.history} did not give them "
                f"within {self.timeout_s:g} s{': ' + self._refused if self._refused else ''}",
                safe=safe,
                todo="connect again, with start=None for what is published next; the results file holds all rows",
            )


def _send(socket: zmq.Socket[bytes], parts: list[Buffer]) -> bool:
    """Send, and return True, or return False where nobody is connected for now."""
    try:
        socket.send_multipart(parts, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True
