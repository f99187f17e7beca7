"""Starts a camera again whose sequence has ended unasked, as often as it may be; what happened is noted."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import NamedTuple, Protocol, runtime_checkable

from locstream.errors import SourceError
from locstream.stacks.source import Frame, FrameSource
from locstreamd.wording import times

BACKOFF_S = (0.0, 1.0, 2.0, 5.0)
"""Wait before the next start, after so many without a frame."""


class CameraStoppedError(SourceError):
    """The sequence ended unasked; every frame before has been read. It may be tried to start it again."""


class Gap(NamedTuple):
    """What lies between the last frame before a restart and the first one after it.

    Parameters
    ----------
    missing
        Frame numbers that are left out; None where nothing says how many, and then none is.
    counted
        True where the camera's own counter says so, False where it is reckoned from the time that has passed.
    """

    missing: int | None
    counted: bool

    def __str__(self) -> str:
        if self.missing is None:
            return "how many frames are missing is not known"
        return f"{self.missing:,} frames are missing, " + (
            "counted by the camera" if self.counted else "estimated from the time"
        )


class CameraEvent(NamedTuple):
    """Something that happened to the camera: kind, sentence, seconds since the epoch (UTC)."""

    name: str
    text: str
    time_s: float


@runtime_checkable
class Restartable(Protocol):
    """A source whose sequence can be started again after a `CameraStoppedError`."""

    @property
    def gap(self) -> Gap | None:
        """The last gap, once the first frame behind it was read."""

    def restart(self) -> None:
        """Start the sequence again; frame numbers go on. Raises `SourceError` where the camera refuses."""


class Restarts:
    """Counts and tries. Used from the thread of the capture; `events` may be emptied from another.

    Parameters
    ----------
    source
        What is started again, if it is `Restartable`.
    most
        How often in one acquisition.
    stopped
        Set once somebody wants no more frames; then nothing is started again.
    """

    def __init__(self, source: FrameSource, most: int, stopped: threading.Event) -> None:
        self.events: deque[CameraEvent] = deque()
        self.used = 0
        self._source = source
        self._most = most
        self._stopped = stopped
        self._since_a_frame = 0
        self._waiting = False

    def after(self, fault: CameraStoppedError) -> None:
        """Start the camera again after a fault; raises that where it may not be, or is of no use."""
        source = self._source
        if not self._most or not isinstance(source, Restartable):
            raise fault
        self._note("CameraStopped", fault.what)
        refusal = ""
        while self.used < self._most:
            if self._stopped.wait(BACKOFF_S[min(self._since_a_frame, len(BACKOFF_S) - 1)]):
                raise fault
            self.used += 1
            self._since_a_frame += 1
            try:
                source.restart()
            except SourceError as error:
                refusal = f": {error.what}"
                self._note("CameraRefused", error.what)
                continue
            self._waiting = True
            return
        raise SourceError(
            f"{fault.what}; it had been started again {times(self.used)}{refusal}", safe=fault.safe, todo=fault.todo
        )

    def see(self, frame: Frame) -> None:
        """Take notice of a frame: the first one after a restart tells what is missing."""
        if not self._waiting or not isinstance(self._source, Restartable):
            return
        self._waiting = False
        self._since_a_frame = 0
        text = f"the camera was started again and goes on with frame {frame.number:,}; {self._source.gap}"
        self._note("CameraRestarted", text, frame.time_s)

    def _note(self, name: str, text: str, time_s: float | None = None) -> None:
        self.events.append(CameraEvent(name, text, time.time() if time_s is None else time_s))
