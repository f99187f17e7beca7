"""The acquisition's side of the raw writer: hands frames over, keeps count of what is safe on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import zmq

from locstream.errors import LocstreamError
from locstream.stacks.live import read_page
from locstream.stacks.source import Image
from locstream.stream.wire import pack
from locstreamd.record.frame_index import FrameIndex
from locstreamd.record.recorder import REPORTS, Close, Closed, Failed, Open, Page, Ready, Written

START_TIMEOUT_S = 30.0


class Recording:
    """A stack that is being written by the recorder process.

    Parameters
    ----------
    path
        Where the live stack grows.
    height, width
        Shape of every frame, px.
    index
        Where the place of every written frame is noted.
    endpoint
        ipc endpoint for the recorder to connect to.
    context
        The context of the acquisition.
    limit_bytes
        Bytes of frames that may be on their way to disk; `full` says so, and nobody hands over more.
    fsync
        Whether every page is forced to the disk's platter.

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
        self._shape = (height, width)
        self._index = index
        self._limit = max(1, limit_bytes // (2 * height * width))
        self._sent = 0
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0  # bounded by `full`, not by dropping
        self.socket.bind(endpoint)
        command = [sys.executable, "-m", "locstreamd.record.recorder", endpoint, str(os.getpid())]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.socket.send_multipart(pack(Open(path=str(path), height=height, width=width, fsync=fsync)))
        self._wait_for(Ready, START_TIMEOUT_S)

    @property
    def full(self) -> bool:
        """True while as many frames are on their way to disk as may be."""
        return self.unwritten >= self._limit

    @property
    def unwritten(self) -> int:
        """Frames handed over and not yet reported as written."""
        return self._sent - self._index.written

    def hand_over(self, image: Image) -> None:
        """Send one frame to the recorder. The pixels must not change afterwards."""
        self.socket.send_multipart([*pack(Page(index=self._sent)), image.data], copy=False)
        self._sent += 1

    def receive(self) -> None:
        """Take the recorder's reports that have arrived.

        Raises
        ------
        LocstreamError
            The disk failed or the recorder died; says how many frames are safe.
        """
        while self.socket.poll(0):
            report, _ = REPORTS.unpack(list(self.socket.recv_multipart()))
            match report:
                case Written():
                    self._index.note_written(report.offset_bytes)
                case Closed():
                    self.pages = report.pages
                case Failed():
                    raise LocstreamError(report.what, safe=report.safe or self._what_is_safe(), todo=report.todo)
        status = self._process.poll()
        if status is not None and self.pages is None and not self.socket.poll(0):
            raise LocstreamError(
                f"the process that writes the raw stack ended unasked (status {status})",
                safe=self._what_is_safe(),
                todo="look for the reason in the system log (killed for memory?), then start a new acquisition",
            )

    def read(self, index: int) -> Image:
        """Read a written frame back from the growing stack. Raises `StackError`."""
        return read_page(self.path, self._index.offset_bytes(index), *self._shape)

    def finish(self, timeout_s: float = 60.0) -> int:
        """Have everything written and the stack closed; return its number of pages."""
        self.socket.send_multipart(pack(Close()))
        deadline = time.monotonic() + timeout_s
        while self.pages is None:
            if time.monotonic() > deadline:
                raise LocstreamError(
                    f"the raw stack was not closed within {timeout_s:g} s",
                    safe=self._what_is_safe(),
                    todo="check the disk",
                )
            self.socket.poll(100)
            self.receive()
        self._process.wait(timeout=10)
        return self.pages

    def close(self) -> None:
        """End the recorder process if it still runs; complete pages stay readable."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.socket.close()

    def _wait_for(self, kind: type[Ready], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.socket.poll(50):
                report, _ = REPORTS.unpack(list(self.socket.recv_multipart()))
                if isinstance(report, Failed):
                    self.close()
                    raise LocstreamError(report.what, safe=report.safe, todo=report.todo)
                if isinstance(report, kind):
                    return
            elif self._process.poll() is not None:
                break
        self.close()
        raise LocstreamError(
            "the process that writes the raw stack did not start",
            safe="nothing was acquired",
            todo="run the command again with the terminal in view; its own message stands above",
        )

    def _what_is_safe(self) -> str:
        return f"{self._index.written:,} frames are complete in {self.path}"
