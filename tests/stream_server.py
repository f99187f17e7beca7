"""A small server of one growing results file: XPUB, ROUTER and `History`. In a thread, or in a process to be killed."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import zmq

from locstream.formats.picasso import as_stored
from locstream.results.file import ResultsWriter
from locstream.results.layout import final_path, live_path
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.digest import file_digest
from locstream.stream.messages import Batch, End, Hello, Published, Reply, Request, Status
from locstream.stream.wire import Buffer, pack
from locstreamd.gatehouse import Gatehouse
from locstreamd.view.history import History
from locstreamd.view.history_socket import HistorySocket
from results_example import PIXEL_SIZE_NM, batch, header

STATUS_S = 0.2
ANYWHERE = "tcp://127.0.0.1:*"
TOPICS = {Hello: b"hello", Batch: b"localizations", Status: b"status", End: b"end"}


class HistoryAndStatus(HistorySocket):
    """Gives the status, too, as the one endpoint of a small server may."""

    status: Callable[[Request], Reply]

    def reply(self, request: Request) -> Reply:
        return self.status(request) if request.verb == "status" else super().reply(request)


class Server:
    """Used from one thread.

    Parameters
    ----------
    folder
        Of the results files.
    stream, control
        Where to bind.
    gatehouse
        Where to have the stream and the history listen for those who are admitted, on loopback.
    high_water_mark
        Messages that wait for a slow subscriber.
    """

    def __init__(
        self,
        folder: Path,
        stream: str,
        control: str,
        *,
        gatehouse: Callable[[zmq.Context[zmq.Socket[bytes]]], Gatehouse] | None = None,
        high_water_mark: int = 200,
    ) -> None:
        self.folder = folder
        self.asked: list[Request] = []
        self.writer: ResultsWriter | None = None
        self._seq = self._frame = 0
        self._status_at = 0.0
        self._context = zmq.Context()
        self.gatehouse = None if gatehouse is None else gatehouse(self._context)
        self.refused: Counter[str] = Counter()
        self.history = History()
        self.xpub = self._context.socket(zmq.XPUB)
        self.xpub.linger = 0
        self.xpub.sndhwm = high_water_mark
        self.xpub.setsockopt(zmq.XPUB_VERBOSER, 1)
        self.xpub.bind(stream)
        self.router = HistoryAndStatus(self._context, self.history, [control], gatehouse=self.gatehouse)
        self.router.status = self._reply
        if self.gatehouse is not None:
            self.gatehouse.listen(self.xpub, "stream", ANYWHERE)
            self.gatehouse.listen(self.router.socket, "history", ANYWHERE)

    def begin(self, name: str, *, depth: bool = False) -> None:
        """Begin an acquisition, or go on with one whose server was killed."""
        live = live_path(self.folder, name)
        if live.exists():
            self.writer = ResultsWriter.resume(live)
            self._seq = 0
            self._frame = self.writer.n_frames
        else:
            self.writer = ResultsWriter(live, header(acquisition_id=name, name=name, depth=depth))
            self._seq = self._frame = 0
        self.history.begin(name, live, final_path(live))
        self._greet()

    def commit(self, frames: int = 5, *, per_frame: int = 20) -> None:
        """Commit some frames, then publish them."""
        assert self.writer is not None
        rows, records = batch(self._frame, frames, per_frame=per_frame)
        first = self.writer.n_rows
        self.writer.append(rows, records)
        message = Batch(
            acquisition=self._name, seq=0, frame_first=self._frame, frame_last=self._frame + frames - 1,
            row_first=first, rows=len(rows),
        )  # fmt: skip
        self._frame += frames
        self._publish(message, as_stored(rows, PIXEL_SIZE_NM).tobytes())

    def end(self) -> None:
        """End the acquisition in good order; the live file stays."""
        assert self.writer is not None
        self.writer.close()
        end = End(
            acquisition=self._name, seq=0, outcome="complete", frames=self._frame, rows=self.writer.n_rows,
            digest=file_digest(self.writer.path),
        )  # fmt: skip
        self.history.end(self._name, end)
        self._publish(end)
        self.writer = None

    def turn(self, wait_ms: int = 0) -> None:
        """Greet, answer, say the status."""
        poller = zmq.Poller()
        poller.register(self.xpub, zmq.POLLIN)
        poller.register(self.router.socket, zmq.POLLIN)
        poller.poll(wait_ms)
        while self.xpub.poll(0):
            if self.xpub.recv()[:1] == b"\x01":
                self._greet()
        self.router.answer()
        if self.gatehouse is not None:
            self.gatehouse.tend()
            for refusal, count in self.gatehouse.take_refusals().items():
                self.refused[refusal.reason] += count
        if self.writer is not None and time.monotonic() - self._status_at > STATUS_S:
            self._status_at = time.monotonic()
            self._publish(self._status())

    def close(self) -> None:
        """Close everything."""
        if self.writer is not None:
            self.writer.close()
        if self.gatehouse is not None:
            self.gatehouse.close()
        self.history.close()
        self.xpub.close()
        self.router.close()
        self._context.term()

    @property
    def guarded(self) -> tuple[str, str]:
        """Where the stream and the history listen for those who are admitted."""
        assert self.gatehouse is not None
        stream, history = (self.gatehouse.endpoints(socket) for socket in (self.xpub, self.router.socket))
        return stream.pop(), history.pop()

    @property
    def _name(self) -> str:
        assert self.writer is not None
        return self.writer.header.acquisition_id

    def _status(self) -> Status:
        rows = 0 if self.writer is None else self.writer.n_rows
        name = "" if self.writer is None else self._name
        return Status(acquisition=name, seq=0, state="acquiring", ledger=LedgerSnapshot(), localizations=rows)

    def _reply(self, request: Request) -> Reply:
        self.asked.append(request)
        return Reply(id=request.id, ok=True, status=self._status())

    def _greet(self) -> None:
        if self.writer is not None:
            head = self.writer.header
            hello = Hello(
                acquisition=self._name, seq=self._seq, name=head.name, software="test", width=head.width,
                height=head.height, pixel_size_nm=head.pixel_size_nm, started_s=head.started_s,
            )  # fmt: skip
            self.xpub.send_multipart([TOPICS[Hello], *pack(hello)])

    def _publish(self, message: Published, *rows: Buffer) -> None:
        numbered = msgspec.structs.replace(message, seq=self._seq)
        self._seq += 1
        self.xpub.send_multipart([TOPICS[type(message)], *pack(numbered, *rows)])


class ServerThread:
    """A server in a thread; use it as a context manager. Made in that thread, with the arguments of `Server`."""

    def __init__(self, make: Callable[[], Server]) -> None:
        self._make = make
        self._work: queue.Queue[tuple[Callable[[Server], object], queue.Queue[object]]] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def do(self, work: Callable[[Server], object]) -> object:
        """Have something done in the thread; wait until it is, and return what it gives."""
        done: queue.Queue[object] = queue.Queue()
        self._work.put((work, done))
        found = done.get(timeout=30)
        if isinstance(found, BaseException):
            raise found
        return found

    def _run(self) -> None:
        server = self._make()
        try:
            while not self._stop.is_set():
                server.turn(2)
                with contextlib.suppress(queue.Empty):
                    work, done = self._work.get_nowait()
                    try:
                        done.put(work(server))
                    except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
                        done.put(error)
        finally:
            server.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


def main(folder: str, stream: str, control: str, frames: str) -> None:
    """Commit and publish until there are so many frames, end, and stay for a while."""
    server = Server(Path(folder), stream, control)
    server.begin("killed")
    while server.writer is not None and server.writer.n_frames < int(frames):
        server.commit(5)
        server.turn(5)
    server.end()
    while True:
        server.turn(50)


if __name__ == "__main__":
    main(*sys.argv[1:])
