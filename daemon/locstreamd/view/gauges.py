"""The numbers that decide, from the latest batches: rates, medians, latency."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

import numpy as np

from locstream.localizations import Localizations, joined, precision_nm
from locstream.results.frames import FrameRecords
from locstreamd.view.latency import Latencies

RECENT_FRAMES = 200
RATE_WINDOW_S = 2.0


class Medians(NamedTuple):
    """What the latest frames held; all 0 where nothing was found, and None where there is no depth."""

    per_frame: float = 0.0
    photons: float = 0.0
    background: float = 0.0
    precision_nm: float = 0.0
    sigma_nm: float = 0.0
    z_nm: float | None = None
    z_precision_nm: float | None = None


class Gauges:
    """Rolling numbers over the latest frames; constant memory.

    Attributes
    ----------
    committed, published
        From the time of a frame to its localizations committed on disk, and published.
    """

    def __init__(self) -> None:
        self._batches: deque[tuple[int, Localizations]] = deque()
        self._frames = 0
        self._marks: deque[tuple[float, int, int]] = deque()
        self.committed = Latencies()
        self.published = Latencies()

    def add_batch(self, rows: Localizations, records: FrameRecords) -> None:
        """Take a batch that has just been committed."""
        self._batches.append((len(records), rows))
        self._frames += len(records)
        while len(self._batches) > 1 and self._frames - self._batches[0][0] >= RECENT_FRAMES:
            self._frames -= self._batches.popleft()[0]
        self.committed.add(time.time() - records["time_s"])

    def note_published(self, records: FrameRecords) -> None:
        """Note that a batch has just been published."""
        self.published.add(time.time() - records["time_s"])

    def rates(self, acquired: int, settled: int) -> tuple[float, float]:
        """Return frames per second acquired and fitted over the last two seconds."""
        now = time.monotonic()
        self._marks.append((now, acquired, settled))
        while len(self._marks) > 2 and now - self._marks[1][0] >= RATE_WINDOW_S:
            self._marks.popleft()
        then, acquired_then, settled_then = self._marks[0]
        span = now - then
        return ((acquired - acquired_then) / span, (settled - settled_then) / span) if span > 0 else (0.0, 0.0)

    def medians(self) -> Medians:
        """Return medians over the latest frames."""
        rows = [r for _, r in self._batches if len(r)]
        if not rows:
            return Medians()
        table = joined(rows)
        return Medians(
            per_frame=len(table) / self._frames,
            photons=float(np.median(table["photons"])),
            background=float(np.median(table["background"])),
            precision_nm=float(np.median(precision_nm(table))),
            sigma_nm=float(np.median(table["sigma_x_nm"])),
            z_nm=_median(table, "z_nm"),
            z_precision_nm=_median(table, "z_uncertainty_nm"),
        )


def _median(table: Localizations, column: str) -> float | None:
    return float(np.median(table[column])) if column in (table.dtype.names or ()) else None
