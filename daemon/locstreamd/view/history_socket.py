"""The socket at which history is asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import zmq

from locstream.errors import LocstreamError, MessageError
from locstream.stream.gate import heard
from locstream.stream.messages import HISTORY_REQUESTS, Fetch, Reply, Request
from locstream.stream.wire import Buffer, pack
from locstreamd.gatehouse import Gatehouse
from locstreamd.view.history import History

MAX_MESSAGE_BYTES = 65_536
WAITING_ANSWERS = 4
"""Answers that may wait for one client that does not read; it gets none beyond."""
QUIET_S = 1.0
"""One who catches up asks more often."""
ANSWERS_A_TURN = 4
"""Fetches that are answered before the caller goes on with its other work: a few ms each."""


class HistorySocket:
    """A ROUTER that gives rows. Used from one thread.

    Parameters
    ----------
    context
        Of the publisher.
    history
        Where the rows are.
    endpoints
        Where to bind, open to whoever can reach it: ipc in the private runtime folder, loopback.
    gatehouse
        Says who may ask, where the socket listens there, too.

    Attributes
    ----------
    rejected
        Messages that could not be understood.
    asked_at
        When rows were last asked for, by `time.monotonic`: somebody catches up.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        history: History,
        endpoints: Sequence[str],
        *,
        gatehouse: Gatehouse | None = None,
    ) -> None:
        self.rejected = 0
        self.asked_at = -math.inf
        self._history = history
        self._gatehouse = gatehouse
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.sndhwm = WAITING_ANSWERS
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        try:
            for endpoint in endpoints:
                self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.socket.close()
            raise LocstreamError(
                f"the history cannot be bound to {endpoint}: {error.strerror}",
                safe="nothing was acquired",
                todo="set LOCSTREAM_RUNTIME_DIR to a folder of your own",
            ) from error

    def answer(self) -> None:
        """Answer a few of the requests that have arrived."""
        for user, (identity, *frames) in heard(self.socket, ANSWERS_A_TURN):
            if answer := self._answer(user, frames):
                self.socket.send_multipart([identity.bytes, *answer])

    def reply(self, request: Request) -> Reply:
        """Return the answer to a request for anything but rows: no such thing is given here."""
        return Reply(id=request.id, ok=False, message=f"{request.verb} is answered at the control endpoint")

    @property
    def quiet(self) -> bool:
        """True where nobody has asked for rows for a while."""
        return time.monotonic() - self.asked_at > QUIET_S

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _answer(self, user: str | None, frames: Sequence[zmq.Frame]) -> list[Buffer]:
        """Return the answer to a message, nothing to one that cannot be understood."""
        try:
            request, _ = HISTORY_REQUESTS.unpack([frame.bytes for frame in frames])
        except MessageError:
            self.rejected += 1
            return []
        verb = "fetch" if isinstance(request, Fetch) else request.verb
        if self._gatehouse is not None and (why_not := self._gatehouse.refuse("history", user, verb)):
            return pack(Reply(id=request.id, ok=False, message=why_not))
        if isinstance(request, Fetch):
            self.asked_at = time.monotonic()
            return self._history.answer(request)
        return pack(self.reply(request))
