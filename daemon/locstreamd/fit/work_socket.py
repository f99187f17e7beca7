"""The work socket: ROUTER here, one DEALER in each worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import zmq

from locstream.errors import LocstreamError
from locstream.stream.gate import heard
from locstream.stream.wire import Buffer
from locstreamd.gatehouse import Gatehouse

MAX_MESSAGE_BYTES = 64_000_000


class WorkSocket:
    """Where workers connect.

    Parameters
    ----------
    context
        The context of the acquisition.
    endpoint
        For workers of this computer.
    gatehouse
        Says who may work; None where workers of this computer alone can connect.
    listen
        Where workers with a key connect from other computers; "" for nowhere.

    Raises
    ------
    LocstreamError
        The address for other computers cannot be bound, or this one has no key.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        gatehouse: Gatehouse | None = None,
        listen: str = "",
    ) -> None:
        self._gatehouse = gatehouse
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 1_000
        self.socket.router_mandatory = True
        self.socket.sndhwm = 0  # bounded by credits
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self.socket.bind(endpoint)
        if gatehouse is not None and listen:
            try:
                gatehouse.listen(self.socket, "work", listen)
            except LocstreamError:
                self.socket.close()  # its context waits for it
                raise

    @property
    def quiet(self) -> bool:
        """Whether everything that has come was heard."""
        return not self.socket.poll(0)

    def heard(self) -> Iterator[tuple[bytes, str | None, list[Buffer]]]:
        """Yield what waits, a bounded part of it: whose connection, under which name admitted, the message."""
        for user, (identity, *frames) in heard(self.socket):
            yield identity.bytes, user, [frame.buffer for frame in frames]

    def post(self, identity: bytes, parts: Sequence[Buffer]) -> bool:
        """Send to one worker; False where it is gone."""
        try:
            self.socket.send_multipart([identity, *parts], copy=False)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def refuse(self, user: str | None) -> str:
        """Return why somebody may not work now, and count it; "" where they may."""
        return "" if self._gatehouse is None else self._gatehouse.refuse("work", user, "work")

    def take_gone(self) -> set[str]:
        """Return the names of those whose admission was taken back since the last call."""
        return set() if self._gatehouse is None else self._gatehouse.take_gone("work")

    def close(self) -> None:
        """Close the socket; what was sent has a moment to get there. Safe to call twice."""
        if self._gatehouse is not None:
            self._gatehouse.release(self.socket)
        self.socket.close()
