"""The acquisition's side of the raw writer: hands frames over, keeps count of what is safe on disk.

A frame is held here until the recorder has reported it as written. So when the recorder dies, the next one is
handed over again exactly what is missing: it opens the stack behind its last complete page and reports first what
the one before it could not.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from pathlib import Path

import zmq

from locstream.errors import LocstreamError
from locstream.stacks.live import read_page
from locstream.stacks.source import Image
from locstream.stream.wire import Buffer, pack
from locstreamd.child_process import DEATHS, WITHIN_S, ChildProcess
from locstreamd.record.frame_index import FrameIndex
from locstreamd.record.recorder import REPORTS, Close, Closed, Failed, Here, Open, Page, Ready, Written

log = logging.getLogger("locstream")

START_TIMEOUT_S = 30.0
FINISH_TIMEOUT_S = 60.0
LAST_WORDS_MS = 300
"""A recorder that has ended by itself has said why; it may still be on its way."""


class Recording:
    """A stack that is being written by the recorder process.

    Parameters
    ----------
    path
        Where the live stack grows.
    height, width
        Shape of every frame, px.
    index
        Number and time of every frame that is handed over; the place of every written one is noted there.
    endpoint
        ipc endpoint for the recorder to connect to.
    context
        The context of the acquisition.
    limit_bytes
        Bytes of frames that may be on their way to disk; `full` says so, and nobody hands over more.
    fsync
        Whether every page is forced to the disk's platter.

    Attributes
    ----------
    pages
        Number of pages of the stack once it is closed, None before.
    busy_s
        Time that recorders have spent writing, s.

    Raises
    ------
    LocstreamError
        The recorder cannot create the stack.
    """

    def __init__(
        self,
        path: Path,
        height: int,
        width: int,
        *,
        index: FrameIndex,
        endpoint: str,
        context: zmq.Context[zmq.Socket[bytes]],
        limit_bytes: int,
        fsync: bool,
    ) -> None:
        self.path = path
        self.pages: int | None = None
        self.busy_s = 0.0
        self._shape = (height, width)
        self._fsync = fsync
        self._index = index
        self._limit = max(1, limit_bytes // (2 * height * width))
        self._held: deque[Image] = deque()  # the first is frame `index.written`
        self._created = self._ready = self._closing = False
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.router_mandatory = True
        self.socket.sndhwm = self.socket.rcvhwm = 0  # bounded by `full`, not by dropping
        self.socket.bind(endpoint)
        self._process = ChildProcess("locstreamd.record.recorder", "recorder", endpoint)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    @property
    def full(self) -> bool:
        """True while as many frames are on their way to disk as may be."""
        return self.unwritten >= self._limit

    @property
    def capacity(self) -> int:
        """Frames that may be on their way to disk."""
        return self._limit

    @property
    def unwritten(self) -> int:
        """Frames handed over and not yet reported as written."""
        return len(self._held)

    @property
    def deaths(self) -> int:
        """How often the recorder has died and another has taken over."""
        return self._process.deaths

    def hand_over(self, image: Image) -> None:
        """Send the next frame of the index to the recorder. The pixels must not change afterwards."""
        self._held.append(image)
        if self._ready:
            self._send_page(self._index.written + len(self._held) - 1, image)

    def receive(self) -> None:
        """Take the recorder's reports that have arrived; where it has died, start another.

        Raises
        ------
        LocstreamError
            The disk failed, or the recorder dies again and again; says how many frames are safe.
        """
        self._hear()
        if not self._ready and self._process.age_s > START_TIMEOUT_S:
            self._process.end()
        if self.pages is None and (status := self._ended()) is not None:
            self._ready = False
            if not self._process.bury():
                raise LocstreamError(
                    f"the process that writes the raw stack ended unasked {DEATHS + 1} times within "
                    f"{WITHIN_S:g} s (status {status})",
                    safe=self._what_is_safe(),
                    todo="look for the reason in the system log (killed for memory?), then start a new acquisition",
                )
            log.warning("the writer of the raw stack died (status %d) and is started again; no frame is lost", status)
        self._process.tend()

    def read(self, index: int) -> Image:
        """Read a written frame back from the growing stack. Raises `StackError`."""
        return read_page(self.path, self._index.offset_bytes(index), *self._shape)

    def finish(self) -> int:
        """Have everything written and the stack closed; return its number of pages.

        Raises
        ------
        LocstreamError
            As `receive`, or nothing was written any more for `FINISH_TIMEOUT_S`.
        """
        self._closing = True
        if self._ready:
            self._send(pack(Close()))
        unwritten, deadline = self.unwritten, time.monotonic() + FINISH_TIMEOUT_S
        while self.pages is None:
            self.socket.poll(100)
            self.receive()
            if self.unwritten < unwritten:
                unwritten, deadline = self.unwritten, time.monotonic() + FINISH_TIMEOUT_S
            if time.monotonic() > deadline:
                raise LocstreamError(
                    f"the raw stack was not closed, and nothing more written to it, within {FINISH_TIMEOUT_S:g} s",
                    safe=self._what_is_safe(),
                    todo="check the disk",
                )
        self._process.end(patience_s=10.0)
        return self.pages

    def close(self) -> None:
        """End the recorder process if it still runs; complete pages stay readable."""
        self._process.end()
        self.socket.close()

    def _hear(self) -> None:
        """Take the reports that have arrived; also those of a recorder that has died since are true."""
        while self.socket.poll(0):
            identity, *parts = self.socket.recv_multipart()
            report, _ = REPORTS.unpack(parts)
            match report:
                case Here() if identity == self._process.identity:
                    self._send(pack(self._opening()))
                case Ready() if identity == self._process.identity:
                    self._go_on()
                case Written() if report.index == self._index.written:  # else it was reported before
                    self._index.note_written(report.offset_bytes)
                    self._held.popleft()
                    self.busy_s += report.busy_s
                case Closed():
                    self.pages = report.pages
                case Failed():
                    raise LocstreamError(report.what, safe=self._what_is_safe(), todo=report.todo)

    def _opening(self) -> Open:
        last = self._index.written - 1
        return Open(
            path=str(self.path),
            height=self._shape[0],
            width=self._shape[1],
            fsync=self._fsync,
            again=self._created,
            after_index=last,
            after_bytes=self._index.offset_bytes(last) if last >= 0 else 0,
        )

    def _go_on(self) -> None:
        """Hand over all that has been handed over and not been written, now that there is somebody to take it."""
        self._created = self._ready = True
        for index, image in enumerate(self._held, self._index.written):
            self._send_page(index, image)
        if self._closing:
            self._send(pack(Close()))

    def _send_page(self, index: int, image: Image) -> None:
        page = Page(index=index, number=self._index.number(index), time_s=self._index.time_s(index))
        self._send([*pack(page), image.data])

    def _send(self, parts: list[Buffer]) -> None:
        try:
            self.socket.send_multipart([self._process.identity, *parts], copy=False)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._ready = False  # it has died; the frame is held, and `receive` will notice

    def _ended(self) -> int | None:
        """Return how the recorder has ended unasked; None where it runs, or has told why it ended."""
        status = self._process.status
        if status is None:
            return None
        while status >= 0 and self.pages is None and self.socket.poll(LAST_WORDS_MS):
            self._hear()
        self._hear()
        return status if self.pages is None else None

    def _wait_until_ready(self) -> None:
        while not self._ready:
            self.socket.poll(50)
            self._hear()
            if not self._ready and (self._process.age_s > START_TIMEOUT_S or self._ended() is not None):
                raise LocstreamError(
                    "the process that writes the raw stack did not start",
                    safe="nothing was acquired",
                    todo="run the command again with the terminal in view; its own message stands above",
                )

    def _what_is_safe(self) -> str:
        written = self._index.written
        return (
            f"{written:,} frames are complete in the raw stack in {self.path.parent}"
            if written
            else "nothing was recorded yet"
        )
