"""Spots: the boxes of pixels around the peaks of a frame, and where their fits start."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from locstream.fitting.detect import Peaks
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, X, Y
from locstream.fitting.sensor import Sensor
from locstream.stacks.source import Image

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

CENTROID_PX = 2
"""The fit starts from the centroid of the light over this many pixels on either side of the peak."""


class Spots(NamedTuple):
    """The boxes of n peaks.

    Parameters
    ----------
    corner
        Row and column of each box's first pixel, shape (n, 2), int32.
    counts
        Light and variance of each pixel added up, shape (n, box²), float32; not a number where the box has a
        saturated pixel.
    known
        The variance alone, shape (n, box²), float32.
    start
        Shape (n, 5), float32: x and y from the box's first pixel, photons, sigma, background.
    """

    corner: Ints
    counts: Floats
    known: Floats
    start: Floats


def room_for_spots(peaks: int, box: int) -> Spots:
    """Return room for the boxes of so many peaks."""
    counts, known = np.empty((2, peaks, box * box), np.float32)
    return Spots(np.empty((peaks, 2), np.int32), counts, known, np.empty((peaks, 5), np.float32))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def cut_spots(
    image: Image,
    camera: Sensor,
    saturation_adu: float,
    peaks: Peaks,
    photons_per_height: float,
    sigma: float,
    box: int,
    spots: Spots,
) -> None:
    """Cut a box around each peak, moved inwards where it would reach over the edge of the frame."""
    offset, scale, variance = camera
    corner, counts, known, start = spots
    rows, columns = image.shape
    for n in range(peaks.pixel.shape[0]):
        peak_y, peak_x, background = peaks.pixel[n, 0], peaks.pixel[n, 1], peaks.background[n]
        top = min(max(peak_y - box // 2, 0), rows - box)
        left = min(max(peak_x - box // 2, 0), columns - box)
        corner[n, 0], corner[n, 1] = top, left
        total = moment_x = moment_y = np.float32(0)
        saturated = False
        for j in range(box):
            y = top + j
            offset_row, scale_row, variance_row = y % offset.shape[0], y % scale.shape[0], y % variance.shape[0]
            for i in range(box):
                x = left + i
                light = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x]
                known[n, j * box + i] = variance[variance_row, x]
                counts[n, j * box + i] = light + variance[variance_row, x]
                saturated |= image[y, x] >= saturation_adu
                if abs(y - peak_y) <= CENTROID_PX and abs(x - peak_x) <= CENTROID_PX:
                    above = max(light - background, np.float32(0))
                    total += above
                    moment_x += above * np.float32(i)
                    moment_y += above * np.float32(j)
        if saturated:
            counts[n, 0] = np.nan
        start[n, X] = moment_x / total if total > 0 else np.float32(peak_x - left)
        start[n, Y] = moment_y / total if total > 0 else np.float32(peak_y - top)
        start[n, PHOTONS] = max(peaks.height[n] * photons_per_height, np.float32(1))
        start[n, SIGMA] = sigma
        start[n, BACKGROUND] = max(background, np.float32(0.1))
