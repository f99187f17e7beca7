"""What happened while an acquisition ran, as it is stored with the results: bounded, and the rest is counted."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from locstreamd.record.restarts import CameraEvent
from locstreamd.wording import times

KEPT_OF_A_KIND = 100
"""Events of one name that are stored one by one; the results file says at the end how many more there were."""
TOLD_OF_THE_CAMERA = 6
"""Sentences about the camera in the summary, the last of them."""


class Event(NamedTuple):
    """One event: kind, sentence, seconds since the epoch (UTC)."""

    name: str
    text: str
    time_s: float


class EventLog:
    """Stores the first events of every kind and counts the others.

    Parameters
    ----------
    store
        Takes those that are stored.
    """

    def __init__(self, store: Callable[[Event], None]) -> None:
        self._store = store
        self._counts: Counter[str] = Counter()

    def note(self, name: str, text: str, time_s: float | None = None) -> None:
        """Note that something happened, now where no time is given."""
        self._counts[name] += 1
        if self._counts[name] <= KEPT_OF_A_KIND:
            self._store(Event(name, text, time.time() if time_s is None else time_s))

    def count(self, name: str) -> int:
        """Return how many of a kind there were."""
        return self._counts[name]

    def end(self) -> None:
        """Store how many there were of kinds that were not stored one by one to the end."""
        for name, count in self._counts.items():
            if count > KEPT_OF_A_KIND:
                text = f"{count - KEPT_OF_A_KIND:,} more, {count:,} in all"
                self._store(Event(name, text, time.time()))


class Chronicle(EventLog):
    """What happens to an acquisition, as its parts tell it: into the event log, and in short into the summary.

    Parameters
    ----------
    store
        Takes the events that are stored.
    """

    def __init__(self, store: Callable[[Event], None]) -> None:
        super().__init__(store)
        self._of_the_camera: deque[str] = deque(maxlen=TOLD_OF_THE_CAMERA)
        self._deaths: dict[str, int] = {}
        self._first_failure = ""

    def camera(self, events: Iterable[CameraEvent]) -> None:
        """Note what has happened to the camera."""
        for name, text, time_s in events:
            self.note(name, text, time_s)
            self._of_the_camera.append(text)

    def deaths(self, counts: Mapping[str, int]) -> None:
        """Note the processes that have died since the last call, by how many there were in all."""
        for process, count in counts.items():
            for _ in range(self._deaths.get(process, 0), count):
                self.note(f"{process.capitalize()}Died", f"a {process} died and another is started")
            self._deaths[process] = count

    def failed(self, number: int, reason: str) -> None:
        """Note a frame that could not be fitted."""
        self._first_failure = self._first_failure or f"frame {number}: {reason}"
        self.note("FrameFailed", f"frame {number}: {reason}")

    def sentences(self) -> list[str]:
        """Return what the summary tells of it."""
        found = []
        if restarts := self.count("CameraRestarted"):
            found.append(f"the camera stopped unasked and was started again, {times(restarts)} in all")
        found += self._of_the_camera
        if self._first_failure:
            found.append(f"the first frame that could not be fitted is {self._first_failure}")
        return found
