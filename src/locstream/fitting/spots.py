"""Spots: the boxes of pixels around the peaks of a frame, and where their fits start."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, X, Y
from locstream.fitting.matched_filter import Peaks
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


U = np.uintp
"""An index that numba does not test for being negative."""

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _centroid(
    counts: Floats, known: Floats, n: int, box: int, row: int, column: int, background: float
) -> tuple[float, float]:
    """Return the centre of the light above the background around a pixel of the box: column, row."""
    total = moment_x = moment_y = 0.0
    spot = U(n)
    for j in range(U(max(row - CENTROID_PX, 0)), U(min(row + CENTROID_PX + 1, box))):
        for i in range(U(max(column - CENTROID_PX, 0)), U(min(column + CENTROID_PX + 1, box))):
            p = j * U(box) + i
            above = max(counts[spot, p] - known[spot, p] - background, 0.0)
            total += above
            moment_x += above * np.intp(i)
            moment_y += above * np.intp(j)
    return (moment_x / total, moment_y / total) if total > 0 else (float(column), float(row))


@_jit
def _cut(
    image: Image, offset: Floats, scale: Floats, variance: Floats, top: int, left: int, box: int, counts: Floats,
    known: Floats, n: int,
) -> np.uint16:  # fmt: skip
    """Cut one box and return its highest value, ADU."""
    spot, highest = U(n), np.uint16(0)
    for j in range(box):
        y, first = U(top + j), U(j * box)
        offset_row, scale_row = U(min(top + j, offset.shape[0] - 1)), U(min(top + j, scale.shape[0] - 1))
        variance_row = U(min(top + j, variance.shape[0] - 1))
        for i in range(U(box)):
            x = U(left) + i
            light = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x]
            known[spot, first + i] = variance[variance_row, x]
            counts[spot, first + i] = light + variance[variance_row, x]
            highest = max(highest, image[y, x])
    return highest


@_jit
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
        row, column, background = peaks.pixel[n, 0], peaks.pixel[n, 1], peaks.background[n]
        top = min(max(row - box // 2, 0), rows - box)
        left = min(max(column - box // 2, 0), columns - box)
        corner[n, 0], corner[n, 1] = top, left
        highest = _cut(image, offset, scale, variance, top, left, box, counts, known, n)
        start[n, X], start[n, Y] = _centroid(counts, known, n, box, row - top, column - left, background)
        start[n, PHOTONS] = max(peaks.height[n] * photons_per_height, np.float32(1))
        start[n, SIGMA] = sigma
        start[n, BACKGROUND] = max(background, np.float32(0.1))
        if highest >= saturation_adu:
            counts[n, 0] = np.nan
