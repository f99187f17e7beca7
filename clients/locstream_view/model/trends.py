"""Localizations per frame over the whole acquisition, in a memory that does not grow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BLOCKS = 1024


class Trend(NamedTuple):
    """A curve: mean localizations per frame of each block of frames.

    Parameters
    ----------
    frames
        Shape (n,): the middle of each block, frame number.
    per_frame
        Shape (n,): localizations per frame.
    """

    frames: npt.NDArray[np.float64]
    per_frame: npt.NDArray[np.float64]


class PerFrame:
    """Counts rows by blocks of frames; when there are too many blocks, each two become one."""

    def __init__(self) -> None:
        self.block = 1
        self.last_frame = -1
        self._counts = np.zeros(BLOCKS, np.int64)

    def add(self, frames: npt.NDArray[np.integer], last_frame: int) -> None:
        """Count rows by their frame.

        Parameters
        ----------
        frames
            Shape (n,): frame number of each row.
        last_frame
            The newest frame that is known to be done, whether or not it has rows.
        """
        self.last_frame = max(self.last_frame, last_frame, int(frames.max()) if len(frames) else -1)
        while self.last_frame // self.block >= BLOCKS:
            self._counts = np.concatenate([self._counts.reshape(-1, 2).sum(1), np.zeros(BLOCKS // 2, np.int64)])
            self.block *= 2
        self._counts += np.bincount(frames // self.block, minlength=BLOCKS)

    @property
    def trend(self) -> Trend:
        """The curve so far; a last block that is not full yet is left out, unless it is the only one."""
        whole = (self.last_frame + 1) // self.block
        if whole:
            starts = np.arange(whole) * self.block
            middles = np.asarray(starts + 0.5 * (self.block - 1), np.float64)
            return Trend(middles, np.asarray(self._counts[:whole] / self.block, np.float64))
        frames = self.last_frame + 1
        return Trend(np.zeros(min(frames, 1)), np.asarray(self._counts[: min(frames, 1)] / max(frames, 1), np.float64))
