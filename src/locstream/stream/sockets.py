"""The sockets of a client, and how it learns that its key is refused."""

from __future__ import annotations

import zmq

from locstream.errors import LocstreamError
from locstream.stream.keys import ClientKeys, secure_client
from locstream.stream.liveness import notice_dead_lines

MAX_MESSAGE_BYTES = 64_000_000


def client_socket(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, keys: ClientKeys | None
) -> zmq.Socket[bytes]:
    """Return a socket that may be connected to an endpoint, with keys where they are given."""
    socket = context.socket(kind)
    socket.linger = 0
    notice_dead_lines(socket)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.ipv6 = "[" in endpoint
    if keys is not None:
        secure_client(socket, keys)
    return socket


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Connect, now or whenever somebody is there. Raises `LocstreamError` where this is no endpoint."""
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise LocstreamError(
            f"{endpoint!r} is not an endpoint: {error.strerror}", todo="give it as tcp://HOST:PORT, or as ipc://PATH"
        ) from error


def refusals_of(socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """Return the monitor of a socket with keys, which has a message when the other side has refused them.

    Before it is closed, `socket.disable_monitor()`: libzmq's own thread waits for the reader.
    """
    return socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)


def key_refused(endpoint: str) -> LocstreamError:
    """Return what is told of a key that was refused."""
    return LocstreamError(
        f"{endpoint} refused this computer's key",
        todo="on the server, `locstream keys list` says who is admitted and with which role",
    )
