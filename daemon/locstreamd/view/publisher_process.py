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

import zmq

from locstream.errors import LocstreamError, MessageError
from locstream.results.layout import final_path, live_path
from locstream.stream.messages import STREAM, TOPIC_END, End, Hello
from locstream.stream.wire import Buffer, pack
from locstreamd.gatehouse import Gatehouse
from locstreamd.view.history import History
from locstreamd.view.history_socket import HistorySocket
from locstreamd.view.link import (
    CATCH_UP_S,
    LINK_MESSAGES,
    ORDERS,
    Close,
    Failed,
    Greet,
    Here,
    Order,
    Send,
    Serve,
    Serving,
    Subscribers,
    TurnedAway,
)
from locstreamd.view.outlet import Outlet

POLL_MS = 200
NICE = 5
"""Niceness: the camera comes first."""
TURNED_AWAY_EVERY_S = 1.0


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
        self._history.begin(hello.acquisition, live, final_path(live), depth=hello.has_depth)

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
