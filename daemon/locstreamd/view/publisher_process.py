"""The publisher: a process of its own that sends what is committed to whoever subscribes.

It is apart so that subscribers cost the acquisition nothing: their queues lie in this process, and what they ask for
later is read from the results file here. It numbers nothing and keeps nothing. When it dies the acquisition starts
another, which binds the same endpoints; subscribers connect again by themselves and see in the numbers what they have
missed.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import zmq

from locstream.errors import LocstreamError, MessageError
from locstream.results.layout import final_path, live_path
from locstream.stream.arrivals import arrived
from locstream.stream.gate import Refusal
from locstream.stream.messages import STREAM, TOPIC_END, TOPIC_HELLO, End, Hello
from locstream.stream.wire import Buffer, Dialect, Message, pack
from locstreamd.gatehouse import Gatehouse
from locstreamd.view.history import History
from locstreamd.view.history_socket import HistorySocket

POLL_MS = 200
NICE = 5
"""Niceness: the camera comes first."""
LINK_MESSAGES = 200
"""Messages that may wait on their way from the acquisition to here, at either end."""
MAX_SUBSCRIPTION_BYTES = 1_024
TURNED_AWAY_EVERY_S = 1.0
CATCH_UP_S = 5.0
"""Those who have not read or fetched every row when all is over have so long, s."""
SUBSCRIBE, UNSUBSCRIBE = b"\x01", b"\x00"


class Order(Message, frozen=True, kw_only=True):
    """What the acquisition tells the publisher."""


class Serve(Order, frozen=True, kw_only=True, tag="serve"):
    """Bind the endpoints; so many messages may wait for a slow subscriber."""

    endpoints: tuple[str, ...]
    high_water_mark: int
    history: tuple[str, ...] = ()
    """Where rows from before are asked for."""
    guarded: tuple[str, str] | None = None
    """Where the stream and its history ask for keys."""


class Greet(Order, frozen=True, kw_only=True, tag="greet"):
    """Tell everybody what comes, and from now on everybody who subscribes; None: nothing comes for the time being."""

    hello: Hello | None


class Send(Order, frozen=True, kw_only=True, tag="send"):
    """Send message `seq` to all; topic, header and rows follow as buffers."""

    seq: int


class Close(Order, frozen=True, kw_only=True, tag="close"):
    """End."""


class Report(Message, frozen=True, kw_only=True):
    """What the publisher answers."""


class Here(Report, frozen=True, kw_only=True, tag="here"):
    """The process runs and waits for its first order."""


class Serving(Report, frozen=True, kw_only=True, tag="serving"):
    """The endpoints are bound."""


class Subscribers(Report, frozen=True, kw_only=True, tag="subscribers"):
    """So many programs follow."""

    count: int


class TurnedAway(Report, frozen=True, kw_only=True, tag="turned_away"):
    """So many connections and requests were refused since the last of these, and messages not understood."""

    refusals: tuple[tuple[Refusal, int], ...]
    rejected: int


class Failed(Report, frozen=True, kw_only=True, tag="failed"):
    """The endpoints cannot be had; the parts of the error."""

    what: str
    safe: str
    todo: str


ORDERS: Dialect[Order] = Dialect(Serve, Greet, Send, Close)
REPORTS: Dialect[Report] = Dialect(Here, Serving, Subscribers, TurnedAway, Failed)


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


class Office:
    """What the process has open, and what it does when it is told to.

    Parameters
    ----------
    link
        To the acquisition.
    context
        Of this process.
    """

    def __init__(self, link: zmq.Socket[bytes], context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._close_by = math.inf
        self._link = link
        self._context = context
        self._outlets: list[Outlet] = []
        self._history = History()
        self._archive: HistorySocket | None = None
        self._gatehouse = Gatehouse(context)
        self._rejected = 0
        self._told_at = 0.0

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What subscribers and those who catch up talk to; none before the first order."""
        return [part.socket for part in self._parts]

    @property
    def closed(self) -> bool:
        """True once it was told to close, and nobody catches up any more."""
        if self._close_by == math.inf:
            return False
        left = not any(outlet.subscribers for outlet in self._outlets)
        return (left and (self._archive is None or self._archive.quiet)) or time.monotonic() > self._close_by

    def tend(self) -> None:
        """See to those who subscribe, who leave, and who ask for rows from before."""
        news = [outlet.tend() for outlet in self._outlets]
        if any(news):
            self._link.send_multipart(pack(Subscribers(count=sum(outlet.subscribers for outlet in self._outlets))))
        if self._archive is not None:
            self._archive.answer()
        self._gatehouse.tend()
        if time.monotonic() - self._told_at > TURNED_AWAY_EVERY_S:
            self._told_at = time.monotonic()
            self._tell_who_was_turned_away()

    def obey(self, order: Order, buffers: list[Buffer]) -> None:
        """Do what the acquisition says.

        Raises
        ------
        MessageError
            It is not the time for such an order.
        LocstreamError
            An endpoint cannot be bound.
        """
        match order:
            case Serve() if not self._outlets:
                self._outlets.append(Outlet(self._context, order.endpoints, order.high_water_mark))
                self._archive = HistorySocket(self._context, self._history, order.history, gatehouse=self._gatehouse)
                if order.guarded is not None:
                    stream, history = order.guarded
                    self._outlets.append(Outlet(self._context, (), order.high_water_mark, tells_folder=False))
                    self._gatehouse.listen(self._outlets[-1].socket, "stream", stream)
                    self._gatehouse.listen(self._archive.socket, "history", history)
                self._link.send_multipart(pack(Serving()))
            case Greet() if self._outlets:
                for outlet in self._outlets:
                    outlet.greet(order.hello)
                if order.hello is not None:
                    self._open_history(order.hello)
            case Send() if self._outlets:
                for outlet in self._outlets:
                    outlet.send(order.seq, buffers)
                if buffers[0] == TOPIC_END:
                    self._end_history(buffers[1:])
            case Close():
                self._close_by = min(self._close_by, time.monotonic() + CATCH_UP_S)
            case _:
                raise MessageError(f"an order out of turn: {order}")

    def _open_history(self, hello: Hello) -> None:
        live = live_path(Path(hello.folder), hello.name)
        depth = any(spec.name == "z_nm" for spec in hello.fields)
        self._history.begin(hello.acquisition, live, final_path(live), depth=depth)

    def _end_history(self, parts: list[Buffer]) -> None:
        end, _ = STREAM.unpack(parts)
        if isinstance(end, End):
            self._history.end(end.acquisition, end)

    @property
    def _parts(self) -> list[Outlet | HistorySocket]:
        return [*self._outlets, *([self._archive] if self._archive is not None else [])]

    def _tell_who_was_turned_away(self) -> None:
        refusals = tuple(self._gatehouse.take_refusals().items())
        rejected = sum(part.rejected for part in self._parts)
        if refusals or rejected != self._rejected:
            self._link.send_multipart(pack(TurnedAway(refusals=refusals, rejected=rejected - self._rejected)))
            self._rejected = rejected

    def close(self) -> None:
        """Close the sockets and the file."""
        self._history.close()
        self._gatehouse.close()
        for socket in self.sockets:
            socket.close()


def serve(link: zmq.Socket[bytes], office: Office, parent: int) -> None:
    """Obey orders until told to close, or the parent process is gone: subscribers then see at once that it is."""
    parting = link.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    link.send_multipart(pack(Here()))
    try:
        while os.getppid() == parent and not office.closed:
            watched = [(socket, zmq.POLLIN) for socket in (link, parting, *office.sockets)]
            ready = dict(zmq.zmq_poll(watched, POLL_MS))
            office.tend()
            if link in ready:
                office.obey(*ORDERS.unpack(list(link.recv_multipart())))
            elif parting in ready:
                return
    finally:
        link.disable_monitor()
        parting.close()
        office.close()


def main() -> int:
    """Run it: ``python -m locstreamd.view.publisher_process ENDPOINT PARENT_PID IDENTITY``."""
    endpoint, parent, identity = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # An interrupt from the terminal goes to the whole group: the acquisition then closes us in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    with zmq.Context() as context, context.socket(zmq.DEALER) as link:
        link.linger = 1_000
        link.rcvhwm = LINK_MESSAGES
        link.setsockopt(zmq.IDENTITY, identity.encode("ascii"))
        link.connect(endpoint)
        try:
            serve(link, Office(link, context), parent)
        except LocstreamError as error:
            link.send_multipart(pack(Failed(what=error.what, safe=error.safe, todo=error.todo)))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
