"""The raw writer: a process of its own that writes every frame to the stack on disk and says so.

It is apart because writing must neither wait for nor be slowed by fitting: h5py holds one lock a
process, Python one interpreter lock. When it dies the acquisition starts another, which goes on behind
the last complete page (`locstreamd.record.recording`).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import zmq

from locstream.errors import LocstreamError, MessageError
from locstream.stacks.live import LiveStackWriter
from locstream.stacks.live_page import PageWritten
from locstream.stream.wire import Dialect, Message, pack

POLL_MS = 500
QUEUE_FRAMES = 16
"""Frames that may wait in this process; the acquisition holds every frame until it is written, and counts them."""


class Order(Message, frozen=True, kw_only=True):
    """What the acquisition tells the recorder."""


class Open(Order, frozen=True, kw_only=True, tag="open"):
    """Create the stack, or go on with it behind page `after_index`, the last one reported, at `after_bytes`."""

    path: str
    height: int
    width: int
    fsync: bool
    again: bool = False
    after_index: int = -1
    after_bytes: int = 0


class Page(Order, frozen=True, kw_only=True, tag="page"):
    """Write one frame as page `index`, which is the next; its pixels follow as one buffer."""

    index: int
    number: int
    time_s: float


class Close(Order, frozen=True, kw_only=True, tag="close"):
    """Close the stack and end."""


class Report(Message, frozen=True, kw_only=True):
    """What the recorder answers."""


class Here(Report, frozen=True, kw_only=True, tag="here"):
    """The process runs and waits for its first order."""


class Ready(Report, frozen=True, kw_only=True, tag="ready"):
    """The stack is open, and every complete page in it has been reported."""


class Written(Report, frozen=True, kw_only=True, tag="written"):
    """Frame `index` is complete on disk after `busy_s` of writing; its pixels begin at `offset_bytes`."""

    index: int
    offset_bytes: int
    busy_s: float = 0.0


class Closed(Report, frozen=True, kw_only=True, tag="closed"):
    """The stack is closed with so many pages."""

    pages: int


class Failed(Report, frozen=True, kw_only=True, tag="failed"):
    """The stack cannot be written any further; the parts of the error."""

    what: str
    safe: str
    todo: str


ORDERS: Dialect[Order] = Dialect(Open, Page, Close)
REPORTS: Dialect[Report] = Dialect(Here, Ready, Written, Closed, Failed)


def serve(socket: zmq.Socket[bytes], parent: int) -> None:
    """Obey orders until told to close, the disk fails, or the parent process is gone."""
    writer: LiveStackWriter | None = None
    shape = (0, 0)
    socket.send_multipart(pack(Here()))
    try:
        while True:
            if not socket.poll(POLL_MS):
                if os.getppid() != parent:
                    return
                continue
            order, buffers = ORDERS.unpack(list(socket.recv_multipart()))
            match order:
                case Open():
                    shape = (order.height, order.width)
                    writer, unreported = open_stack(order)
                    for page in unreported:
                        report(socket, page)
                    socket.send_multipart(pack(Ready()))
                case Page() if writer is not None and order.index == writer.pages and len(buffers) == 1:
                    image = np.frombuffer(buffers[0], np.uint16).reshape(shape)
                    began = time.monotonic()
                    page = writer.append(image, order.number, order.time_s)
                    report(socket, page, time.monotonic() - began)
                case Close() if writer is not None:
                    writer.close()
                    socket.send_multipart(pack(Closed(pages=writer.pages)))
                    return
                case _:
                    raise MessageError(f"an order out of turn: {order}")
    finally:
        if writer is not None:
            writer.close()


def open_stack(order: Open) -> tuple[LiveStackWriter, list[PageWritten]]:
    """Return the writer, and the pages that one before it has completed and not reported."""
    path = Path(order.path)
    if not order.again:
        return LiveStackWriter(path, order.height, order.width, fsync=order.fsync), []
    after = PageWritten(order.after_index, order.after_bytes) if order.after_index >= 0 else None
    return LiveStackWriter.resume(path, order.height, order.width, fsync=order.fsync, after=after)


def report(socket: zmq.Socket[bytes], page: PageWritten, busy_s: float = 0.0) -> None:
    """Say that a page is complete on disk, and how long that took."""
    socket.send_multipart(pack(Written(index=page.index, offset_bytes=page.offset_bytes, busy_s=busy_s)))


def main() -> int:
    """Run the recorder: ``python -m locstreamd.record.recorder ENDPOINT PARENT_PID IDENTITY``."""
    endpoint, parent, identity = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # An interrupt from the terminal goes to the whole group: the acquisition then closes us in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 3_000
        socket.rcvhwm = QUEUE_FRAMES
        socket.setsockopt(zmq.IDENTITY, identity.encode("ascii"))
        socket.connect(endpoint)
        try:
            serve(socket, parent)
        except LocstreamError as error:
            socket.send_multipart(pack(Failed(what=error.what, safe=error.safe, todo=error.todo)))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
