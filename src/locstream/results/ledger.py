"""The frame ledger: every frame the camera gave is fitted, pending, skipped or failed, and in one place only."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from locstream.results.frames import FrameOutcome, FrameRecords

GAPS_KEPT = 1000
"""How many gaps a ledger lists; later ones are counted, not listed."""


@dataclass(frozen=True)
class LedgerSnapshot:
    """The ledger at one moment.

    Parameters
    ----------
    acquired
        Frames that came from the source.
    fitted, skipped, failed
        Frames that were settled, by outcome.
    pending
        Frames that were acquired and are not settled.
    camera_dropped
        Frame numbers that the camera left out. They are no part of `acquired`.
    last_acquired
        Number of the newest frame, None before the first.
    gaps
        ``(first missing number, how many)``, the first `GAPS_KEPT` of them.
    """

    acquired: int = 0
    fitted: int = 0
    pending: int = 0
    skipped: int = 0
    failed: int = 0
    camera_dropped: int = 0
    last_acquired: int | None = None
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def balanced(self) -> bool:
        """True where acquired = fitted + pending + skipped + failed."""
        return self.acquired == self.fitted + self.pending + self.skipped + self.failed

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers under their names, as JSON can hold them."""
        return asdict(self) | {"gaps": [list(gap) for gap in self.gaps]}


class Ledger:
    """Counts frames as they come and as they are settled. Used from one thread.

    Only the frames in flight are remembered, so its memory is theirs; each call takes the same time.

    Parameters
    ----------
    first
        Number of the first frame that the source should give; a later start counts as a gap.
    """

    def __init__(self, first: int = 0) -> None:
        self._next = first
        self._acquired = 0
        self._pending: set[int] = set()
        self._settled: Counter[FrameOutcome] = Counter()
        self._dropped = 0
        self._gaps: tuple[tuple[int, int], ...] = ()

    def acquire(self, number: int) -> None:
        """Enter a frame that came from the source.

        Parameters
        ----------
        number
            Its frame number, larger than every one before; numbers between were dropped by the camera.

        Raises
        ------
        ValueError
            The number is not larger than the one before.
        """
        missing = number - self._next
        if missing < 0:
            raise ValueError(f"frame {number} came after frame {self._next - 1}")
        if missing:
            self._dropped += missing
            if len(self._gaps) < GAPS_KEPT:
                self._gaps += ((self._next, missing),)
        self._pending.add(number)
        self._acquired += 1
        self._next = number + 1

    def settle(self, number: int, outcome: FrameOutcome) -> None:
        """Enter what became of a frame.

        Parameters
        ----------
        number
            A frame that was acquired and not settled.
        outcome
            What became of it.

        Raises
        ------
        ValueError
            The frame was never acquired, or it was settled before.
        """
        if number not in self._pending:
            why = "was never acquired" if number >= self._next else "is settled already, or the camera dropped it"
            raise ValueError(f"frame {number} cannot be settled: it {why}")
        self._pending.remove(number)
        self._settled[outcome] += 1

    def is_pending(self, number: int) -> bool:
        """Return whether the frame is in flight; a result for one that is not is a duplicate."""
        return number in self._pending

    def snapshot(self) -> LedgerSnapshot:
        """Return the counts of this moment."""
        return LedgerSnapshot(
            acquired=self._acquired,
            fitted=self._settled[FrameOutcome.FITTED],
            pending=len(self._pending),
            skipped=self._settled[FrameOutcome.SKIPPED],
            failed=self._settled[FrameOutcome.FAILED],
            camera_dropped=self._dropped,
            last_acquired=self._next - 1 if self._acquired else None,
            gaps=self._gaps,
        )


def snapshot_of(records: FrameRecords) -> LedgerSnapshot:
    """Return the ledger of frames that are all settled, from their records.

    Parameters
    ----------
    records
        Shape (n,), dtype `locstream.results.frames.FRAME_RECORD`, in frame order.
    """
    numbers = records["frame"].astype(np.int64)
    expected = np.concatenate([[0], numbers[:-1] + 1])[: len(numbers)]
    missing = numbers - expected
    gaps = np.flatnonzero(missing)[:GAPS_KEPT]
    settled = {outcome: int(np.count_nonzero(records["outcome"] == outcome)) for outcome in FrameOutcome}
    return LedgerSnapshot(
        acquired=len(records),
        fitted=settled[FrameOutcome.FITTED],
        skipped=settled[FrameOutcome.SKIPPED],
        failed=settled[FrameOutcome.FAILED],
        camera_dropped=int(missing.sum()),
        last_acquired=int(numbers[-1]) if len(numbers) else None,
        gaps=tuple(zip(expected[gaps].tolist(), missing[gaps].tolist(), strict=True)),
    )
