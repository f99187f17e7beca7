"""What Micro-Manager notes beside a frame: its number and its time."""

from __future__ import annotations

import time
from datetime import datetime

from locstream.errors import SourceError
from locstreamd.record.mmcore import Metadata
from locstreamd.record.restarts import Gap

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
        self._counts_on = bool(tag)
        self._zero: int | None = None if tag else 0
        self._first = self._zero

    def next(self, tags: Metadata) -> int:
        """Return the number of the next frame.

        Raises
        ------
        SourceError
            The tag is missing, is not a number, or does not go up.
        """
        count = self._count(tags)
        if self._zero is None:
            self._zero = self._first = count
        number = count - self._zero
        if number <= self.last:
            raise SourceError(
                f"the camera went back from frame {self.last:,} to frame {number:,}",
                todo="see that no other program clears Micro-Manager's buffer or restarts the camera, and start again",
            )
        self.last = number
        return number

    def go_on(self, tags: Metadata, missing: int | None) -> Gap:
        """Number the first frame of a sequence that was started again; it becomes `last`.

        The core counts every sequence from 0. A driver may count on, which then says how many frames are missing;
        else the time that has passed has to.

        Parameters
        ----------
        tags
            Of that frame.
        missing
            Frames that would have come meanwhile, by the time that has passed; None where that is not known.

        Raises
        ------
        SourceError
            The tag is missing or is not a number.
        """
        count = self._count(tags)
        if self._counts_on and self._zero is not None and count - self._zero > self.last:
            gap = Gap(count - self._zero - self.last - 1, counted=True)
        else:
            self._first = count if self._first is None else self._first
            lost_again = max(0, count - self._first)
            gap = Gap(max(missing, lost_again) if missing is not None else lost_again or None, counted=False)
            self._zero = count - (self.last + 1 + (gap.missing or 0))
        self.last = count - self._zero
        return gap

    def _count(self, tags: Metadata) -> int:
        if self._tag not in tags or not (text := tags[self._tag].strip()).isdecimal():
            given = f"says {tags[self._tag]!r}" if self._tag in tags else "is missing"
            raise SourceError(
                f"the tag {self._tag!r}, by which frames are to be numbered, {given}",
                todo=f"give as frame_counter one of {', '.join(sorted(tags))}, or leave it out",
            )
        return int(text)


class FrameClock:
    """Says when frames were taken, in seconds since the epoch (UTC).

    ``ElapsedTime-ms`` runs evenly, and is the camera's own clock where the adapter has one, but begins
    anywhere. ``TimeReceivedByCore`` is wall time without a zone: it jumps with daylight saving and when
    the computer's clock is corrected. So the wall time of the first frame is taken, and from there on
    what has elapsed.
    """

    def __init__(self) -> None:
        self._zero_s: float | None = None

    def begin_again(self) -> None:
        """Take the wall time anew at the next frame: what has elapsed is counted from the start of a sequence."""
        self._zero_s = None

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
