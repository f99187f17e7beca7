"""What has arrived at a socket, a bounded part at a time: who floods a socket may not hold up whoever reads it."""

from __future__ import annotations

from collections.abc import Iterator

import zmq

MOST = 100
"""Messages that are taken in one go."""


def arrived(socket: zmq.Socket[bytes], most: int = MOST) -> Iterator[list[bytes]]:
    """Yield the messages that wait at a socket, `most` of them at most; never waits.

    Parameters
    ----------
    socket
        Any socket that receives.
    most
        What is beyond stays in the socket's queue, and beyond that with the sender.
    """
    for _ in range(most):
        if not socket.poll(0):
            return
        yield socket.recv_multipart()
