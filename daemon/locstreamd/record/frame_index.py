"""Which frame was acquired when, and where it lies on disk: 20 bytes a frame, for the whole run."""

from __future__ import annotations

from array import array


class FrameIndex:
    """Frames in the order in which they were acquired.

    A frame's *index* counts what was acquired; its *number* counts what the camera exposed. They
    differ behind a gap, which keeps its place in time.
    """

    def __init__(self) -> None:
        self._numbers = array("I")
        self._times = array("d")
        self._offsets = array("Q")

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int, time_s: float) -> int:
        """Note an acquired frame and return its index."""
        self._numbers.append(number)
        self._times.append(time_s)
        return len(self._numbers) - 1

    def number(self, index: int) -> int:
        """Return the frame number."""
        return self._numbers[index]

    def time_s(self, index: int) -> float:
        """Return the time of the frame, seconds since the epoch."""
        return self._times[index]

    @property
    def written(self) -> int:
        """Frames that are complete on disk; they are written in the order of acquisition."""
        return len(self._offsets)

    def note_written(self, offset_bytes: int) -> None:
        """Note where the pixels of the next frame begin in the stack on disk."""
        self._offsets.append(offset_bytes)

    def offset_bytes(self, index: int) -> int:
        """Return where the pixels of a written frame begin."""
        return self._offsets[index]
