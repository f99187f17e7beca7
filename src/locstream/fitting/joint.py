"""The joint fit of a group: molecules whose images overlap, over the pixels of all their boxes.

Maximum likelihood by Fisher scoring as in `gaussian`, with a position, a number of photons and a width for each member
and one background. Two images that all but coincide tell little of their widths. A normal prior holds each near the
width of a molecule in focus (`Prior`). Where the model is "fixed" the prior is so narrow that it is the width. Behind
an astigmatic lens a member has a width of each axis.

The parameters of a member are a row of `theta`: x, y, photons, and its width, or that along x and that along y. How
many columns there are tells the model; the width along y lies in the last.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from locstream.compiled import Doubles, Floats, Ints, U, apart, kernel
from locstream.fitting.buffers import STEP
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, SIGMA_Y, TWO_WIDTHS, SpotFits, X, Y
from locstream.fitting.groups import WIDTH_Y, Group, GroupRoom, along_axis
from locstream.fitting.normal_equations import covariance, eliminate, sum_equations
from locstream.fitting.scoring import unsaid
from locstream.fitting.status import FitStatus

GROUP_PRIOR = 0.2
"""Standard deviation of the prior for the width of a member, in parts of the width in focus. A little narrower than
that of a molecule by itself: where images overlap a wide one may be two."""
GROUP_PRIOR_XY = 0.5
"""The same where each axis has its width: out of focus one is twice as long as in focus, and must not be held back."""
KNOWN_WIDTH = 1e-3
"""Standard deviation of the prior for a width that is known, in parts of it."""
MAX_ITERATIONS = 30
FULL_STEPS = 10
TOLERANCE = 5e-3
MAX_STEP_PX = 0.7
MAX_MOVE_PX = 2.5
"""A member that runs further from its start has found something else."""
MIN_SIGMA_PX = 0.4
MIN_PHOTONS = 1.0
MIN_BACKGROUND = 0.01

_CONVERGED, _AT_BOUND, _NOT_CONVERGED = (
    int(s) for s in (FitStatus.CONVERGED, FitStatus.AT_BOUND, FitStatus.NOT_CONVERGED)
)


class Prior(NamedTuple):
    """What is known of widths and background before the fit: normal distributions.

    Parameters
    ----------
    sigma
        Width of a molecule in focus, px.
    spread
        Standard deviation of a width around it, in parts of it; `KNOWN_WIDTH` where it is no unknown.
    max_sigma
        No molecule is as wide, px.
    background, background_precision
        Photons a pixel, and 1 / variance; 0 where nothing is known.
    """

    sigma: float
    spread: float
    max_sigma: float
    background: float
    background_precision: float


class Fitted(NamedTuple):
    """How the fit of a group ended: background, Pearson's chi-square, steps taken, whether it converged."""

    background: float
    chi2: float
    taken: int
    converged: bool


@apart
def _member_shape(
    axis_x: Floats, axis_y: Floats, run: Ints, runs: int, n: int, photons: np.float32, by_x: Floats, by_y: Floats,
    by_photons: Floats, by_sigma: Floats,
) -> None:  # fmt: skip
    """Write what the mean of each pixel gains for each parameter of a member."""
    value, centre, sigma = U(0), U(1), U(2)
    for r in range(U(runs)):
        row, column, pixel, length = U(run[r, 0]), U(run[r, 1]), U(run[r, 2]), U(run[r, 3])
        ey, dy, sy = axis_y[value, row], photons * axis_y[centre, row], photons * axis_y[sigma, row]
        n_ey = photons * ey
        for start in range(U((length + U(STEP - 1)) // U(STEP))):
            i, p = column + start * U(STEP), pixel + start * U(STEP)
            for k in range(U(STEP)):
                ex, dx, sx = axis_x[value, i + k], axis_x[centre, i + k], axis_x[sigma, i + k]
                by_x[p + k] = n_ey * dx
                by_y[p + k] = dy * ex
                by_photons[p + k] = ey * ex
                by_sigma[p + k] = n_ey * sx + sy * ex
    for k in range(U(STEP)):  # the padding
        p = U(n) + k
        by_x[p] = by_y[p] = by_photons[p] = by_sigma[p] = 0


@apart
def _part_widths(
    axis_x: Floats, axis_y: Floats, run: Ints, runs: int, n: int, photons: np.float32, first: int, derivative: Floats
) -> None:
    """Write, over what the mean gains for one width of a member, what it gains for that along x and that along y."""
    along_x, along_y = U(first + SIGMA), U(first + WIDTH_Y)
    value, sigma = U(0), U(2)
    for r in range(U(runs)):
        row, column, pixel, length = U(run[r, 0]), U(run[r, 1]), U(run[r, 2]), U(run[r, 3])
        n_ey, sy = photons * axis_y[value, row], photons * axis_y[sigma, row]
        for start in range(U((length + U(STEP - 1)) // U(STEP))):
            i, p = column + start * U(STEP), pixel + start * U(STEP)
            for k in range(U(STEP)):
                derivative[along_x, p + k] = n_ey * axis_x[sigma, i + k]
                derivative[along_y, p + k] = sy * axis_x[value, i + k]
    for k in range(U(STEP)):  # the padding
        p = U(n) + k
        derivative[along_x, p] = derivative[along_y, p] = 0


@apart
def _add_light(photons: np.float32, shape: int, n: int, derivative: Floats, mean: Floats) -> None:
    for p in range(U(n)):
        mean[p] += photons * derivative[U(shape), p]


@apart
def _compare(counts: Floats, n: int, size: int, derivative: Floats, weight: Floats) -> float:
    """Turn the mean in `weight` into 1 / mean; write the residuals; return Pearson's chi-square."""
    by_background, residuals, chi2 = U(size - 1), U(size), np.float32(0)
    for p in range(U(n)):
        residual, inverse = counts[p] - weight[p], np.float32(1) / weight[p]
        weight[p] = inverse
        chi2 += residual * residual * inverse
        derivative[by_background, p] = 1
        derivative[residuals, p] = residual
    for k in range(U(STEP)):  # the padding
        past = U(n) + k
        weight[past] = derivative[by_background, past] = derivative[residuals, past] = 0
    return float(chi2)


@kernel
def _advance(theta: Doubles, start: Doubles, members: int, step: Doubles, share: float, max_sigma: float) -> float:
    """Take a step, shortened as a whole where it is too long; return how far it went, px or parts of the photons."""
    each = theta.shape[1]
    last = each - 1  # that along y; where there is one width it is that, taken twice
    for m in range(members):
        first = each * m
        longest = max(abs(step[first + X]), abs(step[first + Y]), 2 * abs(step[first + SIGMA]))
        longest = max(longest, 2 * abs(step[first + last]))
        share = min(share, MAX_STEP_PX / max(longest, MAX_STEP_PX))
    moved = 0.0
    for m in range(members):
        first = each * m
        for k in (X, Y):
            low, high = start[m, k] - MAX_MOVE_PX, start[m, k] + MAX_MOVE_PX
            new = min(max(theta[m, k] + share * step[first + k], low), high)
            moved = max(moved, abs(new - theta[m, k]))
            theta[m, k] = new
        width, width_y = theta[m, SIGMA], theta[m, last]
        theta[m, last] = min(max(width_y + share * step[first + last], MIN_SIGMA_PX), max_sigma)
        moved = max(moved, abs(theta[m, last] - width_y))
        theta[m, SIGMA] = min(max(width + share * step[first + SIGMA], MIN_SIGMA_PX), max_sigma)
        moved = max(moved, abs(theta[m, SIGMA] - width))
        photons = theta[m, PHOTONS]
        change = min(max(share * step[first + PHOTONS], -0.5 * photons), max(photons, 100.0))
        moved = max(moved, abs(change) / max(photons, 100.0))
        theta[m, PHOTONS] = max(photons + change, MIN_PHOTONS)
    return moved


@kernel
def fit_group(
    theta: Doubles, start: Doubles, members: int, background: float, prior: Prior, tolerance: float, group: Group,
    room: GroupRoom,
) -> Fitted:  # fmt: skip
    """Fit a group from where `theta` is, until no parameter changes by more than `tolerance`, px or parts of photons.

    All it calls are leaves: where a function calls another, numba counts the references to its arrays at every call.
    """
    run, counts, known, edges, axis_x, axis_y = room.run, room.counts, room.known, room.edges, room.axis_x, room.axis_y
    derivative, weight, weighted = room.derivative, room.weight, room.weighted
    equations, step = room.equations, room.step
    n, each = group.pixels, theta.shape[1]
    size, along_y = each * members + 1, each - 1
    precision = 1 / (prior.spread * prior.sigma) ** 2
    chi2, taken, converged = 0.0, 0, False
    for taken in range(1, MAX_ITERATIONS + 1):
        for p in range(U(n)):
            weight[p] = known[p] + np.float32(background)  # the mean, until it is complete
        for m in range(members):
            along_axis(theta[m, X], theta[m, SIGMA], group.columns, edges, axis_x)
            along_axis(theta[m, Y], theta[m, along_y], group.rows, edges, axis_y)
            photons = np.float32(theta[m, PHOTONS])
            first = U(each * m)
            _member_shape(
                axis_x, axis_y, run, group.runs, n, photons, derivative[first + U(X)], derivative[first + U(Y)],
                derivative[first + U(PHOTONS)], derivative[first + U(SIGMA)],
            )  # fmt: skip
            if along_y == WIDTH_Y:
                _part_widths(axis_x, axis_y, run, group.runs, n, photons, each * m, derivative)
            _add_light(photons, each * m + PHOTONS, n, derivative, weight)
        chi2 = _compare(counts, n, size, derivative, weight)
        sum_equations(size, n, derivative, weight, weighted, equations)
        for m in range(members):
            for by_sigma in range(each * m + SIGMA, each * (m + 1)):
                equations[by_sigma, by_sigma] += precision
                equations[by_sigma, size] += precision * (prior.sigma - theta[m, by_sigma - each * m])
        equations[size - 1, size - 1] += prior.background_precision
        equations[size - 1, size] += prior.background_precision * (prior.background - background)
        if not eliminate(equations, size):
            break
        for k in range(U(size)):
            step[k] = -equations[U(size), k]
        share = 1.0 if taken <= FULL_STEPS else 0.5
        moved = _advance(theta, start, members, step, share, prior.max_sigma)
        background = max(background + max(share * step[size - 1], -0.7 * background), MIN_BACKGROUND)
        if not moved >= tolerance:
            converged = math.isfinite(moved)
            break
    return Fitted(float(background), float(chi2), taken, converged)


@kernel
def freedom(members: int, theta: Doubles, prior: Prior, group: Group) -> int:
    """Return the degrees of freedom of a group's chi-square: its pixels less the unknowns."""
    unknowns = (3 if prior.spread <= KNOWN_WIDTH else theta.shape[1]) * members + 1
    return max(group.pixels - unknowns, 1)


@kernel
def _claimed(which: int, members: int, size: int, theta: Doubles, prior: Prior, equations: Doubles) -> float:
    """Return the variance of photons or of the background, without what the prior of the widths leaves unsaid.

    See `scoring`; where each axis has its width the prior says no more than is so.
    """
    variance: float = covariance(equations, size, which, which)
    each, precision = theta.shape[1], 1 / (prior.spread * prior.sigma) ** 2
    excess = float(unsaid(np.float32(precision), np.float32(prior.sigma)))
    if each > WIDTH_Y or excess == 0:
        return variance
    for m in range(members):
        width = each * m + SIGMA
        variance -= excess * covariance(equations, size, min(which, width), max(which, width)) ** 2
    return variance


@kernel
def _write_width_along_y(m: int, k: int, size: int, theta: Doubles, room: GroupRoom, fits: SpotFits) -> None:
    """Write the width along y of a member, its bound, and how far its error and that of the width along x correlate."""
    along_x, along_y = theta.shape[1] * k + SIGMA, theta.shape[1] * k + WIDTH_Y
    bound_x = math.sqrt(covariance(room.equations, size, along_x, along_x))
    bound_y = math.sqrt(covariance(room.equations, size, along_y, along_y))
    both = covariance(room.equations, size, along_x, along_y)
    fits.estimate[m, SIGMA_Y], fits.uncertainty[m, SIGMA_Y] = theta[k, WIDTH_Y], bound_y
    fits.uncertainty[m, TWO_WIDTHS] = both / (bound_x * bound_y)


@kernel
def write_members(
    member: Ints, members: int, theta: Doubles, start: Doubles, fitted: Fitted, prior: Prior, group: Group,
    all_bounds: bool, room: GroupRoom, fits: SpotFits,
) -> None:  # fmt: skip
    """Write the members' results; their bounds come from the normal equations of the last step.

    While a result is not the last only the bound of the photons is worked out.
    """
    estimate, uncertainty, chi2, iterations, status = fits
    equations, each = room.equations, theta.shape[1]
    size, along_y = each * members + 1, each - 1
    width_known = prior.spread <= KNOWN_WIDTH
    of_background = math.sqrt(_claimed(size - 1, members, size, theta, prior, equations)) if all_bounds else 0.0
    for k in range(members):
        m = member[k]
        estimate[m, X], estimate[m, Y] = theta[k, X] + group.left, theta[k, Y] + group.top
        estimate[m, PHOTONS], estimate[m, BACKGROUND] = theta[k, PHOTONS], fitted.background
        estimate[m, SIGMA] = prior.sigma if width_known else theta[k, SIGMA]
        photons = each * k + PHOTONS
        uncertainty[m, PHOTONS] = math.sqrt(_claimed(photons, members, size, theta, prior, equations))
        if all_bounds:
            for parameter in (X, Y, SIGMA):
                which = each * k + parameter
                uncertainty[m, parameter] = math.sqrt(covariance(equations, size, which, which))
            uncertainty[m, BACKGROUND] = of_background
        if width_known:
            uncertainty[m, SIGMA] = 0
        if along_y == WIDTH_Y:
            _write_width_along_y(m, k, size, theta, room, fits)
        chi2[m] = fitted.chi2 / freedom(members, theta, prior, group)
        iterations[m] = fitted.taken
        at_bound = (
            abs(theta[k, X] - start[k, X]) >= MAX_MOVE_PX
            or abs(theta[k, Y] - start[k, Y]) >= MAX_MOVE_PX
            or not MIN_SIGMA_PX < theta[k, SIGMA] < prior.max_sigma
            or not MIN_SIGMA_PX < theta[k, along_y] < prior.max_sigma
            or theta[k, PHOTONS] <= MIN_PHOTONS
        )
        status[m] = _NOT_CONVERGED if not fitted.converged else _AT_BOUND if at_bound else _CONVERGED
