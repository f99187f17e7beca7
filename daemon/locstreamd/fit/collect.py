"""Brings results into the order of acquisition and into batches that are committed whole."""

from __future__ import annotations

from locstream.localizations import Localizations, joined
from locstream.results.frames import FrameRecords, frame_records
from locstreamd.fit.answers import Settled
from locstreamd.record.frame_index import FrameIndex


class Collector:
    """Holds results until every frame before them has its own; bounded by the dispatcher's window.

    Parameters
    ----------
    index
        Numbers and times of the acquired frames.
    """

    def __init__(self, index: FrameIndex) -> None:
        self._index = index
        self._waiting: dict[int, Settled] = {}
        self._next = 0

    @property
    def settled_up_to(self) -> int:
        """Index of the oldest frame that has not been returned by `batch`."""
        return self._next

    @property
    def waiting(self) -> int:
        """Results that wait for an older frame's."""
        return len(self._waiting)

    def add(self, settled: Settled) -> None:
        """Take the result of one frame."""
        self._waiting[settled.index] = settled

    def batch(self) -> tuple[Localizations, FrameRecords, list[Settled]] | None:
        """Return rows, frame records and results of all frames that are next in order, or None."""
        run: list[Settled] = []
        while (settled := self._waiting.pop(self._next, None)) is not None:
            run.append(settled)
            self._next += 1
        if not run:
            return None
        records = frame_records(
            [self._index.number(s.index) for s in run],
            [self._index.time_s(s.index) for s in run],
            [len(s.rows) for s in run],
            [s.outcome for s in run],
        )
        return joined([s.rows for s in run]), records, run
