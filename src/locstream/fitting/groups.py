"""Groups of molecules whose images overlap, and the pixels that tell of them.

The pixels of a group are those of its members' boxes, each once, none saturated. They are kept row by row, as runs of
pixels that lie side by side: so what is a product of a function of the row and one of the column is written along a
run with unit stride, and what is a sum over all pixels is one loop over a list.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from locstream.compiled import Doubles, Floats, Ints, U, apart, kernel
from locstream.fitting.buffers import STEP, aligned
from locstream.fitting.gaussian import PHOTONS, SIGMA, SIGMA_Y, TWO_WIDTHS, SpotFits, X, Y, gauss
from locstream.fitting.normal_equations import room_for_equations
from locstream.fitting.sensor import Sensor
from locstream.fitting.status import FitStatus
from locstream.stacks.source import Image

MAX_MEMBERS = 8
"""Members of a group. A larger tangle is cut into several; the light of those outside is then taken as known."""
MAX_FOUND = 3
"""Members a group may gain by the search."""
WIDTH_Y = SIGMA + 1
"""Column of the width along y in the parameters of a group, where each axis has its own: behind that along x, and the
last. In the results it is `SIGMA_Y`."""
SEARCH_PX = 2
"""A further member is looked for by the light of this many pixels on either side."""
SUSPICIOUS_CHI2_SIGMAS = 2.5
"""A fit whose chi-square is this many of its standard deviations too high is looked at again."""
MODEL_ERROR = 0.05
"""The image of a molecule is not exactly a Gaussian: what departs from it by this part is no second molecule."""

_CONVERGED, _BAD_DATA = int(FitStatus.CONVERGED), int(FitStatus.BAD_DATA)


class Group(NamedTuple):
    """Where a group lies: the corner of the rectangle that holds its pixels, its size, and how many they are."""

    top: int
    left: int
    rows: int
    columns: int
    runs: int
    pixels: int


class GroupRoom(NamedTuple):
    """What the fit of a group works with; made once and used for one group after the other.

    Parameters
    ----------
    inside
        Which columns of a row belong to the group.
    run
        Row, first column, first pixel in the list, and length of each run, shape (runs, 4).
    counts, known
        Of each pixel: light and `known` added up; variance, and light of molecules outside the group.
    edges
        Half the error function and the Gaussian at the edges of the pixels of an axis.
    axis_x, axis_y
        The Gaussian over each pixel of an axis, its derivatives after centre and sigma, shape (3, pixels).
    derivative
        Of the mean after each parameter, then the residual, shape (parameters + 1, pixels).
    weight
        1 / mean of each pixel, 0 in the padding.
    equations
        The normal equations and what eliminating leaves of them, see `normal_equations`.
    step
        Of each parameter.
    profile
        The image of a molecule along one axis, from its middle, and its square, shape (2, SEARCH_PX + 1).
    plane
        Weighted residuals and weights in the rectangle, with a margin, and both smoothed down; see `newcomers`.
    """

    inside: npt.NDArray[np.bool_]
    run: Ints
    counts: Floats
    known: Floats
    edges: Floats
    axis_x: Floats
    axis_y: Floats
    derivative: Floats
    weight: Floats
    weighted: Floats
    equations: Doubles
    step: Doubles
    profile: Floats
    plane: Floats


def room_for_groups(box: int, sigma: float, widths: int = 1) -> GroupRoom:
    """Return room for the largest group of molecules whose images have this width, px, or two: one of each axis."""
    parameters = (3 + widths) * (MAX_MEMBERS + MAX_FOUND) + 1
    image = np.exp(-0.5 * (np.arange(SEARCH_PX + 1) / sigma) ** 2)
    span, pixels = MAX_MEMBERS * box + 2 * STEP, MAX_MEMBERS * box * box + 2 * STEP
    span, pixels = -(-span // STEP) * STEP, -(-pixels // STEP) * STEP
    return GroupRoom(
        inside=np.zeros(span, np.bool_),
        run=np.zeros((pixels, 4), np.int32),
        counts=aligned((pixels,)),
        known=aligned((pixels,)),
        edges=aligned((2, span)),
        axis_x=aligned((3, span)),
        axis_y=aligned((3, span)),
        derivative=aligned((parameters + 4, pixels)),
        weight=aligned((pixels,)),
        weighted=aligned((pixels,)),
        equations=room_for_equations(parameters),
        step=np.zeros(parameters),
        profile=np.stack([image, image**2]).astype(np.float32),
        plane=aligned((4, span, span)),
    )


@kernel
def suspects(pixel: Ints, fits: SpotFits, box: int, freedom: int) -> npt.NDArray[np.bool_]:
    """Mark the peaks whose boxes overlap, and those whose fit leaves more than noise."""
    estimate, _, chi2, _, status = fits
    n = pixel.shape[0]
    marked = np.zeros(n, np.bool_)
    usual = 1 + SUSPICIOUS_CHI2_SIGMAS * math.sqrt(2 / freedom)
    for i in range(n):
        if status[i] == _BAD_DATA:
            continue
        if status[i] != _CONVERGED or chi2[i] > usual + MODEL_ERROR**2 * estimate[i, PHOTONS] / freedom:
            marked[i] = True
        j = i + 1
        while j < n and pixel[j, 0] - pixel[i, 0] < box:  # peaks come in reading order
            if abs(pixel[j, 1] - pixel[i, 1]) < box and status[j] != _BAD_DATA:
                marked[i] = marked[j] = True
            j += 1
    return marked


@kernel
def gather(first: int, pixel: Ints, marked: npt.NDArray[np.bool_], box: int, member: Ints) -> int:
    """Gather the group of a peak, nearest first; its members lose their mark. Returns their number."""
    n, members, done = pixel.shape[0], 1, 0
    member[0] = first
    marked[first] = False
    while done < members:
        i = member[done]
        done += 1
        for direction in (-1, 1):
            j = i + direction
            while 0 <= j < n and abs(pixel[j, 0] - pixel[i, 0]) < box:
                if members == MAX_MEMBERS:
                    return members
                if marked[j] and abs(pixel[j, 1] - pixel[i, 1]) < box:
                    marked[j] = False
                    member[members] = j
                    members += 1
                j += direction
    return members


@kernel
def collect(
    image: Image,
    camera: Sensor,
    saturation_adu: float,
    corner: Ints,
    box: int,
    member: Ints,
    members: int,
    room: GroupRoom,
) -> Group:
    """Collect the pixels of the members' boxes, row by row."""
    offset, scale, variance = camera
    inside, run, counts, known = room.inside, room.run, room.counts, room.known
    top = left = 1 << 30
    bottom = right = 0
    for k in range(members):
        m = member[k]
        top, bottom = min(top, corner[m, 0]), max(bottom, corner[m, 0] + box)
        left, right = min(left, corner[m, 1]), max(right, corner[m, 1] + box)
    n = runs = 0
    for y in range(top, bottom):
        for i in range(right - left + 1):
            inside[i] = False
        for k in range(members):
            m = member[k]
            if corner[m, 0] <= y < corner[m, 0] + box:
                for i in range(corner[m, 1] - left, corner[m, 1] - left + box):
                    inside[i] = True
        offset_row, scale_row = min(y, offset.shape[0] - 1), min(y, scale.shape[0] - 1)
        variance_row = min(y, variance.shape[0] - 1)
        length = 0
        for x in range(left, right + 1):
            if inside[x - left] and image[y, x] < saturation_adu:
                known[n] = variance[variance_row, x]
                counts[n] = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x] + known[n]
                n += 1
                length += 1
            elif length > 0:
                run[runs, 0], run[runs, 1], run[runs, 2], run[runs, 3] = y - top, x - left - length, n - length, length
                runs += 1
                length = 0
    return Group(top, left, bottom - top, right - left, runs, n)


@apart
def along_axis(centre: float, sigma: float, n: int, edges: Floats, table: Floats) -> None:
    """Integrate the Gaussian over each pixel of an axis: its value, its derivatives after centre and sigma."""
    per_sigma, first = np.float32(1 / sigma), np.float32(centre + 0.5)
    root, norm = np.float32(math.sqrt(0.5)), per_sigma * np.float32(1 / math.sqrt(2 * math.pi))
    integral, density, value, by_centre, by_sigma = U(0), U(1), U(0), U(1), U(2)
    steps = U(n // STEP + 1)
    for step in range(steps):
        for i in range(U(STEP)):
            k = step * U(STEP) + i
            edges[integral, k], exponential = gauss((np.float32(np.int32(k)) - first) * per_sigma * root)
            edges[density, k] = norm * exponential
    edges[integral, steps * U(STEP)] = edges[density, steps * U(STEP)] = 0
    for step in range(steps):
        for i in range(U(STEP)):
            k = step * U(STEP) + i
            left, right = edges[density, k], edges[density, k + U(1)]
            to_left = (np.float32(np.int32(k)) - first) * per_sigma
            table[value, k] = edges[integral, k + U(1)] - edges[integral, k]
            table[by_centre, k] = left - right
            table[by_sigma, k] = to_left * (left - right) - per_sigma * right


@kernel
def add_light_of_others(
    member: Ints, members: int, peaks: Ints, box: int, fits: SpotFits, lit_for: Ints, group: Group, room: GroupRoom
) -> None:
    """Add to the known light that of molecules which overlap the group and are not in it: it was cut from a tangle."""
    estimate, _, _, _, status = fits
    run, known, edges, axis_x, axis_y = room.run, room.known, room.edges, room.axis_x, room.axis_y
    sigma_y = SIGMA_Y if estimate.shape[1] == TWO_WIDTHS else SIGMA
    for k in range(members):
        lit_for[member[k]] = member[0] + 1
    for k in range(members):
        m = member[k]
        for direction in (-1, 1):
            j = m + direction
            while 0 <= j < peaks.shape[0] and abs(peaks[j, 0] - peaks[m, 0]) < box:
                near = abs(peaks[j, 1] - peaks[m, 1]) < box
                if near and lit_for[j] != member[0] + 1 and status[j] == _CONVERGED:
                    lit_for[j] = member[0] + 1
                    photons = estimate[j, PHOTONS]
                    along_axis(estimate[j, X] - group.left, estimate[j, SIGMA], group.columns, edges, axis_x)
                    along_axis(estimate[j, Y] - group.top, estimate[j, sigma_y], group.rows, edges, axis_y)
                    for r in range(group.runs):
                        row, column, first, length = run[r, 0], run[r, 1], run[r, 2], run[r, 3]
                        for i in range(length):
                            known[first + i] += photons * axis_x[0, column + i] * axis_y[0, row]
                j += direction
