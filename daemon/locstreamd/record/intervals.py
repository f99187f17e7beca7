"""Time gaps between frames: a suspicion that the camera lost some before it counted them."""

from __future__ import annotations

from collections import deque
from statistics import median

WINDOW = 20
"""Frames that are compared with the time they took."""
SURE = 0.8
"""So much of an interval too long, left after the next window, counts as a frame."""
LEARNED_FROM = 500
"""Intervals from which the usual one is learnt."""


class IntervalWatch:
    """Counts frames that seem to be missing, by time alone; nothing is renumbered for it.

    A camera's driver may lose frames before Micro-Manager numbers them. So many frames then take longer than
    they should. A single frame that is late says nothing: where the time is the computer's, a busy moment
    makes it late, and the next ones follow sooner. A suspicion, told apart from what is known to be dropped.
    """

    def __init__(self) -> None:
        self.suspected = 0
        self._intervals_s: deque[float] = deque(maxlen=LEARNED_FROM)
        self._fresh = 0
        self._excess = 0.0
        self._last: tuple[int, float] | None = None

    def see(self, number: int, time_s: float) -> None:
        """Take the number and the time of the next frame."""
        before, self._last = self._last, (number, time_s)
        if before is None or number != before[0] + 1:
            return  # a gap in the numbers is counted already
        self._intervals_s.append(time_s - before[1])
        self._fresh += 1
        if self._fresh == WINDOW:
            self._fresh = 0
            self._weigh()

    def _weigh(self) -> None:
        """Compare a window with its usual interval; what is too long must not be made up for in the next."""
        usual_s = median(self._intervals_s)
        took_s = sum(list(self._intervals_s)[-WINDOW:])
        excess = took_s / usual_s - WINDOW if usual_s > 0 else 0.0
        self.suspected += int(max(0.0, self._excess + min(0.0, excess)) + 1 - SURE)
        self._excess = max(0.0, excess)
