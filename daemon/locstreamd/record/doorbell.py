"""A doorbell: a thread wakes the loop that owns the sockets."""

from __future__ import annotations

import zmq


class Doorbell:
    """Rung by one thread, heard by another in its poller; a bell that rings already is enough.

    Both ends are made, and closed, by the thread that hears it: should the other never come back from a driver or a
    disk, they can still be closed.

    Parameters
    ----------
    context
        The context of the acquisition.

    Attributes
    ----------
    socket
        Readable while it rings.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.socket = context.socket(zmq.PULL)
        self.socket.rcvhwm = 1
        self.socket.linger = 0
        address = f"inproc://doorbell-{id(self)}"
        self.socket.bind(address)
        self._button = context.socket(zmq.PUSH)
        self._button.sndhwm = 1
        self._button.linger = 0
        self._button.connect(address)

    def ring(self) -> None:
        """Wake who listens. Never waits; for the one thread that rings."""
        if self._button.poll(0, zmq.POLLOUT):
            self._button.send(b"", zmq.NOBLOCK)

    def answer(self) -> None:
        """Take the wake-ups that have been rung."""
        while self.socket.poll(0):
            self.socket.recv()

    def close(self) -> None:
        """Close both ends; nobody may ring any more."""
        self._button.close()
        self.socket.close()
