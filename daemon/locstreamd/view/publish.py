"""The acquisition's side of the publisher: numbers what is committed and hands it over. Never waits for anybody.

Sending, and subscribers with all their queues, are the matter of a process of its own
(`locstreamd.view.publisher_process`). Where that is not there or too busy, messages are dropped and counted here.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping

import msgspec
import zmq

from locstream.errors import LocstreamError
from locstream.localizations import Localizations
from locstream.stream.arrivals import arrived
from locstream.stream.digest import RowsDigest
from locstream.stream.gate import Refusal
from locstream.stream.messages import (
    TOPIC_END,
    TOPIC_LOCALIZATIONS,
    TOPIC_STATUS,
    Batch,
    End,
    Hello,
    Published,
    Status,
)
from locstream.stream.wire import Buffer, pack
from locstreamd.child_process import ChildProcess
from locstreamd.view.link import (
    CATCH_UP_S,
    LINK_MESSAGES,
    REPORTS,
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

log = logging.getLogger("locstream")

START_TIMEOUT_S = 30.0
STALLED_S = 5.0
"""A publisher that takes nothing for so long, although something waits for it, is ended and started again."""
FAREWELL_S = 2.0
"""How long the last message waits for subscribers to read it and leave (libzmq loses it otherwise, issue 4660)."""
SUCCESSOR_S = 10.0
"""How long the last message waits for a publisher, where the one before has just died."""
RECONNECT_S = 0.5
"""How long subscribers have to find a publisher that was started again, before the last message is sent."""
CLOSE_S = 3.0 + CATCH_UP_S
WAIT_MS = 50


class Publisher:
    """The stream of one acquisition after another.

    Parameters
    ----------
    context
        The context of the acquisition.
    endpoints
        Where subscribers find it; the first, an ipc endpoint, is in the connection file.
    high_water_mark
        Messages that wait for a slow subscriber.
    link
        ipc endpoint for the publisher's process to connect to; "" for one beside the first of `endpoints`.
    history
        Where rows from before are asked for.
    guarded
        Where the stream and its history ask for keys; None: nowhere.

    Attributes
    ----------
    hello
        What is being acquired; None between acquisitions.
    subscribers
        Programs that follow.
    unpublished
        Messages of this acquisition that were dropped here.
    rejected
        Messages to the history, and subscriptions, that could not be understood.

    Raises
    ------
    LocstreamError
        An endpoint cannot be bound, or the process does not start.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: list[str],
        high_water_mark: int,
        link: str = "",
        history: list[str] | None = None,
        guarded: tuple[str, str] | None = None,
    ) -> None:
        self._digest = RowsDigest()
        link = link or f"{endpoints[0]}.link"
        self.hello: Hello | None = None
        self.subscribers = 0
        self.unpublished = self.rejected = 0
        self._seq = 0
        self._rows = 0
        self._serve = Serve(
            endpoints=tuple(endpoints), high_water_mark=high_water_mark, history=tuple(history or ()), guarded=guarded
        )
        self._refusals: Counter[Refusal] = Counter()
        self._ready = False
        self._refusal: Failed | None = None
        self._blocked_since: float | None = None
        self._back_at = 0.0
        self._deaths_before = 0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.router_mandatory = True
        self.socket.sndhwm = LINK_MESSAGES
        self.socket.bind(link)
        self._process = ChildProcess("locstreamd.view.publisher_process", "publisher", link)
        try:
            self._wait_until_serving()
        except BaseException:
            self.close()
            raise

    @property
    def deaths(self) -> int:
        """How often the process has died in this acquisition, and another has taken over."""
        return self._process.deaths - self._deaths_before

    def tend(self) -> None:
        """Hear who has subscribed and who has left; where the process has died or hangs, see to another."""
        self._hear()
        if self._blocked_since is not None and time.monotonic() - self._blocked_since > STALLED_S:
            self._process.kill()
        if (status := self._process.status) is not None:
            self._hear()
            self._process.bury()
            self._ready, self._blocked_since, self.subscribers = False, None, 0
            why = self._refusal.what if self._refusal is not None else f"status {status}"
            log.warning("the publisher died (%s) and is started again; the record goes on, viewers miss a moment", why)
        self._process.tend()

    def take_refusals(self) -> Mapping[Refusal, int]:
        """Return what the process has refused since the last call."""
        found, self._refusals = self._refusals, Counter()
        return found

    def begin(self, hello: Hello) -> None:
        """Begin an acquisition: its messages are numbered from 0, and everyone is told what comes."""
        self.hello = hello
        self._seq = self._rows = self.unpublished = 0
        self._digest = RowsDigest()
        self._deaths_before = self._process.deaths
        self._greet()

    def batch(self, rows: Localizations, frame_first: int, frame_last: int) -> None:
        """Publish committed rows."""
        message = Batch(
            acquisition=self._acquisition,
            seq=self._take_seq(),
            frame_first=frame_first,
            frame_last=frame_last,
            row_first=self._rows,
            rows=len(rows),
        )
        self._rows += len(rows)
        self._digest.add(rows)
        self._send(TOPIC_LOCALIZATIONS, message, rows.tobytes())

    def status(self, status: Status) -> None:
        """Publish the numbers that decide; the sequence number is given here."""
        self._send(TOPIC_STATUS, msgspec.structs.replace(status, seq=self._take_seq()))

    def end(self, outcome: str, frames: int, message: str) -> None:
        """Say that nothing follows, and wait a moment for subscribers to read it and leave."""
        end = End(
            acquisition=self._acquisition,
            seq=self._take_seq(),
            outcome=outcome,
            frames=frames,
            rows=self._rows,
            message=message,
            digest=self._digest.hexdigest(),
        )
        told, deadline = b"", time.monotonic() + SUCCESSOR_S
        while time.monotonic() < deadline:
            self.tend()
            if told != self._process.identity:  # one that dies with it on its tongue is followed by one that says it
                if self._ready and time.monotonic() - self._back_at > RECONNECT_S and self._send(TOPIC_END, end):
                    told, deadline = self._process.identity, time.monotonic() + FAREWELL_S
            elif not self.subscribers:
                break
            self.socket.poll(WAIT_MS)
        self.hello = None
        self._greet()

    def close(self) -> None:
        """End the process and close the socket."""
        self._order(Close())
        self._process.end(patience_s=CLOSE_S if self._ready else 0.0)
        self.socket.close()

    @property
    def _acquisition(self) -> str:
        return self.hello.acquisition if self.hello is not None else ""

    def _take_seq(self) -> int:
        self._seq += 1
        return self._seq - 1

    def _send(self, topic: bytes, message: Published, *buffers: Buffer) -> bool:
        """Hand a message over; where nobody takes it, count it. Return whether it was taken."""
        taken = self._order(Send(seq=message.seq), topic, *pack(message, *buffers))
        self.unpublished += not taken
        return taken

    def _greet(self) -> None:
        """Have everybody told what comes, also those who come later."""
        self._order(Greet(hello=self.hello and msgspec.structs.replace(self.hello, seq=self._seq)))

    def _order(self, order: Order, *buffers: Buffer) -> bool:
        """Send an order if it can be sent at once; return whether it was."""
        if not self._ready:
            return False
        try:
            self.socket.send_multipart([self._process.identity, *pack(order, *buffers)], zmq.NOBLOCK)
        except zmq.Again:
            self._blocked_since = self._blocked_since or time.monotonic()
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._ready = False  # it has died; `tend` will notice
            return False
        self._blocked_since = None
        return True

    def _hear(self) -> None:
        """Take the reports that have arrived."""
        for identity, *parts in arrived(self.socket):
            report, _ = REPORTS.unpack(parts)
            match report:
                case _ if identity != self._process.identity:
                    continue  # the last words of one that has died
                case Here():
                    self.socket.send_multipart([identity, *pack(self._serve)])
                case Serving():
                    self._ready, self._refusal = True, None
                    self._back_at = time.monotonic() if self._process.deaths else 0.0
                    self._greet()
                case Subscribers():
                    self.subscribers = report.count
                case TurnedAway():
                    self._refusals.update(dict(report.refusals))
                    self.rejected += report.rejected
                case Failed():
                    self._refusal = report

    def _wait_until_serving(self) -> None:
        while not self._ready:
            self.socket.poll(WAIT_MS)
            self._hear()
            if self._refusal is not None:
                raise LocstreamError(self._refusal.what, safe=self._refusal.safe, todo=self._refusal.todo)
            if not self._ready and (self._process.status is not None or self._process.age_s > START_TIMEOUT_S):
                raise LocstreamError(
                    "the process that publishes the localizations did not start",
                    safe="nothing was acquired",
                    todo="run the command again with the terminal in view; its own message stands above",
                )
