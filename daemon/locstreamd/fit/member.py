"""A worker as the dispatcher knows it: what it holds, and how many frames it may hold."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from locstream.stacks.source import Image

NEWEST = 0.25
"""Weight of the newest measurement in an average."""
SLOW_S = 2.0
"""Where a frame takes longer to come back, the line is full: more frames on it would only come back later."""


class Held(NamedTuple):
    """A frame that is with a worker."""

    image: Image
    given_at: float
    alone: bool
    """Whether the worker held no other then: nothing but the way and the fit itself took time."""


@dataclass
class Member:
    """A worker that has joined; its credits come when it is ready.

    Parameters
    ----------
    number
        Counts the workers of an acquisition, from 1.
    pid
        Its process, where the acquisition has started it; None where it is somebody else's.
    instance
        The same for each connection of one process.
    lanes, vectors
        Molecules that it fits side by side, and the same in words.
    user
        Under which name its key is admitted; None where none was asked for.
    """

    number: int
    pid: int | None
    instance: str
    lanes: int
    vectors: str
    user: str | None
    credits: int = 0
    most: int = 0
    holds: dict[int, Held] = field(default_factory=dict)
    round_trip_s: float = 0.0
    """From giving a frame to having its rows, without the fit, s."""
    _fit_s: float = 0.0
    _latest_s: float = 0.0
    """From giving the frame that came back last to having its rows, s."""

    @property
    def name(self) -> str:
        """How it is spoken of."""
        return f"worker {self.number}" + ("" if self.user is None else f" ({self.user})")

    @property
    def under_way(self) -> int:
        """How many frames it could fit while one is on the way to it and back, of those that it takes."""
        return math.ceil(min(self.round_trip_s / self._fit_s, self.most)) if self._fit_s > 0 else 0

    def allowance(self, *, spare: bool) -> int:
        """Return how many frames it may hold: its credits, and where there is room as many more as are on the way."""
        if not spare or self._latest_s > SLOW_S:
            return self.credits
        return max(self.credits, min(self.credits + self.under_way, self.most))

    def give(self, index: int, image: Image) -> None:
        """Note that it holds a frame."""
        self.holds[index] = Held(image, time.monotonic(), alone=not self.holds)

    def settle(self, index: int, fit_s: float | None) -> bool:
        """Note that it has finished a frame, and what the fit took (None: refused); False where it did not hold it."""
        if (held := self.holds.pop(index, None)) is None:
            return False
        if fit_s is None:
            return True
        self._latest_s = time.monotonic() - held.given_at
        self._fit_s = _averaged(self._fit_s, fit_s)
        if held.alone:
            self.round_trip_s = _averaged(self.round_trip_s, max(0.0, self._latest_s - fit_s))
        return True

    def hangs(self, since: float) -> bool:
        """Return whether it holds a frame that it was given before a time of the monotonic clock."""
        return any(held.given_at < since for held in self.holds.values())


def _averaged(before: float, newest: float) -> float:
    return newest if not before else before + NEWEST * (newest - before)
