"""Where an acquisition stands, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from locstream.errors import LocstreamError
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.quality import Quality
from locstream.stream.stages import Stages


class State(StrEnum):
    """Where the acquisition stands."""

    STARTING = "starting"
    ACQUIRING = "acquiring"
    FITTING = "fitting"
    DONE = "done"


@dataclass(frozen=True)
class Outcome:
    """How an acquisition ended.

    Parameters
    ----------
    outcome
        ``complete``, ``stopped`` (somebody asked) or ``faulted``.
    fault
        What went wrong, or None.
    ledger
        The frame ledger at the end; something is pending only where results could not be written.
    rows
        Localizations committed.
    started_s, finished_s
        Seconds since the epoch, from the first frame's request to the last committed row.
    acquiring_s
        How long the source gave frames, s; fitting took from `started_s` to `finished_s`.
    stages
        What each stage had done at the end, with the latencies.
    quality
        How well the last fits described what the camera saw.
    warnings
        Sentences for the user.
    """

    outcome: Literal["complete", "stopped", "faulted"]
    fault: LocstreamError | None
    ledger: LedgerSnapshot
    rows: int
    started_s: float
    finished_s: float
    acquiring_s: float
    stages: Stages
    quality: Quality
    warnings: tuple[str, ...]

    @property
    def acquired_fps(self) -> float | None:
        """Frames that came a second, None where it took no time."""
        return self.ledger.acquired / self.acquiring_s if self.acquiring_s else None

    @property
    def fitted_fps(self) -> float | None:
        """Frames that were settled a second, None where it took no time."""
        seconds = self.finished_s - self.started_s
        return (self.ledger.acquired - self.ledger.pending) / seconds if seconds else None
