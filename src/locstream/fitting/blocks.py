"""Blocks: a molecule of a crowd and those nearest to it, fitted jointly, and others found among them.

The light of all other molecules is taken as known. See `crowds` for how block follows block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from locstream.compiled import Doubles, Flags, Floats, Ints, kernel
from locstream.fitting.gaussian import PHOTONS, SIGMA, SpotFits, X, Y
from locstream.fitting.groups import MAX_FOUND, MAX_MEMBERS, Group, GroupRoom, collect
from locstream.fitting.joint import MIN_PHOTONS, TOLERANCE, Fitted, Prior, fit_group, freedom, write_members
from locstream.fitting.newcomers import admit, copy, distinct, search, search_pair, split
from locstream.fitting.remains import Remains, background_here, shine
from locstream.fitting.sensor import Sensor
from locstream.fitting.status import FitStatus
from locstream.stacks.source import Image

BLOCK_SIGMAS, BLOCK = 4.0, 6
"""A block is a molecule and as many as this, with it, of those as near, in widths."""
MIN_SCORE, MIN_ELONGATION = 2.0, 2.0
"""Least sign of a newcomer, standard deviations, for which it is tried."""
TRIALS = 6
MIN_DISTANCE = 0.75
"""Least distance of two members of a block, in parts of the width in focus."""
NEIGHBOURHOOD = 3.0
"""As near, in widths, the flaws of a member's image may look like a newcomer."""
NARROW_PRIOR = 0.1
"""Standard deviation of the prior for a width in a crowd, in parts of the width in focus; the narrower, the better two
molecules can be told from a wide one."""
BACKGROUND_PRIOR = 0.05
"""The same for the background of a block, in parts of what remains around it."""
ROUGH = 3e-2
"""Tolerance of all rounds but the last."""
FAILED = -1
"""Instead of how many joined: the fit did not converge."""

_NOT_CONVERGED = int(FitStatus.NOT_CONVERGED)


class Turn(NamedTuple):
    """What is asked of newcomers in a round.

    Parameters
    ----------
    first, last
        Of all rounds.
    bar
        How much more than in the end.
    evidence
        By how much chi-square has to fall in the end.
    flaw
        By how much chi-square may fall, a photon, because images are not quite what the model says.
    """

    first: bool
    last: bool
    bar: float
    evidence: float
    flaw: float


class Block(NamedTuple):
    """What the fit of a block works with, made once and used for one block after the other.

    Parameters
    ----------
    member, distance
        Who is in it, and how far from the first, px.
    corner
        First pixel of each molecule's box.
    theta, start, before
        Parameters of the members, where they started, and what they were before a newcomer was tried.
    misfit
        Chi-square above that of noise, and photons, added up over the blocks of a round.
    """

    member: Ints
    distance: Doubles
    corner: Ints
    theta: Doubles
    start: Doubles
    before: Doubles
    misfit: Doubles


@kernel
def room_for_blocks(molecules: int) -> Block:
    """Return room for blocks out of so many molecules."""
    most = MAX_MEMBERS + MAX_FOUND
    return Block(
        np.empty(most, np.int32), np.empty(most), np.empty((molecules, 2), np.int32),
        np.empty((most, 4)), np.empty((most, 2)), np.empty((most, 4)), np.zeros(2),
    )  # fmt: skip


@kernel
def gather_block(
    at: int, crowd: Ints, n: int, estimate: Floats, free: Flags, reach: float, member: Ints, distance: Doubles
) -> int:
    """Gather a block: of the molecules that are free those nearest to one. `crowd` is sorted by row."""
    first = crowd[at]
    member[0], distance[0], members = first, 0.0, 1
    for direction in (-1, 1):
        j = at + direction
        while 0 <= j < n and abs(estimate[crowd[j], Y] - estimate[first, Y]) <= reach:
            m = crowd[j]
            away = math.hypot(estimate[m, X] - estimate[first, X], estimate[m, Y] - estimate[first, Y])
            if free[m] and away <= reach and (members < BLOCK or away < distance[BLOCK - 1]):
                k = min(members, BLOCK - 1)
                while k > 1 and distance[k - 1] > away:
                    member[k], distance[k] = member[k - 1], distance[k - 1]
                    k -= 1
                member[k], distance[k] = m, away
                members = min(members + 1, BLOCK)
            j += direction
    for k in range(members):
        free[member[k]] = False
    return members


@kernel
def _take_out(
    image: Image, camera: Sensor, saturation_adu: float, member: Ints, members: int, box: int, corner: Ints,
    theta: Doubles, start: Doubles, remains: Remains, room: GroupRoom, fits: SpotFits,
) -> Group:  # fmt: skip
    """Collect the pixels of a block, with the light of all others as known, and start its members where they are."""
    estimate = fits.estimate
    rows, columns = image.shape
    shine(-1.0, member, members, estimate, remains, room)
    for k in range(members):
        m = member[k]
        corner[m, 0] = min(max(round(estimate[m, Y]) - box // 2, 0), rows - box)
        corner[m, 1] = min(max(round(estimate[m, X]) - box // 2, 0), columns - box)
    group = collect(image, camera, saturation_adu, corner, box, member, members, room)
    run, known, light = room.run, room.known, remains.light
    down, along = group.top - remains.top, group.left - remains.left
    for r in range(group.runs):
        row, column, first, length = run[r, 0], run[r, 1], run[r, 2], run[r, 3]
        for i in range(length):
            known[first + i] += max(light[down + row, along + column + i], np.float32(0))
    for k in range(members):
        m = member[k]
        theta[k, X], theta[k, Y] = estimate[m, X] - group.left, estimate[m, Y] - group.top
        theta[k, PHOTONS], theta[k, SIGMA] = estimate[m, PHOTONS], estimate[m, SIGMA]
        start[k, X], start[k, Y] = theta[k, X], theta[k, Y]
    return group


@kernel
def _evidence(theta: Doubles, last: int, sigma: float, flaw: float) -> float:
    """Return by how much chi-square may fall for the flaws of the images around the last member."""
    photons: float = theta[last, PHOTONS]
    for m in range(last):
        if math.hypot(theta[m, X] - theta[last, X], theta[m, Y] - theta[last, Y]) < NEIGHBOURHOOD * sigma:
            photons += theta[m, PHOTONS]
    return flaw * photons


@kernel
def _bright(theta: Doubles, members: int) -> bool:
    faintest: float = math.inf
    for m in range(members):
        faintest = min(faintest, theta[m, PHOTONS])
    return faintest > MIN_PHOTONS


@kernel
def _grow(
    theta: Doubles, start: Doubles, before: Doubles, members: int, most: int, fitted: Fitted, turn: Turn,
    prior: Prior, group: Group, room: GroupRoom,
) -> tuple[int, Fitted]:  # fmt: skip
    """Let molecules join the block as long as there is one that makes the fit clearly better.

    First by the light beside the members, then, when that tells no more, by members that look like two.
    """
    refused, beside, sigma = np.zeros(most, np.bool_), True, prior.sigma
    for _ in range(TRIALS):
        if members == most or not fitted.converged:
            break
        copy(theta, members, before)
        which = -1
        if beside:
            score, y, x, height = search(theta, members, group, room)
            if score < turn.bar * MIN_SCORE:
                beside = False
                continue
            admit(theta, start, members, x, y, height * 2 * math.pi * sigma**2, sigma)
        else:
            score, which, direction = search_pair(theta, members, refused, group, room)
            if score < turn.bar * MIN_ELONGATION:
                break
            split(theta, start, members, which, direction, sigma)
            refused[which] = True
        more = fit_group(theta, start, members + 1, fitted.background, prior, ROUGH, group, room)
        evident = fitted.chi2 - more.chi2 > turn.bar * turn.evidence + _evidence(theta, members, sigma, turn.flaw)
        apart = distinct(theta, members + 1, MIN_DISTANCE * sigma)
        if more.converged and evident and apart and _bright(theta, members + 1):
            members, fitted = members + 1, more
            if which >= 0:
                refused[which] = False
        else:
            copy(before, members, theta)
            fitted = fit_group(theta, start, members, fitted.background, prior, ROUGH, group, room)
            beside = False
    return members, fitted


@kernel
def _within(theta: Doubles, members: int, group: Group, margin: float) -> bool:
    for m in range(members):
        x, y = theta[m, X], theta[m, Y]
        if not (-margin < x < group.columns + margin and -margin < y < group.rows + margin):
            return False
    return True


@kernel
def fit_block(
    image: Image, camera: Sensor, saturation_adu: float, turn: Turn, members: int, molecules: int, box: int,
    prior: Prior, block: Block, remains: Remains, room: GroupRoom, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit a block, and let others join; returns how many did. They take the rows behind the `molecules` of `fits`.

    Where the fit fails the members stay as they were, with photons of which nothing is known.
    """
    member, _, corner, theta, start, before, misfit = block
    group = _take_out(image, camera, saturation_adu, member, members, box, corner, theta, start, remains, room, fits)
    level = background_here(remains, fits.estimate[member[0], X], fits.estimate[member[0], Y])
    precision = 0.0 if turn.first else 1 / (BACKGROUND_PRIOR * level) ** 2
    known = Prior(prior.sigma, min(prior.spread, NARROW_PRIOR), prior.max_sigma, level, precision)
    fitted = fit_group(theta, start, members, level, known, TOLERANCE if turn.last else ROUGH, group, room)
    grown = members
    if not turn.last:
        most = min(len(member), members + len(fits.status) - molecules)
        grown, fitted = _grow(theta, start, before, members, most, fitted, turn, known, group, room)
    fine = fitted.converged and _within(theta, grown, group, 3 * prior.sigma)
    if fine:
        for k in range(members, grown):
            member[k] = molecules + k - members
        misfit[0] += fitted.chi2 - freedom(grown, theta, known, group)
        for k in range(grown):
            misfit[1] += theta[k, PHOTONS]
        write_members(member, grown, theta, start, fitted, known, group, turn.last, room, fits)
    else:
        grown = members
        for k in range(members):
            fits.status[member[k]] = _NOT_CONVERGED
            fits.uncertainty[member[k], PHOTONS] = np.inf
    shine(1.0, member, grown, fits.estimate, remains, room)
    return grown - members if fine else FAILED
