"""Numbers the frames of a camera from 0, also those behind a restart."""

from __future__ import annotations

from locstreamd.record.frame_tags import FrameNumbers
from locstreamd.record.mmcore import Metadata
from locstreamd.record.pace import Pace
from locstreamd.record.restarts import Gap


class Numbering:
    """The number of each frame; after a restart it goes on behind the gap.

    Parameters
    ----------
    frame_counter
        Metadata tag by which frames are numbered, see `FrameNumbers`.
    paced
        Whether frames come at the camera's own rate: the time that has passed then says how many are missing.
    usual_s
        What the camera says of its interval, s; None where it says nothing.

    Attributes
    ----------
    gap
        What lies between the last two sequences, once the first frame of the second was numbered; None before.
    """

    def __init__(self, frame_counter: str, *, paced: bool, usual_s: float | None) -> None:
        self.gap: Gap | None = None
        self._paced = paced
        self._usual_s = usual_s
        self._numbers = FrameNumbers(frame_counter)
        self._pace = Pace()
        self._goes_on = False

    @property
    def last(self) -> int:
        """The last number; -1 before the first."""
        return self._numbers.last

    def begin_again(self) -> None:
        """Take the next frame for the first of a sequence that was started again."""
        self._goes_on = True

    def number(self, tags: Metadata, time_s: float) -> int:
        """Return the number of the next frame.

        Parameters
        ----------
        tags
            What Micro-Manager notes beside it.
        time_s
            Its time, seconds since the epoch.

        Raises
        ------
        SourceError
            The tag is missing, is not a number, or does not go up.
        """
        if self._goes_on:
            self._goes_on = False
            missing = self._pace.missing_before(time_s, self._usual_s) if self._paced else None
            self.gap = self._numbers.go_on(tags, missing)
            self._pace.begin_again()
        else:
            self._numbers.next(tags)
        self._pace.see(self.last, time_s)
        return self.last
