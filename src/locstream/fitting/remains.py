"""What remains of a frame once the light of its molecules is taken away, and where more molecules show in it.

Works on the part of a frame where molecules crowd, not on all of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from locstream.compiled import Floats, Ints, U, kernel
from locstream.fitting.gaussian import PHOTONS, SIGMA, X, Y
from locstream.fitting.groups import GroupRoom, along_axis
from locstream.fitting.sensor import Sensor
from locstream.stacks.source import Image

REACH_SIGMAS = 4.0
"""The light of a molecule ends here, in parts of its width; beyond lies 1 part in 15,000."""
TILE_PX = 16
"""The background is the mean of what remains over a tile and those around it."""
MIN_BACKGROUND = 0.1


class Remains(NamedTuple):
    """A rectangle of a frame, and what is known of it.

    Parameters
    ----------
    top, left
        Its first pixel.
    excess
        Photons above the camera's offset, not a number where the pixel is saturated, shape (rows, columns).
    variance
        Of each pixel without light.
    light
        Of all molecules.
    background
        Of each tile.
    covered
        Whether a pixel lies in the box of a molecule.
    score, information
        Of one more molecule at each pixel.
    between
        Room to work in.
    """

    top: int
    left: int
    excess: Floats
    variance: Floats
    light: Floats
    background: Floats
    covered: npt.NDArray[np.bool_]
    score: Floats
    information: Floats
    between: Floats


@kernel
def remains_of(
    image: Image, camera: Sensor, saturation_adu: float, top: int, bottom: int, left: int, right: int
) -> Remains:
    """Take a rectangle out of a frame; it has no molecules yet."""
    offset, scale, variance = camera
    rows, columns = bottom - top, right - left
    excess, noise = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
    for j in range(rows):
        y = top + j
        offset_row, scale_row = min(y, offset.shape[0] - 1), min(y, scale.shape[0] - 1)
        variance_row = min(y, variance.shape[0] - 1)
        for i in range(columns):
            x = left + i
            noise[j, i] = variance[variance_row, x]
            excess[j, i] = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x]
            if image[y, x] >= saturation_adu:
                excess[j, i] = np.nan
    tiles = (rows + TILE_PX - 1) // TILE_PX, (columns + TILE_PX - 1) // TILE_PX
    planes = np.zeros((4, rows, columns), np.float32)
    covered = np.zeros((rows, columns), np.bool_)
    return Remains(
        top, left, excess, noise, planes[0], np.ones(tiles, np.float32), covered, planes[1], planes[2], planes[3]
    )


@kernel
def shine(part: float, member: Ints, members: int, estimate: Floats, remains: Remains, room: GroupRoom) -> None:
    """Add a part of some molecules' light to what is known of the rectangle; -1 takes it away."""
    top, left, light, edges, axis_x, axis_y = (
        remains.top, remains.left, remains.light, room.edges, room.axis_x, room.axis_y
    )  # fmt: skip
    rows, columns = light.shape
    for k in range(members):
        m = member[k]
        x, y, sigma = estimate[m, X] - left, estimate[m, Y] - top, estimate[m, SIGMA]
        reach, column, row = math.ceil(REACH_SIGMAS * sigma), round(x), round(y)
        first_column, end_column = max(column - reach, 0), min(column + reach + 1, columns)
        first_row, end_row = max(row - reach, 0), min(row + reach + 1, rows)
        if first_column >= end_column or first_row >= end_row:
            continue
        along_axis(x - first_column, sigma, end_column - first_column, edges, axis_x)
        along_axis(y - first_row, sigma, end_row - first_row, edges, axis_y)
        for j in range(U(end_row - first_row)):
            height = np.float32(part) * estimate[m, PHOTONS] * axis_y[U(0), j]
            for i in range(U(end_column - first_column)):
                light[U(first_row) + j, U(first_column) + i] += height * axis_x[U(0), i]


@kernel
def find_background(remains: Remains) -> None:
    """Take the mean of what remains over each tile and those around it."""
    excess, light, background = remains.excess, remains.light, remains.background
    rows, columns = excess.shape
    total, count = np.zeros(background.shape), np.zeros(background.shape)
    for j in range(rows):
        for i in range(columns):
            if not np.isnan(excess[j, i]):
                total[j // TILE_PX, i // TILE_PX] += excess[j, i] - light[j, i]
                count[j // TILE_PX, i // TILE_PX] += 1
    for j in range(background.shape[0]):
        for i in range(background.shape[1]):
            t = c = 0.0
            for v in range(max(j - 1, 0), min(j + 2, background.shape[0])):
                for u in range(max(i - 1, 0), min(i + 2, background.shape[1])):
                    t += total[v, u]
                    c += count[v, u]
            background[j, i] = max(t / max(c, 1.0), MIN_BACKGROUND)


@kernel
def background_here(remains: Remains, x: float, y: float) -> float:
    """Return the background at a place of the frame."""
    rows, columns = remains.excess.shape
    j = min(max(round(y) - remains.top, 0), rows - 1) // TILE_PX
    i = min(max(round(x) - remains.left, 0), columns - 1) // TILE_PX
    return float(remains.background[j, i])


@kernel
def noise_alone(remains: Remains, x: float, y: float, sigma: float) -> float:
    """Return the standard deviation of the photons that the matched filter finds where no molecule is."""
    rows, columns = remains.excess.shape
    j = min(max(round(y) - remains.top, 0), rows - 1)
    i = min(max(round(x) - remains.left, 0), columns - 1)
    return 2 * math.sqrt(math.pi) * sigma * math.sqrt(background_here(remains, x, y) + remains.variance[j, i])


@kernel
def cover(remains: Remains, x: float, y: float, box: int) -> None:
    """Mark the box around a molecule."""
    covered, (rows, columns) = remains.covered, remains.covered.shape
    row, column, half = round(y) - remains.top, round(x) - remains.left, box // 2
    covered[max(row - half, 0) : min(row + half + 1, rows), max(column - half, 0) : min(column + half + 1, columns)] = (
        True
    )


@kernel
def score_every_pixel(remains: Remains, profile: Floats) -> None:
    """Write the score of one more molecule at each pixel, and its information; `profile` as in `GroupRoom`."""
    excess, light, background, variance = remains.excess, remains.light, remains.background, remains.variance
    score, information, between = remains.score, remains.information, remains.between
    rows, columns = excess.shape
    for j in range(U(rows)):
        for i in range(U(columns)):
            mean = light[j, i] + background[j // U(TILE_PX), i // U(TILE_PX)]
            usable = not np.isnan(excess[j, i])
            weight = np.float32(1) / (mean + variance[j, i]) if usable else np.float32(0)
            information[j, i] = weight
            score[j, i] = weight * (excess[j, i] - mean) if usable else np.float32(0)
    for plane, which in ((score, U(0)), (information, U(1))):
        p0, p1, p2 = profile[which, U(0)], profile[which, U(1)], profile[which, U(2)]
        for j in range(U(2), U(rows - 2)):
            for i in range(U(columns)):
                between[j, i] = (
                    p0 * plane[j, i]
                    + p1 * (plane[j - U(1), i] + plane[j + U(1), i])
                    + p2 * (plane[j - U(2), i] + plane[j + U(2), i])
                )
        for j in range(U(2), U(rows - 2)):
            for i in range(U(2), U(columns - 2)):
                plane[j, i] = (
                    p0 * between[j, i]
                    + p1 * (between[j, i - U(1)] + between[j, i + U(1)])
                    + p2 * (between[j, i - U(2)] + between[j, i + U(2)])
                )


@kernel
def height_of_peak(remains: Remains, j: int, i: int, evidence: float) -> float:
    """Return the height of a molecule in the middle of a pixel outside the boxes; 0 where there is none.

    `evidence` is the least square of its score, in units of its variance, and no neighbour may have a higher one.
    """
    score, information = remains.score, remains.information
    if remains.covered[j, i] or score[j, i] <= 0 or score[j, i] ** 2 <= evidence * information[j, i]:
        return 0.0
    here = score[j, i] ** 2 / information[j, i]
    for v in range(j - 1, j + 2):
        for u in range(i - 1, i + 2):
            if score[v, u] > 0 and score[v, u] ** 2 > here * information[v, u]:
                return 0.0
    return float(score[j, i] / information[j, i])
