"""Where an acquisition stands, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from locstream.errors import LocstreamError
from locstream.results.ledger import LedgerSnapshot


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
    latency_ms
        Median and 99th percentile from frame to committed row, ms.
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
    latency_ms: tuple[float, float] | None
    warnings: tuple[str, ...]
