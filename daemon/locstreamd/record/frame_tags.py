"""What Micro-Manager notes beside a frame: its number and its time."""

from __future__ import annotations

import time
from datetime import datetime

from locstream.errors import SourceError
from locstreamd.record.mmcore import Metadata

IMAGE_NUMBER = "ImageNumber"
ELAPSED = "ElapsedTime-ms"
RECEIVED = "TimeReceivedByCore"


class FrameNumbers:
    """Numbers frames from 0; a number that is missing was lost, and none comes twice.

    Parameters
    ----------
    tag
        Tag in which the camera's driver counts; its first count becomes 0. "" for the core's own number,
        which counts the frames offered to the core and cannot know what was lost before.
    """

    def __init__(self, tag: str = "") -> None:
        self.last = -1
        self._tag = tag or IMAGE_NUMBER
        self._zero: int | None = None if tag else 0

    def next(self, tags: Metadata) -> int:
        """Return the number of the next frame.

        Raises
        ------
        SourceError
            The tag is missing, is not a number, or does not go up.
        """
        if self._tag not in tags or not (text := tags[self._tag].strip()).isdecimal():
            given = f"says {tags[self._tag]!r}" if self._tag in tags else "is missing"
            raise SourceError(
                f"the tag {self._tag!r}, by which frames are to be numbered, {given}",
                todo=f"give as frame_counter one of {', '.join(sorted(tags))}, or leave it out",
            )
        count = int(text)
        if self._zero is None:
            self._zero = count
        number = count - self._zero
        if number <= self.last:
            raise SourceError(
                f"the camera went back from frame {self.last:,} to frame {number:,}",
                todo="see that no other program clears Micro-Manager's buffer or restarts the camera, and start again",
            )
        self.last = number
        return number


class FrameClock:
    """Says when frames were taken, in seconds since the epoch (UTC).

    ``ElapsedTime-ms`` runs evenly, and is the camera's own clock where the adapter has one, but begins
    anywhere. ``TimeReceivedByCore`` is wall time without a zone: it jumps with daylight saving and when
    the computer's clock is corrected. So the wall time of the first frame is taken, and from there on
    what has elapsed.
    """

    def __init__(self) -> None:
        self._zero_s: float | None = None

    def time_s(self, tags: Metadata) -> float:
        """Return the time of a frame; the computer's, where nothing sensible is noted."""
        now_s = time.time()
        try:
            elapsed_s = float(tags[ELAPSED]) / 1000
        except (KeyError, ValueError):
            return now_s
        if self._zero_s is None:
            self._zero_s = _received_s(tags, now_s) - elapsed_s
        return self._zero_s + elapsed_s


def _received_s(tags: Metadata, now_s: float) -> float:
    try:
        return epoch_s(tags[RECEIVED], now_s)
    except (KeyError, ValueError):
        return now_s


def epoch_s(local: str, now_s: float) -> float:
    """Convert Micro-Manager's local time to seconds since the epoch (UTC).

    Parameters
    ----------
    local
        ISO 8601 without a zone, in the computer's zone.
    now_s
        About now, seconds since the epoch; it decides in the hour that comes twice in autumn.
    """
    wall = datetime.fromisoformat(local)
    return min((wall.replace(fold=fold).timestamp() for fold in (0, 1)), key=lambda t: abs(t - now_s))
