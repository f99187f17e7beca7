"""The sample as the microscope shows it without super-resolution: the mean of camera frames that were looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from locstream.rendering.grid import Grid, Picture
from locstream.stacks.source import Image

DARKEST, BRIGHTEST = 1.0, 99.8
"""Percentiles of the mean that are shown black and brightest."""
DIMMED = 0.6
"""Its brightest grey, in parts of white: what lies over it stays the brighter."""

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class CameraAverage:
    """The mean of some camera frames; one more gives another.

    Parameters
    ----------
    mean
        Shape (rows, columns), float32, ADU.
    frames
        How many it is of.
    """

    mean: Picture
    frames: int

    def with_frame(self, image: Image) -> CameraAverage:
        """Return the mean of one more."""
        frames = self.frames + 1
        return CameraAverage(self.mean + (image - self.mean) / np.float32(frames), frames)

    def under(self, grid: Grid, pixel_size_nm: float) -> Grey:
        """Return it at the pixels of a picture, each interpolated between the four camera pixels around it.

        Parameters
        ----------
        grid
            Where the pixels lie.
        pixel_size_nm
            Edge of a camera pixel in the sample, nm.

        Returns
        -------
        numpy.ndarray
            Shape `grid.shape`, uint8; black outside the camera's field.
        """
        grey = self._grey
        x_nm, y_nm = grid.to_nm(np.arange(grid.columns, dtype=float), np.arange(grid.rows, dtype=float))
        across, inside_x = _between(x_nm / pixel_size_nm, grey.shape[1])
        down, inside_y = _between(y_nm / pixel_size_nm, grey.shape[0])
        lines = grey[down[0]] * (1 - down[2])[:, None] + grey[down[1]] * down[2][:, None]
        whole = lines[:, across[0]] * (1 - across[2]) + lines[:, across[1]] * across[2]
        return np.asarray(whole * (inside_y[:, None] & inside_x), np.uint8)

    @cached_property
    def _grey(self) -> Picture:
        """The mean in shades of grey, for every redraw until the next frame."""
        low, high = np.percentile(self.mean, (DARKEST, BRIGHTEST))
        scale = np.float32(255 * DIMMED / max(high - low, 1e-6))
        return np.asarray(np.clip((self.mean - np.float32(low)) * scale, 0, 255 * DIMMED), np.float32)


def begin_average(image: Image) -> CameraAverage:
    """Return the mean of a first frame."""
    return CameraAverage(image.astype(np.float32), 1)


def _between(
    places: npt.NDArray[np.floating], n: int
) -> tuple[
    tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]],
    npt.NDArray[np.bool_],
]:
    """Return the two pixels of an axis that each place lies between, its way from the first to the second, and whether
    it lies in the field at all. Places are px from the centre of pixel 0.
    """
    held = np.clip(places, 0, n - 1)
    first = np.minimum(held.astype(np.intp), max(n - 2, 0))
    second = np.minimum(first + 1, n - 1)
    return (first, second, (held - first).astype(np.float32)), (places >= -0.5) & (places < n - 0.5)
