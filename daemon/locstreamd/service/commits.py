"""Commits results from a thread of its own: a disk that takes its time never keeps the loop from the camera.

That thread is the only one that writes to the results file. One commit is under way at a time; what comes meanwhile
waits for the next, and `full` says when no more may come. What is handed back is on disk.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import zmq

from locstream.formats.picasso import as_stored
from locstream.localizations import Localizations, joined
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameRecords
from locstreamd.fit.answers import Settled
from locstreamd.record.doorbell import Doorbell
from locstreamd.service.events import Event

FRAMES_A_COMMIT = 256
"""At most; also what one message of the stream may hold."""
UNCOMMITTED_FRAMES = 2048
"""Fitted frames that may wait for the disk; then no more results are taken, and frames wait unfitted instead."""

Fitted = tuple[Localizations, FrameRecords, list[Settled]]
"""Rows, frame records and outcomes of some frames, in order."""


@dataclass(frozen=True, eq=False)
class Committed:
    """Frames that are on disk with their rows."""

    rows: Localizations
    records: FrameRecords
    settled: list[Settled]


class Commits:
    """The way of results to the disk; used from one thread.

    Parameters
    ----------
    context
        The context of the acquisition.
    most_hz
        Commits a second, at most.

    Attributes
    ----------
    busy_s
        Time that commits have taken, s.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], most_hz: float) -> None:
        self.busy_s = 0.0
        self._results: ResultsWriter | None = None
        self._interval_s = 1 / most_hz
        self._waiting: deque[Fitted] = deque()
        self._frames = 0
        self._events: list[Event] = []
        self._under_way: Future[Committed | None] | None = None
        self._began_at = 0.0
        self._doorbell = Doorbell(context)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def write_to(self, results: ResultsWriter) -> None:
        """Commit to this file from now on; nobody else uses it any more. It is closed by `finish`, or by `close`."""
        self._results = results

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """Readable once a commit is done."""
        return self._doorbell.socket

    @property
    def uncommitted(self) -> int:
        """Fitted frames that are not on disk."""
        return self._frames

    @property
    def full(self) -> bool:
        """True where no more may be added."""
        return self._frames >= UNCOMMITTED_FRAMES

    @property
    def idle(self) -> bool:
        """True where nothing waits, and nothing is under way."""
        return not self._frames and not self._events and self._under_way is None

    @property
    def rows(self) -> int:
        """Localizations that are on disk."""
        return 0 if self._results is None else self._results.n_rows

    def add(self, fitted: Fitted) -> None:
        """Have some frames committed, behind all before them."""
        self._waiting.append(fitted)
        self._frames += len(fitted[1])

    def note(self, event: Event) -> None:
        """Have an event stored."""
        self._events.append(event)

    def turn(self, *, hurry: bool) -> Committed | None:
        """Return what has been committed since; begin the next commit where it is time.

        Parameters
        ----------
        hurry
            Do not wait for the next multiple of the interval: nothing more is coming.

        Raises
        ------
        ResultsError
            The disk refused; what was committed before is safe.
        """
        self._doorbell.answer()
        done = self._take() if self._under_way is not None and self._under_way.done() else None
        now = time.monotonic()
        if self._results is None:
            return done  # events wait until there is a file
        if self._under_way is None and not self.idle and (hurry or now - self._began_at >= self._interval_s):
            self._begin()
        return done

    def drain(self) -> Iterator[Committed]:
        """Commit all that waits, and give what is committed as it is.

        Raises
        ------
        ResultsError
            The disk refused.
        """
        while self._results is not None and not self.idle and not self._results.closed:
            if self._under_way is None:
                self._begin()
            if (committed := self._take()) is not None:
                yield committed

    def finish(self) -> None:
        """Close the file behind the last commit. Raises `ResultsError` where the disk refuses."""
        self._thread.submit(self._file.close).result()

    def close(self) -> None:
        """Wait for what is under way and close the file, whatever waits. Safe to call twice."""
        self._thread.shutdown(wait=True)
        self._doorbell.close()
        if self._results is not None:
            self._results.close()

    @property
    def _file(self) -> ResultsWriter:
        if self._results is None:
            raise LookupError("there is no file to commit to")
        return self._results

    def _begin(self) -> None:
        self._began_at = time.monotonic()
        parts = [self._waiting.popleft()] if self._waiting else []
        frames = sum(len(part[1]) for part in parts)
        while self._waiting and frames + len(self._waiting[0][1]) <= FRAMES_A_COMMIT:
            parts.append(self._waiting.popleft())
            frames += len(parts[-1][1])
        events, self._events = self._events, []
        self._under_way = self._thread.submit(self._commit, parts, events)
        self._under_way.add_done_callback(lambda _: self._doorbell.ring())

    def _commit(self, parts: list[Fitted], events: list[Event]) -> Committed | None:
        """Write; in the thread of the commits."""
        began = time.monotonic()
        committed = None
        for event in events:
            self._file.append_event(event.name, event.text, event.time_s)
        if parts:
            rows, records, settled = zip(*parts, strict=True)
            fitted, committed_records = joined(rows), np.concatenate(records)
            self._file.append(fitted, committed_records)
            # What is published is what every reader of the file gets, to the last bit.
            stored = as_stored(fitted, self._file.header.pixel_size_nm)
            committed = Committed(stored, committed_records, [s for part in settled for s in part])
        self.busy_s += time.monotonic() - began
        return committed

    def _take(self) -> Committed | None:
        """Wait for the commit that is under way and return it, None where it was of events only."""
        if self._under_way is None:
            raise LookupError("no commit is under way")
        under_way, self._under_way = self._under_way, None
        committed = under_way.result()
        if committed is not None:
            self._frames -= len(committed.records)
        return committed
