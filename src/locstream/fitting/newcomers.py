"""Newcomers: where in a fitted group one more molecule is likely, and from where its fit starts.

Two signs are looked for in what the fit leaves. Light beside the members is a molecule that shows no peak: the score
test at each pixel finds it. A member whose image is longer than that of one molecule is two of them: the score test
for a second moment along each direction finds that, and the member is split.
"""

from __future__ import annotations

import math

import numpy as np

from locstream.compiled import Doubles, Flags, Floats, Ints, U, apart, kernel
from locstream.fitting.buffers import STEP
from locstream.fitting.gaussian import PHOTONS, SIGMA, X, Y
from locstream.fitting.groups import SEARCH_PX, WIDTH_Y, Group, GroupRoom

SHARED_LIGHT = 2.5
"""A new member takes its photons from those within this distance, in parts of the width in focus."""
HALVES_APART = 0.7
"""How far from the middle the halves of a member start, in parts of the width in focus."""
IMAGE_REACH = 3.0
"""The image of a member is looked at as far as this, in parts of its width."""


@apart
def _spread_out(derivative: Floats, residuals: int, weight: Floats, run: Ints, group: Group, plane: Floats) -> None:
    """Lay weighted residuals and weights out in the rectangle of the group, with a margin of SEARCH_PX."""
    scores, weights = U(0), U(1)
    for j in range(U(group.rows + 2 * SEARCH_PX)):
        for i in range(_width(group)):
            plane[scores, j, i] = plane[weights, j, i] = 0
    for r in range(U(group.runs)):
        row, column, first = U(run[r, 0] + SEARCH_PX), U(run[r, 1] + SEARCH_PX), U(run[r, 2])
        for k in range(U(run[r, 3])):
            plane[scores, row, column + k] = weight[first + k] * derivative[U(residuals), first + k]
            plane[weights, row, column + k] = weight[first + k]


@kernel
def _width(group: Group) -> np.uintp:
    """Return the columns of the rectangle with its margin, padded."""
    return U((group.columns + 2 * SEARCH_PX + STEP - 1) // STEP) * U(STEP)


@kernel
def _correlate_down(which: int, profile: Floats, group: Group, plane: Floats) -> None:
    """Correlate a plane with its profile and the mirror image along columns, into another plane."""
    p0, p1, p2 = profile[which, 0], profile[which, 1], profile[which, 2]
    a, down = U(which), U(which + 2)
    for j in range(U(group.rows)):
        for i in range(_width(group)):
            plane[down, j, i] = (
                p0 * plane[a, j + U(2), i]
                + p1 * (plane[a, j + U(1), i] + plane[a, j + U(3), i])
                + p2 * (plane[a, j, i] + plane[a, j + U(4), i])
            )


@kernel
def _test(profile: Floats, group: Group, plane: Floats) -> None:
    """Correlate both along rows, too; leave the square of the score over its information, and their ratio."""
    p0, p1, p2, q0, q1, q2 = profile[0, 0], profile[0, 1], profile[0, 2], profile[1, 0], profile[1, 1], profile[1, 2]
    strength, height, scores, weights = U(0), U(1), U(2), U(3)
    for j in range(U(group.rows)):
        for i in range(_width(group)):
            score = (
                p0 * plane[scores, j, i + U(2)]
                + p1 * (plane[scores, j, i + U(1)] + plane[scores, j, i + U(3)])
                + p2 * (plane[scores, j, i] + plane[scores, j, i + U(4)])
            )
            information = (
                q0 * plane[weights, j, i + U(2)]
                + q1 * (plane[weights, j, i + U(1)] + plane[weights, j, i + U(3)])
                + q2 * (plane[weights, j, i] + plane[weights, j, i + U(4)])
            )
            ratio = score / information
            plane[height, j, i], plane[strength, j, i] = ratio, ratio * abs(score)


@kernel
def search(theta: Doubles, members: int, group: Group, room: GroupRoom) -> tuple[float, int, int, float]:
    """Test at each pixel for one more molecule: the score of its photons over the root of their information.

    Returns the largest, in standard deviations, its row and column, and the height of the molecule's image there.
    """
    run, plane = room.run, room.plane
    _spread_out(room.derivative, theta.shape[1] * members + 1, room.weight, run, group, plane)
    _correlate_down(0, room.profile, group, plane)
    _correlate_down(1, room.profile, group, plane)
    _test(room.profile, group, plane)
    best, row, column, height = np.float32(0), 0, 0, 0.0
    for r in range(U(group.runs)):
        j, first = U(run[r, 0]), U(run[r, 1])
        for i in range(first, first + U(run[r, 3])):
            if plane[U(0), j, i] > best:
                best, height = plane[U(0), j, i], float(plane[U(1), j, i])
                row, column = int(j), int(i)
    return math.sqrt(best), row, column, height


@kernel
def _elongation(x: float, y: float, sigma: float, residuals: int, group: Group, room: GroupRoom) -> tuple[float, float]:
    """Test whether the image around a place is longer than a molecule's: standard deviations, and in which direction.

    What a Gaussian gains when it widens along an axis is its second derivative: along x, y and across both.
    """
    run, weight, residual, row_of = room.run, room.weight, room.derivative, U(residuals)
    reach = IMAGE_REACH * sigma
    along_x = across = along_y = information = 0.0
    for r in range(group.runs):
        row, column, first, length = run[r, 0], run[r, 1], run[r, 2], run[r, 3]
        if abs(row - y) > reach:
            continue
        dy = (row - y) / sigma
        for i in range(max(column, math.ceil(x - reach)), min(column + length, math.floor(x + reach) + 1)):
            pixel, dx = U(first + i - column), (i - x) / sigma
            image = math.exp(-0.5 * (dx * dx + dy * dy))
            by_x, by_y, by_both = image * (dx * dx - 1), image * (dy * dy - 1), image * dx * dy
            score = weight[pixel] * residual[row_of, pixel]
            along_x += score * by_x
            along_y += score * by_y
            across += score * by_both
            information += 0.5 * weight[pixel] * (by_x * by_x + by_y * by_y)
    angle = 0.5 * math.atan2(2 * across, along_x - along_y)
    c, s = math.cos(angle), math.sin(angle)
    return (c * c * along_x + 2 * c * s * across + s * s * along_y) / math.sqrt(max(information, 1e-9)), angle


@kernel
def search_pair(
    theta: Doubles, members: int, refused: Flags, group: Group, room: GroupRoom
) -> tuple[float, int, float]:
    """Find the member that looks most like two: standard deviations, which, and the direction from one to the other."""
    best, which, direction, residuals = 0.0, -1, 0.0, theta.shape[1] * members + 1
    for m in range(members):
        if refused[m]:
            continue
        strength, angle = _elongation(theta[m, X], theta[m, Y], theta[m, SIGMA], residuals, group, room)
        if strength > best:
            best, which, direction = strength, m, angle
    return best, which, direction


@kernel
def admit(theta: Doubles, start: Doubles, last: int, x: float, y: float, photons: float, sigma: float) -> None:
    """Start one more member, behind the others, at a pixel, with photons from those that shone there till now."""
    theta[last, X], theta[last, Y], theta[last, PHOTONS], theta[last, SIGMA:] = x, y, photons, sigma
    start[last, X], start[last, Y] = x, y
    for m in range(last):
        if math.hypot(theta[m, X] - x, theta[m, Y] - y) < SHARED_LIGHT * sigma:
            theta[m, PHOTONS] = max(theta[m, PHOTONS] - photons, 0.3 * theta[m, PHOTONS])
            theta[m, SIGMA:] = sigma


@kernel
def divide(theta: Doubles, start: Doubles, last: int, x: float, y: float, sigma: float) -> bool:
    """Put two members in the place of one whose image reaches a pixel and is wider than in focus; False if none is.

    With a width of each axis one member takes the light of two for its own. How much it is too wide along x and along y
    is how far apart they are; that light is left in the pixel tells on which diagonal.
    """
    which, distance = -1, math.inf
    for m in range(last):
        away = math.hypot(x - theta[m, X], y - theta[m, Y])
        if away < min(distance, SHARED_LIGHT * max(theta[m, SIGMA], theta[m, WIDTH_Y])):
            which, distance = m, away
    if which < 0:
        return False
    dx = math.sqrt(max(theta[which, SIGMA] ** 2 - sigma**2, 0))
    dy = math.sqrt(max(theta[which, WIDTH_Y] ** 2 - sigma**2, 0))
    if math.hypot(dx, dy) < HALVES_APART * sigma:
        return False
    dx, dy = math.copysign(dx, x - theta[which, X]), math.copysign(dy, y - theta[which, Y])
    theta[last, X], theta[last, Y] = theta[which, X] + dx, theta[which, Y] + dy
    theta[which, X], theta[which, Y] = theta[which, X] - dx, theta[which, Y] - dy
    theta[which, PHOTONS] = theta[last, PHOTONS] = 0.5 * theta[which, PHOTONS]
    for m in (which, last):
        theta[m, SIGMA:] = sigma
        start[m, X], start[m, Y] = theta[m, X], theta[m, Y]
    return True


@kernel
def split(theta: Doubles, start: Doubles, last: int, which: int, direction: float, sigma: float) -> None:
    """Put two members in the place of one: that and one more, behind the others."""
    dx, dy = HALVES_APART * sigma * math.cos(direction), HALVES_APART * sigma * math.sin(direction)
    theta[last, X], theta[last, Y] = theta[which, X] + dx, theta[which, Y] + dy
    theta[which, X], theta[which, Y] = theta[which, X] - dx, theta[which, Y] - dy
    theta[which, PHOTONS] = theta[last, PHOTONS] = 0.5 * theta[which, PHOTONS]
    theta[which, SIGMA] = theta[last, SIGMA] = sigma
    start[last, X], start[last, Y] = theta[last, X], theta[last, Y]


@kernel
def distinct(theta: Doubles, members: int, distance: float) -> bool:
    """Tell whether all members are as far apart; nearer ones cannot be told from one molecule."""
    for m in range(members):
        for k in range(m):
            if math.hypot(theta[m, X] - theta[k, X], theta[m, Y] - theta[k, Y]) < distance:
                return False
    return True


@kernel
def copy(theta: Doubles, members: int, into: Doubles) -> None:
    """Copy the parameters of the members."""
    for m in range(members):
        for k in range(theta.shape[1]):
            into[m, k] = theta[m, k]
