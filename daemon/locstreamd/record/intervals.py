"""Time gaps between frames: a suspicion that the camera lost some before it counted them."""

from __future__ import annotations

from statistics import median

LEARNED_FROM = 50
"""Intervals from which the usual one is learnt."""
SUSPICIOUS = 1.5
"""An interval longer than the usual one by this factor is suspicious."""


class IntervalWatch:
    """Counts frames that seem to be missing, by time alone; nothing is renumbered for it.

    A camera's driver may lose frames before Micro-Manager numbers them. If the camera has a clock, the next
    frame then comes late. A busy computer makes frames late too where the time is the computer's: so this
    is a suspicion, told apart from what is known to be dropped.
    """

    def __init__(self) -> None:
        self.suspected = 0
        self._usual_s: float | None = None
        self._first: list[float] = []
        self._last: tuple[int, float] | None = None

    def see(self, number: int, time_s: float) -> None:
        """Take the number and the time of the next frame."""
        before, self._last = self._last, (number, time_s)
        if before is None or number != before[0] + 1:
            return  # a gap in the numbers is counted already
        interval_s = time_s - before[1]
        if self._usual_s is None:
            self._first.append(interval_s)
            if len(self._first) == LEARNED_FROM:
                self._usual_s = median(self._first)
                late = [i for i in self._first if self._is_late(i)]
                self.suspected += sum(self._missing(i) for i in late)
                self._first.clear()
        elif self._is_late(interval_s):
            self.suspected += self._missing(interval_s)

    def _is_late(self, interval_s: float) -> bool:
        return self._usual_s is not None and self._usual_s > 0 and interval_s > SUSPICIOUS * self._usual_s

    def _missing(self, interval_s: float) -> int:
        return max(1, round(interval_s / self._usual_s) - 1) if self._usual_s else 0
