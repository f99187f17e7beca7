"""Mean and noise of every pixel over any number of frames, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from locstream.errors import ConfigError
from locstream.stacks.source import Image

Map = npt.NDArray[np.float64]
"""One value a pixel: shape (rows, columns)."""


class PixelStatistics:
    """What the frames of one stack have in common.

    Sums are those of differences to the first frame, in whole numbers: nothing is rounded however many
    frames there are, and nothing large is subtracted from something large (Chan, Golub & LeVeque, 1983).

    Parameters
    ----------
    what
        What the stack is, for messages: "the dark stack".
    frames
        Frames of one shape (rows, columns), uint16, ADU. Gone through once.

    Raises
    ------
    ConfigError
        There are fewer than two frames, or they differ in shape.
    """

    def __init__(self, what: str, frames: Iterable[Image]) -> None:
        self.what = what
        self.frames = 0
        for image in frames:
            if self.frames == 0:
                self._begin(image)
            self._add(image)
        if self.frames < 2:
            raise ConfigError(f"{what} holds {self.frames} frames; noise takes at least 2")

    def _begin(self, image: Image) -> None:
        self.shape: tuple[int, int] = image.shape
        self.highest = image.copy()
        """The highest value of each pixel, ADU."""
        self._first = self._last = image.astype(np.int64)
        self._sum = np.zeros(image.shape, np.int64)
        self._squares, self._step_squares = np.zeros_like(self._sum), np.zeros_like(self._sum)
        self._frame_steps_squared = 0.0

    def _add(self, image: Image) -> None:
        if image.shape != self.shape:
            raise ConfigError(
                f"{self.what}: frame {self.frames} has {image.shape[1]} × {image.shape[0]} px, "
                f"the first has {self.shape[1]} × {self.shape[0]} px",
                todo="record all frames of a calibration with one region and one binning",
            )
        now = image.astype(np.int64)
        self._squares += np.square(now - self._first)
        step = now - self._last
        self._sum += now - self._first
        self._step_squares += np.square(step)
        self._frame_steps_squared += float(step.mean()) ** 2
        np.maximum(self.highest, image, out=self.highest)
        self._last = now
        self.frames += 1

    @property
    def mean(self) -> Map:
        """Mean of each pixel, ADU."""
        return self._first + self._sum / self.frames

    @property
    def variance(self) -> Map:
        """Variance of each pixel over all frames, ADU²."""
        return (self._squares - np.square(self._sum.astype(np.float64)) / self.frames) / (self.frames - 1)

    @property
    def step_variance(self) -> Map:
        """Variance of each pixel from one frame to the next, ADU²; slow changes of lamp and camera are not in it."""
        return self._step_squares / (2 * (self.frames - 1))

    @property
    def degrees(self) -> float:
        """Degrees of freedom of `step_variance`; consecutive differences share a frame (von Neumann, 1941)."""
        return 2 * (self.frames - 1) ** 2 / (3 * self.frames - 4)

    @property
    def frame_step_variance(self) -> float:
        """Variance of the mean over all pixels from one frame to the next, ADU²."""
        return self._frame_steps_squared / (2 * (self.frames - 1))
