"""A socket of the localization stream: who subscribes is greeted and counted, and nobody is waited for."""

from __future__ import annotations

import msgspec
import zmq

from locstream.errors import LocstreamError
from locstream.stream.arrivals import arrived
from locstream.stream.messages import TOPIC_HELLO, Hello
from locstream.stream.wire import Buffer, pack

MAX_SUBSCRIPTION_BYTES = 1_024
SUBSCRIBE, UNSUBSCRIBE = b"\x01", b"\x00"


class Outlet:
    """An XPUB socket. Never waits: a slow subscriber loses messages, and can tell.

    Parameters
    ----------
    context
        Of this process.
    endpoints
        Where to bind.
    high_water_mark
        Messages that wait for a slow subscriber.
    tells_folder
        Whether subscribers learn where the files grow: those on this computer may read them.

    Raises
    ------
    LocstreamError
        An endpoint cannot be bound.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: tuple[str, ...],
        high_water_mark: int,
        *,
        tells_folder: bool = True,
    ) -> None:
        self.subscribers = self.rejected = 0
        self._tells_folder = tells_folder
        self.hello: Hello | None = None
        self._next = 0
        self.socket = context.socket(zmq.XPUB)
        self.socket.sndhwm = high_water_mark
        self.socket.linger = 1_000
        self.socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # every subscriber counts, not only the first and the last
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)
        for endpoint in endpoints:
            self.socket.ipv6 = "[" in endpoint
            try:
                self.socket.bind(endpoint)
            except zmq.ZMQError as error:
                self.socket.close(linger=0)
                raise LocstreamError(
                    f"the localization stream cannot be bound to {endpoint}: {error.strerror}",
                    safe="nothing was acquired",
                    todo="another program, perhaps another run, uses it: choose another port for stream.listen",
                ) from error

    def tend(self) -> bool:
        """Greet who has subscribed, note who has left; return whether there was either."""
        before, come = self.subscribers, 0
        for event, *_ in arrived(self.socket):
            if event[:1] == SUBSCRIBE:
                come += 1
            elif event[:1] == UNSUBSCRIBE:
                self.subscribers = max(0, self.subscribers - 1)
            else:
                self.rejected += 1
        if come:
            self.subscribers += come
            self._greet()  # all of them, at once
        return come > 0 or self.subscribers != before

    def greet(self, hello: Hello | None) -> None:
        """Announce what comes to all who are there, and to all who come."""
        if hello is not None:
            self._next = hello.seq
            hello = hello if self._tells_folder else msgspec.structs.replace(hello, folder="")
        self.hello = hello
        self._greet()

    def send(self, seq: int, parts: list[Buffer]) -> None:
        """Send message `seq` to all."""
        self._next = seq + 1
        self.socket.send_multipart(parts)

    def _greet(self) -> None:
        if self.hello is not None:
            hello = msgspec.structs.replace(self.hello, seq=self._next)
            self.socket.send_multipart([TOPIC_HELLO, *pack(hello)])
