"""Overlaps: molecules whose images overlap are fitted together, and missed ones are looked for in what remains.

Most molecules stand alone, and nothing here touches them. Those whose boxes overlap, and those whose fit leaves more
than noise, are gathered in groups. A group is fitted jointly, over the pixels of all its boxes: maximum likelihood by
Fisher scoring as in `gaussian`, with a position, a number of photons and a width for each member and one background.
Where what remains still holds a molecule, judged by the score test at each pixel, one more member joins and the group
is fitted again; it stays if the fit is better by as much as a peak has to stand out of the noise. The idea is that of
3D-DAOSTORM (Babcock et al., Optical Nanoscopy 1, 6, 2012) and of its forerunners.

Two images that all but coincide tell little of their widths. A normal prior holds each near the width of a molecule in
focus; it counts as much as a fifth of that width would, which is nothing for a molecule that can be told well.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from locstream.fitting.detect import Peaks
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, SpotFits, X, Y
from locstream.fitting.sensor import Sensor
from locstream.fitting.spots import Spots
from locstream.fitting.status import FitStatus
from locstream.stacks.source import Image

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

MAX_MEMBERS = 8
"""Members of a group. A larger tangle is cut into several; the light of those outside is then taken as known."""
MAX_FOUND = 3
"""Members a group may gain by the search."""
SUSPICIOUS_CHI2_SIGMAS = 2.5
"""A fit whose chi-square is this many of its standard deviations too high is looked at again."""
MODEL_ERROR = 0.05
"""The image of a molecule is not exactly a Gaussian: what departs from it by this part is no second molecule."""
MIN_SCORE = 3.0
"""Least score, in standard deviations, for which one more member is tried."""
SIGMA_PRIOR = 0.2
"""Standard deviation of the prior for a width, in parts of the width in focus."""
MIN_DISTANCE = 0.75
"""Least distance of two members of a group, in parts of the width in focus."""
SEARCH_PX = 2
"""The score is taken over this many pixels on either side."""
MAX_ITERATIONS = 30
FULL_STEPS = 10
TOLERANCE = 2e-3
MAX_DRAWN_PX = 1.0
"""A single fit that went further from its peak was drawn to a neighbour: the group starts from the peak instead."""
MAX_STEP_PX = 0.7
MAX_MOVE_PX = 2.5
"""A member that runs further from its start has found something else."""
SHARED_LIGHT = 2.5
"""A new member takes its photons from those within this distance, in parts of the width in focus."""
MIN_SIGMA_PX = 0.4
MIN_PHOTONS = 1.0
MIN_BACKGROUND = 0.01

_CONVERGED, _AT_BOUND, _NOT_CONVERGED, _BAD_DATA = (
    int(s) for s in (FitStatus.CONVERGED, FitStatus.AT_BOUND, FitStatus.NOT_CONVERGED, FitStatus.BAD_DATA)
)

U = np.uintp
"""An index that numba does not test for being negative; the test would keep LLVM from vectorizing the loop."""

_jit = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "arcp", "nsz"},  # not "nnan", "ninf": guards against them must stay
)


class _Pixels(NamedTuple):
    """The pixels of a group: those of its members' boxes, each once, none saturated."""

    position: Ints  # (n, 2): row and column from the group's corner
    counts: Floats  # light and `known` added up
    known: Floats  # variance, and light of molecules outside the group
    top: int  # the corner, in the frame
    left: int
    rows: int  # of the rectangle that holds them all
    columns: int


class _Work(NamedTuple):
    """What the fit of a group works with; made once a frame."""

    place: Ints  # (rows, columns): where in the list a pixel of the rectangle is, or -1
    position: Ints
    counts: Floats
    known: Floats
    axis_x: Floats  # (3, columns): the Gaussian over each pixel, its derivatives after centre and sigma
    axis_y: Floats
    derivative: Floats  # (parameters + 1, pixels): of the mean after each parameter, then the residual
    weight: Floats  # (pixels,): 1 / mean
    weighted: Floats
    fisher: Doubles  # its lower triangle, then the Cholesky factor
    step: Doubles


@_jit
def _suspects(pixel: Ints, fits: SpotFits, box: int) -> npt.NDArray[np.bool_]:
    """Mark the peaks whose boxes overlap, and those whose fit leaves more than noise."""
    estimate, _, chi2, _, status = fits
    n, freedom = pixel.shape[0], box * box - 5
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


@_jit
def _gather(first: int, pixel: Ints, marked: npt.NDArray[np.bool_], box: int, member: Ints) -> int:
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


@_jit
def _room(box: int) -> _Work:
    """Make room for the largest group."""
    span, pixels = MAX_MEMBERS * box, MAX_MEMBERS * box * box
    parameters = 4 * (MAX_MEMBERS + MAX_FOUND) + 1
    return _Work(
        np.empty((span, span), np.int32),
        np.empty((pixels, 2), np.int32),
        np.empty(pixels, np.float32),
        np.empty(pixels, np.float32),
        np.empty((3, span), np.float32),
        np.empty((3, span), np.float32),
        np.empty((parameters + 1, pixels), np.float32),
        np.empty(pixels, np.float32),
        np.empty(pixels, np.float32),
        np.empty((parameters, parameters)),
        np.empty(parameters),
    )


@_jit
def _collect(
    image: Image, camera: Sensor, saturation_adu: float, corner: Ints, box: int, member: Ints, work: _Work
) -> _Pixels:
    """Collect the pixels of the members' boxes."""
    offset, scale, variance = camera
    place, position, counts, known = work.place, work.position, work.counts, work.known
    top = left = 1 << 30
    bottom = right = 0
    for m in member:
        top, bottom = min(top, corner[m, 0]), max(bottom, corner[m, 0] + box)
        left, right = min(left, corner[m, 1]), max(right, corner[m, 1] + box)
    for j in range(bottom - top):
        for i in range(right - left):
            place[j, i] = -1
    n = 0
    for m in member:
        for y in range(corner[m, 0], corner[m, 0] + box):
            offset_row, scale_row, variance_row = y % offset.shape[0], y % scale.shape[0], y % variance.shape[0]
            for x in range(corner[m, 1], corner[m, 1] + box):
                if place[y - top, x - left] >= 0 or image[y, x] >= saturation_adu:
                    continue
                place[y - top, x - left] = n
                position[n, 0], position[n, 1] = y - top, x - left
                known[n] = variance[variance_row, x]
                counts[n] = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x] + known[n]
                n += 1
    return _Pixels(position[:n], counts[:n], known[:n], top, left, bottom - top, right - left)


@_jit
def _along_axis(centre: float, sigma: float, n: int, table: Floats) -> None:
    """Integrate the Gaussian over each pixel of an axis: its value, its derivatives after centre and sigma."""
    per_sigma, half, root = np.float32(1 / sigma), np.float32(0.5), np.float32(math.sqrt(0.5))
    norm = per_sigma * np.float32(1 / math.sqrt(2 * math.pi))
    left = (np.float32(-centre) - half) * per_sigma
    left_integral, left_density = half * math.erf(left * root), norm * math.exp(-half * left * left)
    for k in range(n):
        right = (np.float32(k - centre) + half) * per_sigma
        right_integral, right_density = half * math.erf(right * root), norm * math.exp(-half * right * right)
        table[0, k] = right_integral - left_integral
        table[1, k] = left_density - right_density
        table[2, k] = left * left_density - right * right_density
        left, left_integral, left_density = right, right_integral, right_density


@_jit
def _light_of_others(
    member: Ints, peaks: Ints, box: int, fits: SpotFits, lit_for: Ints, pixels: _Pixels, work: _Work
) -> None:
    """Add to the known light that of molecules which overlap the group and are not in it: it was cut from a tangle."""
    estimate, _, _, _, status = fits
    position, known, axis_x, axis_y = pixels.position, pixels.known, work.axis_x, work.axis_y
    for m in member:
        lit_for[m] = member[0]
    for m in member:
        for direction in (-1, 1):
            j = m + direction
            while 0 <= j < peaks.shape[0] and abs(peaks[j, 0] - peaks[m, 0]) < box:
                near = abs(peaks[j, 1] - peaks[m, 1]) < box
                if near and lit_for[j] != member[0] and status[j] == _CONVERGED:
                    lit_for[j] = member[0]
                    photons, sigma = estimate[j, PHOTONS], estimate[j, SIGMA]
                    _along_axis(estimate[j, X] - pixels.left, sigma, pixels.columns, axis_x)
                    _along_axis(estimate[j, Y] - pixels.top, sigma, pixels.rows, axis_y)
                    for p in range(U(known.shape[0])):
                        known[p] += photons * axis_x[0, U(position[p, 1])] * axis_y[0, U(position[p, 0])]
                j += direction


@_jit
def _linearize(theta: Doubles, background: float, pixels: _Pixels, work: _Work) -> float:
    """Work out the model at every pixel: its derivatives, 1 / mean, and the residual. Returns Pearson's chi-square."""
    position, counts, known = pixels.position, pixels.counts, pixels.known
    axis_x, axis_y, derivative, weight = work.axis_x, work.axis_y, work.derivative, work.weight
    members, n = theta.shape[0], counts.shape[0]
    for p in range(U(n)):
        weight[p] = known[p] + np.float32(background)  # the mean, until it is complete
    for m in range(members):
        _along_axis(theta[m, X], theta[m, SIGMA], pixels.columns, axis_x)
        _along_axis(theta[m, Y], theta[m, SIGMA], pixels.rows, axis_y)
        photons = np.float32(theta[m, PHOTONS])
        by_x, by_y, by_photons, by_sigma = 4 * m + X, 4 * m + Y, 4 * m + PHOTONS, 4 * m + SIGMA
        for p in range(U(n)):
            i, j = U(position[p, 1]), U(position[p, 0])
            ex, ey = axis_x[0, i], axis_y[0, j]
            derivative[by_x, p] = photons * axis_x[1, i] * ey
            derivative[by_y, p] = photons * ex * axis_y[1, j]
            derivative[by_photons, p] = ex * ey
            derivative[by_sigma, p] = photons * (axis_x[2, i] * ey + ex * axis_y[2, j])
            weight[p] += photons * ex * ey
    by_background, residuals = 4 * members, 4 * members + 1
    chi2 = np.float32(0)
    for p in range(U(n)):
        residual = counts[p] - weight[p]
        weight[p] = np.float32(1) / weight[p]
        chi2 += residual * residual * weight[p]
        derivative[by_background, p] = 1
        derivative[residuals, p] = residual
    return float(chi2)


@_jit
def _normal_equations(size: int, n: int, work: _Work) -> None:
    """Sum the Fisher information, its lower triangle, and the score over the pixels."""
    derivative, weight, weighted, fisher, score = work.derivative, work.weight, work.weighted, work.fisher, work.step
    for a in range(size):
        for p in range(U(n)):
            weighted[p] = derivative[a, p] * weight[p]
        for b in range(a, size + 1):
            total = np.float32(0)
            for p in range(U(n)):
                total += weighted[p] * derivative[b, p]
            if b < size:
                fisher[b, a] = total
            else:
                score[a] = total


@_jit
def _factorize(matrix: Doubles, size: int) -> bool:
    """Replace the lower triangle by its Cholesky factor; False where the matrix is not positive definite."""
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if j < i:
                matrix[i, j] = total / matrix[j, j]
            elif total > 0:
                matrix[i, i] = math.sqrt(total)
            else:
                return False
    return True


@_jit
def _solve(factor: Doubles, size: int, vector: Doubles) -> None:
    """Solve with the Cholesky factor, in place."""
    for i in range(size):
        for k in range(i):
            vector[i] -= factor[i, k] * vector[k]
        vector[i] /= factor[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            vector[i] -= factor[k, i] * vector[k]
        vector[i] /= factor[i, i]


@_jit
def _deviation(factor: Doubles, size: int, which: int, column: Doubles) -> float:
    """Return the bound of one parameter: the length of a column of the Cholesky factor's inverse."""
    column[which] = 1 / factor[which, which]
    total = column[which] ** 2
    for i in range(which + 1, size):
        column[i] = 0.0
        for k in range(which, i):
            column[i] -= factor[i, k] * column[k]
        column[i] /= factor[i, i]
        total += column[i] ** 2
    return math.sqrt(total)


@_jit
def _advance(theta: Doubles, start: Doubles, step: Doubles, share: float, max_sigma: float) -> float:
    """Take a step, shortened as a whole where it is too long; return how far it went, px or parts of the photons."""
    members = theta.shape[0]
    for m in range(members):
        longest = max(abs(step[4 * m + X]), abs(step[4 * m + Y]), 2 * abs(step[4 * m + SIGMA]))
        share = min(share, MAX_STEP_PX / max(longest, MAX_STEP_PX))
    moved = 0.0
    for m in range(members):
        for k in (X, Y):
            low, high = start[m, k] - MAX_MOVE_PX, start[m, k] + MAX_MOVE_PX
            new = min(max(theta[m, k] + share * step[4 * m + k], low), high)
            moved = max(moved, abs(new - theta[m, k]))
            theta[m, k] = new
        new = min(max(theta[m, SIGMA] + share * step[4 * m + SIGMA], MIN_SIGMA_PX), max_sigma)
        moved = max(moved, abs(new - theta[m, SIGMA]))
        theta[m, SIGMA] = new
        photons = theta[m, PHOTONS]
        change = min(max(share * step[4 * m + PHOTONS], -0.5 * photons), max(photons, 100.0))
        moved = max(moved, abs(change) / max(photons, 100.0))
        theta[m, PHOTONS] = max(photons + change, MIN_PHOTONS)
    return moved


@_jit
def _fit(
    theta: Doubles, start: Doubles, background: float, sigma: float, max_sigma: float, pixels: _Pixels, work: _Work
) -> tuple[float, float, int, bool]:
    """Fit a group jointly from where `theta` is; returns background, chi-square, steps taken, whether it converged."""
    members, n = theta.shape[0], pixels.counts.shape[0]
    size = 4 * members + 1
    precision = 1 / (SIGMA_PRIOR * sigma) ** 2
    fisher, step = work.fisher, work.step
    chi2 = 0.0
    for taken in range(1, MAX_ITERATIONS + 1):
        chi2 = _linearize(theta, background, pixels, work)
        _normal_equations(size, n, work)
        for m in range(members):
            by_sigma = 4 * m + SIGMA
            fisher[by_sigma, by_sigma] += precision
            step[by_sigma] += precision * (sigma - theta[m, SIGMA])
        if not _factorize(fisher, size):
            return background, chi2, taken, False
        _solve(fisher, size, step)
        share = 1.0 if taken <= FULL_STEPS else 0.5
        moved = _advance(theta, start, step, share, max_sigma)
        background = max(background + max(share * step[size - 1], -0.7 * background), MIN_BACKGROUND)
        if not moved >= TOLERANCE:
            return background, chi2, taken, math.isfinite(moved)
    return background, chi2, MAX_ITERATIONS, False


@_jit
def _search(members: int, profile: Floats, pixels: _Pixels, work: _Work) -> tuple[float, int, float]:
    """Test at each pixel for one more molecule: the score of its photons over the root of their information.

    Returns the largest, in standard deviations, its pixel, and the height of the molecule's image there.
    """
    position, place, residual, weight = pixels.position, work.place, work.derivative[4 * members + 1], work.weight
    best, where, height = 0.0, -1, 0.0
    for p in range(position.shape[0]):
        row, column = position[p, 0], position[p, 1]
        score = information = 0.0
        for j in range(max(row - SEARCH_PX, 0), min(row + SEARCH_PX + 1, pixels.rows)):
            for i in range(max(column - SEARCH_PX, 0), min(column + SEARCH_PX + 1, pixels.columns)):
                q = place[U(j), U(i)]
                if q >= 0:
                    shape = profile[U(abs(j - row))] * profile[U(abs(i - column))]
                    score += shape * weight[U(q)] * residual[U(q)]
                    information += shape * weight[U(q)] * shape
        if score > best * math.sqrt(information):
            best, where, height = score / math.sqrt(information), p, score / information
    return best, where, height


@_jit
def _admit(theta: Doubles, start: Doubles, x: float, y: float, photons: float, sigma: float) -> None:
    """Start the last member of a group at a pixel, with photons taken from those that shone there till now."""
    last = theta.shape[0] - 1
    theta[last, X], theta[last, Y], theta[last, PHOTONS], theta[last, SIGMA] = x, y, photons, sigma
    start[last, X], start[last, Y] = x, y
    for m in range(last):
        if math.hypot(theta[m, X] - x, theta[m, Y] - y) < SHARED_LIGHT * sigma:
            theta[m, PHOTONS] = max(theta[m, PHOTONS] - photons, 0.3 * theta[m, PHOTONS])
            theta[m, SIGMA] = sigma


@_jit
def _distinct(theta: Doubles, distance: float) -> bool:
    """Tell whether all members are as far apart; nearer ones cannot be told from one molecule."""
    for m in range(theta.shape[0]):
        for k in range(m):
            if math.hypot(theta[m, X] - theta[k, X], theta[m, Y] - theta[k, Y]) < distance:
                return False
    return True


@_jit
def _begin(
    member: Ints, peaks: Peaks, spots: Spots, fits: SpotFits, sigma: float, pixels: _Pixels, theta: Doubles,
    start: Doubles,
) -> float:  # fmt: skip
    """Start the members from their single fits, or from their peaks; returns the background to start from."""
    estimate, _, _, _, status = fits
    background = 0.0
    for k in range(member.shape[0]):
        m = member[k]
        peak_y, peak_x = peaks.pixel[m, 0], peaks.pixel[m, 1]
        x, y, photons = float(peak_x), float(peak_y), spots.start[m, PHOTONS]
        drawn = math.hypot(estimate[m, X] - x, estimate[m, Y] - y)
        if status[m] == _CONVERGED and drawn < MAX_DRAWN_PX:
            x, y, photons = estimate[m, X], estimate[m, Y], estimate[m, PHOTONS]
        theta[k, X], theta[k, Y], theta[k, PHOTONS], theta[k, SIGMA] = x - pixels.left, y - pixels.top, photons, sigma
        start[k, X], start[k, Y] = theta[k, X], theta[k, Y]
        background += max(peaks.background[m], 0.1) / member.shape[0]
    return background


@_jit
def _finish(
    member: Ints, theta: Doubles, start: Doubles, background: float, chi2: float, taken: int, converged: bool,
    max_sigma: float, pixels: _Pixels, work: _Work, fits: SpotFits,
) -> None:  # fmt: skip
    """Write the members' results; their bounds come from the Cholesky factor of the last step."""
    estimate, uncertainty, all_chi2, iterations, status = fits
    size = 4 * member.shape[0] + 1
    for k in range(member.shape[0]):
        m = member[k]
        estimate[m, X], estimate[m, Y] = theta[k, X] + pixels.left, theta[k, Y] + pixels.top
        estimate[m, PHOTONS], estimate[m, SIGMA], estimate[m, BACKGROUND] = (
            theta[k, PHOTONS],
            theta[k, SIGMA],
            background,
        )
        for parameter in range(4):
            uncertainty[m, parameter] = _deviation(work.fisher, size, 4 * k + parameter, work.step)
        uncertainty[m, BACKGROUND] = _deviation(work.fisher, size, size - 1, work.step)
        all_chi2[m] = chi2 / max(pixels.counts.shape[0] - size, 1)
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
    box: int, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit again, in groups, the molecules that overlap or whose fit leaves more than noise.

    `fits` comes with a row for each peak, positions in px of the frame. Its rows are replaced, and molecules that are
    found take the rows behind, for which `room_to_find` rows are needed. Returns the number of molecules.
    """
    molecules: int = peaks.pixel.shape[0]
    marked = _suspects(peaks.pixel, fits, box)
    if not marked.any():
        return molecules
    lit_for = np.full(molecules, -1, np.int32)
    work, max_sigma = _room(box), 0.5 * box
    most = MAX_MEMBERS + MAX_FOUND
    member, theta, start, before = (
        np.empty(most, np.int32),
        np.empty((most, 4)),
        np.empty((most, 2)),
        np.empty((most, 4)),
    )
    profile = np.exp(-0.5 * (np.arange(SEARCH_PX + 1) / sigma) ** 2).astype(np.float32)
    for first in range(peaks.pixel.shape[0]):
        if not marked[first]:
            continue
        n = _gather(first, peaks.pixel, marked, box, member)
        pixels = _collect(image, camera, saturation_adu, spots.corner, box, member[:n], work)
        _light_of_others(member[:n], peaks.pixel, box, fits, lit_for, pixels, work)
        background = _begin(member[:n], peaks, spots, fits, sigma, pixels, theta, start)
        background, chi2, taken, converged = _fit(theta[:n], start[:n], background, sigma, max_sigma, pixels, work)
        for _ in range(MAX_FOUND):
            score, where, height = _search(n, profile, pixels, work)
            if score < MIN_SCORE or not converged:
                break
            before[:n] = theta[:n]
            y, x = pixels.position[where, 0], pixels.position[where, 1]
            _admit(theta[: n + 1], start[: n + 1], x, y, height * 2 * math.pi * sigma**2, sigma)
            new_background, new_chi2, new_taken, new_converged = _fit(
                theta[: n + 1], start[: n + 1], background, sigma, max_sigma, pixels, work
            )
            evidence = threshold**2 + MODEL_ERROR**2 * theta[: n + 1, PHOTONS].sum()
            if new_converged and chi2 - new_chi2 > evidence and _distinct(theta[: n + 1], MIN_DISTANCE * sigma):
                background, chi2, taken, member[n] = new_background, new_chi2, new_taken, molecules
                molecules += 1
                n += 1
            else:
                theta[:n] = before[:n]
                background, chi2, taken, converged = _fit(
                    theta[:n], start[:n], background, sigma, max_sigma, pixels, work
                )
                break
        _finish(member[:n], theta, start, background, chi2, taken, converged, max_sigma, pixels, work, fits)
    return molecules


def room_to_find(peaks: int) -> int:
    """Return the most molecules that `resolve_overlaps` may find besides the peaks."""
    return MAX_FOUND * peaks
