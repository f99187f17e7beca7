"""Frames that wait for a worker: in memory while there is room, else on disk, in order either way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from locstream.stacks.source import Image


class Backlog:
    """A queue of frames whose memory is bounded.

    Once `limit_bytes` are held, frames that arrive are only counted; they are read back from the stack
    on disk when their turn comes, so memory stays flat however far fitting falls behind.

    Parameters
    ----------
    limit_bytes
        Bytes of frames held in memory.
    fetch
        Gives the pixels of a frame by its index from disk; None where there is no stack to read from.
    on_disk
        Says how many frames can be fetched so far.
    """

    def __init__(
        self, limit_bytes: int, fetch: Callable[[int], Image] | None = None, on_disk: Callable[[], int] = lambda: 0
    ) -> None:
        self._limit = limit_bytes
        self._fetch = fetch
        self._on_disk = on_disk
        self._held: deque[Image] = deque()
        self._bytes = 0
        self._first = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._first

    @property
    def next_index(self) -> int:
        """Index of the frame that `pop` gives next."""
        return self._first

    @property
    def spilled(self) -> int:
        """Frames that wait on disk only."""
        return len(self) - len(self._held)

    @property
    def held(self) -> int:
        """Frames that wait in memory."""
        return len(self._held)

    @property
    def held_bytes(self) -> int:
        """Memory taken by frames that wait, bytes."""
        return self._bytes

    @property
    def full(self) -> bool:
        """True where memory is used up and there is no disk to fall back on."""
        return self._fetch is None and self._bytes >= self._limit

    def push(self, image: Image) -> None:
        """Append the next acquired frame."""
        if self._fetch is None or (self.spilled == 0 and self._bytes < self._limit):
            self._held.append(image)
            self._bytes += image.nbytes
        self._end += 1

    def forget_unwritten(self) -> None:
        """Give up frames that wait on disk only and never got there; nothing more will be written."""
        self._end = min(self._end, max(self._first + len(self._held), self._on_disk()))

    def pop(self) -> tuple[int, Image] | None:
        """Return index and pixels of the next frame, or None where none can be had now.

        Raises
        ------
        StackError
            The frame cannot be read back from disk.
        """
        if not len(self):
            return None
        if self._held:
            image = self._held.popleft()
            self._bytes -= image.nbytes
        elif self._fetch is not None and self._first < self._on_disk():
            image = self._fetch(self._first)
        else:
            return None
        self._first += 1
        return self._first - 1, image
