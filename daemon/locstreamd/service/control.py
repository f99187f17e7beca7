"""The control socket: what is going on, and stop."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from locstream.errors import MessageError
from locstream.stream.arrivals import arrived
from locstream.stream.messages import CONTROL_REQUESTS, Reply, Request
from locstream.stream.wire import pack

MAX_MESSAGE_BYTES = 65_536


class ControlSocket:
    """A ROUTER that answers requests with replies of the same id.

    Parameters
    ----------
    context
        The context of the acquisition.
    endpoint
        Where to bind; an ipc endpoint in the private runtime folder.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.rejected = 0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 1_000
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self.socket.bind(endpoint)

    def answer(self, reply_to: Callable[[Request], Reply]) -> None:
        """Answer requests that have arrived; malformed ones are counted and dropped."""
        for identity, *parts in arrived(self.socket):
            try:
                request, _ = CONTROL_REQUESTS.unpack(parts)
            except MessageError:
                self.rejected += 1
                continue
            self.socket.send_multipart([identity, *pack(reply_to(request))])

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
