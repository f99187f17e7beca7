"""Spots: the boxes of pixels around the peaks of a frame, and where their fits start."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from locstream.compiled import Floats, Ints, U, apart, exact, inlined
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, X, Y
from locstream.fitting.lanes import Columns, Unknowns
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.sensor import Sensor
from locstream.fitting.starts import StartWeights, write_start
from locstream.stacks.source import Image

FEWEST = np.float32(0.5)
"""A fit starts with no fewer photons, in parts of what the height of its peak says: a neighbour can hide them."""
HIGHEST_ADU = 65_535
"""No pixel has more: a camera whose saturation is above it is never saturated."""


class Spots(NamedTuple):
    """The boxes of n peaks.

    Parameters
    ----------
    corner
        Row and column of each box's first pixel, shape (n, 2), int32.
    light
        That of each pixel, shape (n, box²), float32; not a number where the box has a saturated pixel.
    known
        The variance of each, shape (n, box²), float32; (1, box²) where all pixels are alike.
    start
        Shape (n, 5), float32: x and y from the box's first pixel, photons, sigma, background.
    photons
        What the height of the peak says, shape (n,), float32.
    """

    corner: Ints
    light: Floats
    known: Floats
    start: Floats
    photons: Floats


def room_for_spots(peaks: int, box: int, alike: bool = False) -> Spots:
    """Return room for the boxes of so many peaks; `alike` where the camera's pixels are."""
    light, known = np.empty((peaks, box * box), np.float32), np.empty((1 if alike else peaks, box * box), np.float32)
    start, photons = np.empty((peaks, 5), np.float32), np.empty(peaks, np.float32)
    return Spots(np.empty((peaks, 2), np.int32), light, known, start, photons)


@exact
def first_spots(spots: Spots, n: int) -> Spots:
    """Return the room of the first `n`."""
    corner, light, known, start, photons = spots
    return Spots(corner[:n], light[:n], known[: min(n, known.shape[0])], start[:n], photons[:n])


@apart
def _cut(
    image: Image, offset: Floats, scale: Floats, variance: Floats, top: int, left: int, columns: Columns,
    light: Floats, known: Floats,
) -> None:  # fmt: skip
    """Cut one box, four pixels of a row at a time: the last four overlap those before."""
    box = len(columns)
    for j in range(box):
        y = top + j
        pixels, offset_row, scale_row = U(y), U(min(y, offset.shape[0] - 1)), U(min(y, scale.shape[0] - 1))
        variance_row = U(min(y, variance.shape[0] - 1))
        for part in range((box + 3) // 4):
            first = min(4 * part, box - 4)
            for i in range(4):
                x, p = U(left + first + i), U(j * box + first + i)
                light[p] = (np.float32(image[pixels, x]) - offset[offset_row, x]) * scale[scale_row, x]
                known[p] = variance[variance_row, x]


@inlined
def _is_saturated(image: Image, top: int, left: int, columns: Columns, saturation_adu: float) -> bool:
    """Tell whether a pixel of the box tells nothing."""
    highest = np.uint16(0)
    for j in range(U(top), U(top + len(columns))):
        for i in range(U(left), U(left + len(columns))):
            highest = max(highest, image[j, i])
    return bool(highest >= saturation_adu)


@exact
def cut_spots(
    image: Image,
    camera: Sensor,
    saturation_adu: float,
    peaks: Peaks,
    photons_per_height: float,
    sigma: float,
    weights: StartWeights,
    compiled_for: tuple[Columns, Unknowns],
    spots: Spots,
) -> None:
    """Cut a box around each peak, moved inwards where it would reach over the edge of the frame.

    `compiled_for` is what `box_columns` gave for the box and the model, `weights` what `start_weights` did. A fit in a
    box that was moved starts from the peak.
    """
    columns, _ = compiled_for
    offset, scale, variance = camera
    corner, light, known, start, photons = spots
    box, (height, width) = len(columns), image.shape
    for n in range(peaks.pixel.shape[0]):
        row, column, background = peaks.pixel[n, 0], peaks.pixel[n, 1], peaks.background[n]
        top = min(max(row - box // 2, 0), height - box)
        left = min(max(column - box // 2, 0), width - box)
        _cut(image, offset, scale, variance, top, left, columns, light[n], known[min(n, known.shape[0] - 1)])
        corner[n, 0], corner[n, 1] = top, left
        photons[n] = max(peaks.height[n] * photons_per_height, np.float32(1))
        if top == row - box // 2 and left == column - box // 2:
            write_start(light[n], weights, sigma, FEWEST * photons[n], compiled_for, start[n])
        else:
            start[n, X], start[n, Y], start[n, PHOTONS] = column - left, row - top, photons[n]
            start[n, SIGMA], start[n, BACKGROUND] = sigma, max(background, np.float32(0.1))
        if saturation_adu <= HIGHEST_ADU and _is_saturated(image, top, left, columns, saturation_adu):
            light[n, 0] = np.nan
