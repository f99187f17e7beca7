"""Overlaps: molecules whose images overlap are fitted together, and missed ones are looked for in what remains.

Most molecules stand alone, and nothing here touches them. Those whose boxes overlap, and those whose fit leaves more
than noise, are gathered in groups (`groups`), and a group is fitted jointly (`joint`). Where what remains still holds a
molecule, judged by the score test at each pixel, one more member joins and the group is fitted again; it stays if the
fit is better by as much as a peak has to stand out of the noise. The idea is that of 3D-DAOSTORM (Babcock et al.,
Optical Nanoscopy 1, 6, 2012) and of its forerunners.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, SpotFits, X, Y
from locstream.fitting.groups import (
    MAX_FOUND,
    MAX_MEMBERS,
    MODEL_ERROR,
    SEARCH_PX,
    STEP,
    Group,
    GroupRoom,
    add_light_of_others,
    collect,
    gather,
    suspects,
)
from locstream.fitting.joint import MAX_MOVE_PX, MIN_PHOTONS, MIN_SIGMA_PX, deviation, fit_group
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.sensor import Sensor
from locstream.fitting.spots import Spots
from locstream.fitting.status import FitStatus
from locstream.stacks.source import Image

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

MIN_SCORE = 3.0
"""Least score, in standard deviations, for which one more member is tried."""
MIN_DISTANCE = 0.75
"""Least distance of two members of a group, in parts of the width in focus."""
LIKE_ONE = 0.5
"""A pair that widens the image along its line by less than this part of its variance looks like one molecule whose
image is up to a fifth longer than wide, as those of real microscopes may be."""
LONG_CHI2, LONG_PHOTONS = 0.02, 2000.0
"""Chi-square a photon by which a pair fits such an image better than one round molecule, and the photons for which this
counts: the molecules of the frame that stand alone tell whether its images are longer than wide, where they are bright
enough."""
MAX_DRAWN_PX = 1.0
"""A single fit that went further from its peak was drawn to a neighbour: the group starts from the peak instead."""
SHARED_LIGHT = 2.5
"""A new member takes its photons from those within this distance, in parts of the width in focus."""

_CONVERGED, _AT_BOUND, _NOT_CONVERGED = (
    int(s) for s in (FitStatus.CONVERGED, FitStatus.AT_BOUND, FitStatus.NOT_CONVERGED)
)

U = np.uintp
"""An index that numba does not test for being negative; the test would keep LLVM from vectorizing the loop."""

_jit = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "arcp", "nsz"},  # not "nnan", "ninf": guards against them must stay
)


@_jit
def _spread_out(derivative: Floats, residuals: int, weight: Floats, run: Ints, group: Group, plane: Floats) -> None:
    """Lay weighted residuals and weights out in the rectangle of the group, with a margin of SEARCH_PX."""
    scores, weights = U(0), U(1)
    width = U((group.columns + 2 * SEARCH_PX + STEP - 1) // STEP * STEP)
    for j in range(U(group.rows + 2 * SEARCH_PX)):
        for i in range(width):
            plane[scores, j, i] = plane[weights, j, i] = 0
    for r in range(U(group.runs)):
        row, column, first = U(run[r, 0] + SEARCH_PX), U(run[r, 1] + SEARCH_PX), U(run[r, 2])
        for k in range(U(run[r, 3])):
            plane[scores, row, column + k] = weight[first + k] * derivative[U(residuals), first + k]
            plane[weights, row, column + k] = weight[first + k]


@_jit
def _correlate(which: int, profile: Floats, group: Group, plane: Floats) -> None:
    """Correlate a plane with its profile and the mirror image, down and along; the result takes the plane's place."""
    p0, p1, p2 = profile[which, 0], profile[which, 1], profile[which, 2]
    a, down = U(which), U(2)
    width = U((group.columns + 2 * SEARCH_PX + STEP - 1) // STEP * STEP)
    for j in range(U(group.rows)):
        for i in range(width):
            plane[down, j, i] = (
                p0 * plane[a, j + U(2), i]
                + p1 * (plane[a, j + U(1), i] + plane[a, j + U(3), i])
                + p2 * (plane[a, j, i] + plane[a, j + U(4), i])
            )
    for j in range(U(group.rows)):
        for i in range(U(group.columns)):
            plane[a, j, i] = (
                p0 * plane[down, j, i + U(2)]
                + p1 * (plane[down, j, i + U(1)] + plane[down, j, i + U(3)])
                + p2 * (plane[down, j, i] + plane[down, j, i + U(4)])
            )


@_jit
def _search(members: int, group: Group, room: GroupRoom) -> tuple[float, int, int, float]:
    """Test at each pixel for one more molecule: the score of its photons over the root of their information.

    Returns the largest, in standard deviations, its row and column, and the height of the molecule's image there.
    """
    run, plane = room.run, room.plane
    _spread_out(room.derivative, 4 * members + 1, room.weight, run, group, plane)
    _correlate(0, room.profile, group, plane)
    _correlate(1, room.profile, group, plane)
    best, row, column, height = np.float32(0), 0, 0, 0.0
    for r in range(U(group.runs)):
        j, first = U(run[r, 0]), U(run[r, 1])
        for i in range(first, first + U(run[r, 3])):
            score, information = plane[U(0), j, i], plane[U(1), j, i]
            if score > 0 and score * score > best * information:
                best, height = score * score / information, score / information
                row, column = int(j), int(i)
    return math.sqrt(best), row, column, height


@_jit
def _admit(theta: Doubles, start: Doubles, last: int, x: float, y: float, photons: float, sigma: float) -> None:
    """Start one more member, behind the others, at a pixel, with photons from those that shone there till now."""
    theta[last, X], theta[last, Y], theta[last, PHOTONS], theta[last, SIGMA] = x, y, photons, sigma
    start[last, X], start[last, Y] = x, y
    for m in range(last):
        if math.hypot(theta[m, X] - x, theta[m, Y] - y) < SHARED_LIGHT * sigma:
            theta[m, PHOTONS] = max(theta[m, PHOTONS] - photons, 0.3 * theta[m, PHOTONS])
            theta[m, SIGMA] = sigma


@_jit
def _copy(theta: Doubles, members: int, into: Doubles) -> None:
    for m in range(members):
        for k in range(4):
            into[m, k] = theta[m, k]


@_jit
def _distinct(theta: Doubles, members: int, distance: float) -> bool:
    """Tell whether all members are as far apart; nearer ones cannot be told from one molecule."""
    for m in range(members):
        for k in range(m):
            if math.hypot(theta[m, X] - theta[k, X], theta[m, Y] - theta[k, Y]) < distance:
                return False
    return True


@_jit
def _misfit(marked: npt.NDArray[np.bool_], fits: SpotFits, freedom: int) -> float:
    """Return the chi-square a photon by which the images of molecules that stand alone depart from the model."""
    excess, photons = LONG_CHI2 * LONG_PHOTONS, LONG_PHOTONS
    for k in range(marked.shape[0]):
        if not marked[k] and fits.status[k] == _CONVERGED:
            excess += (fits.chi2[k] - 1) * freedom
            photons += fits.estimate[k, PHOTONS]
    return max(excess / photons, 0.0)


@_jit
def _evidence(theta: Doubles, last: int, threshold: float, misfit: float) -> float:
    """Return by how much chi-square has to fall for the last member to be a molecule and no flaw of the model."""
    evidence: float = threshold**2 + MODEL_ERROR**2 * theta[last, PHOTONS]
    for m in range(last):
        evidence += MODEL_ERROR**2 * theta[m, PHOTONS]
        both = theta[m, PHOTONS] + theta[last, PHOTONS]
        share = theta[m, PHOTONS] / both
        distance2 = (theta[m, X] - theta[last, X]) ** 2 + (theta[m, Y] - theta[last, Y]) ** 2
        variance = share * theta[m, SIGMA] ** 2 + (1 - share) * theta[last, SIGMA] ** 2
        if share * (1 - share) * distance2 < LIKE_ONE * variance:
            evidence += misfit * both
    return evidence


@_jit
def _begin(
    member: Ints, members: int, peaks: Peaks, guess: Floats, fits: SpotFits, sigma: float, group: Group,
    theta: Doubles, start: Doubles,
) -> float:  # fmt: skip
    """Start the members from their single fits, or from their peaks; returns the background to start from."""
    estimate, _, _, _, status = fits
    background = 0.0
    for k in range(members):
        m = member[k]
        peak_y, peak_x = peaks.pixel[m, 0], peaks.pixel[m, 1]
        x, y, photons = float(peak_x), float(peak_y), guess[m, PHOTONS]
        drawn = math.hypot(estimate[m, X] - x, estimate[m, Y] - y)
        if status[m] == _CONVERGED and drawn < MAX_DRAWN_PX:
            x, y, photons = estimate[m, X], estimate[m, Y], estimate[m, PHOTONS]
        theta[k, X], theta[k, Y], theta[k, PHOTONS], theta[k, SIGMA] = x - group.left, y - group.top, photons, sigma
        start[k, X], start[k, Y] = theta[k, X], theta[k, Y]
        background += max(peaks.background[m], 0.1) / members
    return background


@_jit
def _finish(
    member: Ints, members: int, theta: Doubles, start: Doubles, background: float, chi2: float, taken: int,
    converged: bool, max_sigma: float, group: Group, room: GroupRoom, fits: SpotFits,
) -> None:  # fmt: skip
    """Write the members' results; their bounds come from the Cholesky factor of the last step."""
    estimate, uncertainty, all_chi2, iterations, status = fits
    size = 4 * members + 1
    for k in range(members):
        m = member[k]
        estimate[m, X], estimate[m, Y] = theta[k, X] + group.left, theta[k, Y] + group.top
        estimate[m, PHOTONS], estimate[m, SIGMA], estimate[m, BACKGROUND] = (
            theta[k, PHOTONS],
            theta[k, SIGMA],
            background,
        )
        for parameter in range(4):
            uncertainty[m, parameter] = deviation(room.fisher, size, 4 * k + parameter, room.step)
        uncertainty[m, BACKGROUND] = deviation(room.fisher, size, size - 1, room.step)
        all_chi2[m] = chi2 / max(group.pixels - size, 1)
        iterations[m] = taken
        at_bound = (
            abs(theta[k, X] - start[k, X]) >= MAX_MOVE_PX
            or abs(theta[k, Y] - start[k, Y]) >= MAX_MOVE_PX
            or not MIN_SIGMA_PX < theta[k, SIGMA] < max_sigma
            or theta[k, PHOTONS] <= MIN_PHOTONS
        )
        status[m] = _NOT_CONVERGED if not converged else _AT_BOUND if at_bound else _CONVERGED


@_jit
def resolve_overlaps(
    image: Image, camera: Sensor, saturation_adu: float, threshold: float, sigma: float, peaks: Peaks, spots: Spots,
    box: int, room: GroupRoom, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit again, in groups, the molecules that overlap or whose fit leaves more than noise.

    `fits` comes with a row for each peak, positions in px of the frame. Its rows are replaced, and molecules that are
    found take the rows behind, for which `room_to_find` rows are needed. Returns the number of molecules.
    """
    molecules: int = peaks.pixel.shape[0]
    marked = suspects(peaks.pixel, fits, box)
    lit_for, max_sigma, most = np.zeros(molecules, np.int32), 0.5 * box, MAX_MEMBERS + MAX_FOUND
    member, theta, start = np.empty(most, np.int32), np.empty((most, 4)), np.empty((most, 2))
    before = np.empty((most, 4))
    misfit = _misfit(marked, fits, box * box - 5)
    for first in range(peaks.pixel.shape[0]):
        if not marked[first]:
            continue
        n = gather(first, peaks.pixel, marked, box, member)
        group = collect(image, camera, saturation_adu, spots.corner, box, member, n, room)
        add_light_of_others(member, n, peaks.pixel, box, fits, lit_for, group, room)
        background = _begin(member, n, peaks, spots.start, fits, sigma, group, theta, start)
        background, chi2, taken, converged = fit_group(theta, start, n, background, sigma, max_sigma, group, room)
        for _ in range(MAX_FOUND):
            score, y, x, height = _search(n, group, room)
            if score < MIN_SCORE or not converged:
                break
            _copy(theta, n, before)
            _admit(theta, start, n, x, y, height * 2 * math.pi * sigma**2, sigma)
            new_background, new_chi2, new_taken, new_converged = fit_group(
                theta, start, n + 1, background, sigma, max_sigma, group, room
            )
            evident = chi2 - new_chi2 > _evidence(theta, n, threshold, misfit)
            if new_converged and evident and _distinct(theta, n + 1, MIN_DISTANCE * sigma):
                background, chi2, taken, member[n] = new_background, new_chi2, new_taken, molecules
                molecules += 1
                n += 1
            else:
                _copy(before, n, theta)
                background, chi2, taken, converged = fit_group(
                    theta, start, n, background, sigma, max_sigma, group, room
                )
                break
        _finish(member, n, theta, start, background, chi2, taken, converged, max_sigma, group, room, fits)
    return molecules


def room_to_find(peaks: int) -> int:
    """Return the most molecules that `resolve_overlaps` may find besides the peaks."""
    return MAX_FOUND * peaks
