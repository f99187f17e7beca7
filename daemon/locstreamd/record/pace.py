"""How fast frames come: what the time between two of them says of those that are missing between."""

from __future__ import annotations

LEARNED_FROM = 10
"""Frames of a sequence after which its own pace is believed more than what the camera says of itself."""


class Pace:
    """The mean interval of a sequence of frames; constant memory."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None
        self._learned_s: float | None = None

    def see(self, number: int, time_s: float) -> None:
        """Take the number and the time of the next frame."""
        self._first = self._first or (number, time_s)
        self._last = (number, time_s)
        if (frames := number - self._first[0]) >= LEARNED_FROM and time_s > self._first[1]:
            self._learned_s = (time_s - self._first[1]) / frames

    def begin_again(self) -> None:
        """Learn from the next frame on; what was learned serves until then."""
        self._first = None

    def missing_before(self, time_s: float, usual_s: float | None) -> int | None:
        """Return how many frames would have come since the last one and before a frame of that time.

        Parameters
        ----------
        time_s
            Time of the next frame, seconds since the epoch.
        usual_s
            What the camera says of its interval, s; taken while too few frames have come to know it from them.

        Returns
        -------
        int or None
            None where there was no frame, or nothing is known of the interval.
        """
        interval_s = self._learned_s or usual_s
        if self._last is None or interval_s is None:
            return None
        return max(0, round((time_s - self._last[1]) / interval_s) - 1)
