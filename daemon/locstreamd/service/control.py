"""The control socket: what is going on, and stop."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import zmq

from locstream.errors import MessageError
from locstream.stream.gate import heard
from locstream.stream.messages import CONTROL_REQUESTS, Reply, Request
from locstream.stream.wire import pack
from locstreamd.gatehouse import Gatehouse

MAX_MESSAGE_BYTES = 65_536
ANSWERS_A_TURN = 4
"""Requests that are answered before the acquisition goes on with its own work."""
WAITING_ANSWERS = 100
"""Answers that may wait for one client that does not read; it gets none beyond."""


class ControlSocket:
    """A ROUTER that answers requests with replies of the same id.

    Parameters
    ----------
    context
        The context of the acquisition.
    endpoint
        Where to bind; an ipc endpoint in the private runtime folder.
    gatehouse
        Says who may ask for what, where the socket listens there, too.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, gatehouse: Gatehouse) -> None:
        self.rejected = 0
        self._gatehouse = gatehouse
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 1_000
        self.socket.sndhwm = WAITING_ANSWERS
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self.socket.bind(endpoint)

    def answer(self, reply_to: Callable[[Request], Reply]) -> None:
        """Answer requests that have arrived; malformed ones are counted and dropped."""
        for user, (identity, *frames) in heard(self.socket, ANSWERS_A_TURN):
            try:
                request, _ = CONTROL_REQUESTS.unpack([frame.bytes for frame in frames])
            except MessageError:
                self.rejected += 1
                continue
            if why_not := self._gatehouse.refuse("control", user, request.verb):
                reply = Reply(id=request.id, ok=False, message=why_not)
            else:
                reply = reply_to(request)
                if user is not None and reply.hello is not None:  # where the files lie is nothing to another computer
                    hello = msgspec.structs.replace(reply.hello, folder="")
                    reply = msgspec.structs.replace(reply, hello=hello)
            self.socket.send_multipart([identity.bytes, *pack(reply)])

    def close(self) -> None:
        """Close the socket."""
        self._gatehouse.release(self.socket)
        self.socket.close()
