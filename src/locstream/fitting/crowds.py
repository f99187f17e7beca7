"""Crowds: molecules so near to one another that each lies in the light of others, and most show no peak.

The idea is that of 3D-DAOSTORM (Babcock et al., Optical Nanoscopy 1, 6, 2012): fit what is known, look at what
remains, admit the clearest of it, fit again, and lower the bar from round to round. What is fitted at a time is a
block, a molecule and those nearest to it, jointly (`joint`) over the pixels of their boxes; the light of all others is
taken as known. The blocks of the next round are others, so that what was known in one is fitted in the next.

Only places where molecules are dense come here; all others have been dealt with by `overlaps`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, SpotFits, X, Y
from locstream.fitting.groups import MAX_FOUND, MAX_MEMBERS, MODEL_ERROR, Group, GroupRoom, collect
from locstream.fitting.joint import MIN_PHOTONS, TOLERANCE, Fitted, Prior, fit_group, write_members
from locstream.fitting.newcomers import admit, copy, distinct, search, search_pair, split
from locstream.fitting.remains import (
    Remains,
    add_light,
    background_here,
    cover,
    find_background,
    height_of_peak,
    remains_of,
    score_every_pixel,
)
from locstream.fitting.sensor import Sensor
from locstream.fitting.status import FitStatus
from locstream.stacks.source import Image

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

SMALLEST_CROWD = MAX_MEMBERS
"""Fewer molecules are no crowd: a group takes them all, and fits them jointly."""
CROWD_SIGMAS, CROWDED_BY = 8.0, 4
"""A molecule with as many others as near, in widths, stands in a crowd, and so do those others. With a width of 130 nm
that is one molecule a micrometre²."""
ROUNDS = 6
FIRST_BAR, LOWER_BY = 3.0, 0.7
"""What a newcomer needs in the first round, in parts of what it needs in the last, and by how much less each round."""
BLOCK_SIGMAS, BLOCK = 4.0, 6
"""A block is a molecule and as many as this, with it, of those as near, in widths."""
CROWD_THRESHOLD = 0.6
"""Least evidence for a molecule in a crowd, in parts of the threshold: where every second place holds a molecule, one
more is no rare event and takes less to be believed than one in an empty frame."""
ALONE = 1.5
"""A peak outside all boxes needs so much more: it has not been fitted."""
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
MIN_CERTAINTY = 1.0
"""A molecule goes when its photons are less than so many standard deviations."""
LEAST_PHOTONS = 20.0

_CONVERGED, _NOT_CONVERGED, _BAD_DATA = (
    int(s) for s in (FitStatus.CONVERGED, FitStatus.NOT_CONVERGED, FitStatus.BAD_DATA)
)

_jit = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "arcp", "nsz"},  # not "nnan", "ninf": guards against them must stay
)


@_jit
def stand_in_crowd(fits: SpotFits, molecules: int, sigma: float) -> Flags:
    """Tell which molecules stand in a crowd."""
    distance = CROWD_SIGMAS * sigma
    x, y, status = fits.estimate[:, X], fits.estimate[:, Y], fits.status
    order = np.argsort(y[:molecules])
    crowded, near = np.zeros(len(status), np.bool_), np.empty(molecules, np.int64)
    for k in range(molecules):
        m, neighbours = order[k], 0
        for direction in (-1, 1):
            j = k + direction
            while 0 <= j < molecules and abs(y[order[j]] - y[m]) <= distance:
                o = order[j]
                if math.hypot(x[o] - x[m], y[o] - y[m]) <= distance and status[o] != _BAD_DATA:
                    near[neighbours] = o
                    neighbours += 1
                j += direction
        if neighbours >= CROWDED_BY and status[m] != _BAD_DATA:
            crowded[m] = True
            for j in range(neighbours):
                crowded[near[j]] = True
    return crowded


@_jit
def _lay_out(
    image: Image, camera: Sensor, saturation_adu: float, crowded: Flags, molecules: int, box: int, room: GroupRoom,
    fits: SpotFits,
) -> Remains:  # fmt: skip
    """Take out of the frame the rectangle where molecules crowd, with the light of all that reaches into it."""
    estimate, status = fits.estimate, fits.status
    rows, columns = image.shape
    top, bottom, left, right = rows, 0, columns, 0
    for m in range(molecules):
        if crowded[m]:
            x, y = round(estimate[m, X]), round(estimate[m, Y])
            top, bottom = min(top, y - 2 * box), max(bottom, y + 2 * box + 1)
            left, right = min(left, x - 2 * box), max(right, x + 2 * box + 1)
    remains = remains_of(
        image, camera, saturation_adu, max(top, 0), min(bottom, rows), max(left, 0), min(right, columns)
    )
    shining = np.empty(molecules, np.int32)
    n = 0
    for m in range(molecules):
        if crowded[m] or status[m] == _CONVERGED:
            shining[n] = m
            n += 1
    _shine(1.0, shining, n, fits, remains, room)
    return remains


@_jit
def _shine(part: float, member: Ints, members: int, fits: SpotFits, remains: Remains, room: GroupRoom) -> None:
    """Add a part of some molecules' light to what is known of the rectangle; -1 takes it away."""
    add_light(
        part, member, members, fits.estimate, remains.top, remains.left, remains.light, room.edges, room.axis_x,
        room.axis_y,
    )  # fmt: skip


@_jit
def _admit_peaks(
    evidence: float, sigma: float, crowd: Ints, n: int, molecules: int, box: int, remains: Remains, room: GroupRoom,
    fits: SpotFits,
) -> int:  # fmt: skip
    """Let molecules join that show in what remains between the boxes; returns how many there are then."""
    estimate, uncertainty, _, _, status = fits
    before = molecules
    remains.place[:] = 0
    for k in range(n):
        cover(remains, estimate[crowd[k], X], estimate[crowd[k], Y], box)
    score_every_pixel(remains, room.profile)
    rows, columns = remains.excess.shape
    for j in range(3, rows - 3):
        for i in range(3, columns - 3):
            height = height_of_peak(remains, j, i, evidence)
            if height > 0 and molecules < len(status):
                m = molecules
                estimate[m, X], estimate[m, Y], estimate[m, SIGMA] = remains.left + i, remains.top + j, sigma
                estimate[m, PHOTONS] = height * 2 * math.pi * sigma**2
                estimate[m, BACKGROUND] = background_here(remains, estimate[m, X], estimate[m, Y])
                uncertainty[m, :], status[m] = 1, _NOT_CONVERGED
                crowd[n] = m
                molecules += 1
                n += 1
    _shine(1.0, crowd[n - molecules + before : n], molecules - before, fits, remains, room)
    return molecules


@_jit
def _gather(
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


@_jit
def _take_out(
    image: Image, camera: Sensor, saturation_adu: float, member: Ints, members: int, box: int, corner: Ints,
    theta: Doubles, start: Doubles, remains: Remains, room: GroupRoom, fits: SpotFits,
) -> Group:  # fmt: skip
    """Collect the pixels of a block, with the light of all others as known, and start its members where they are."""
    estimate = fits.estimate
    rows, columns = image.shape
    _shine(-1.0, member, members, fits, remains, room)
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


@_jit
def _evidence(theta: Doubles, last: int, sigma: float) -> float:
    """Return by how much chi-square may fall for the flaws of the images around the last member."""
    photons: float = theta[last, PHOTONS]
    for m in range(last):
        if math.hypot(theta[m, X] - theta[last, X], theta[m, Y] - theta[last, Y]) < NEIGHBOURHOOD * sigma:
            photons += theta[m, PHOTONS]
    return MODEL_ERROR**2 * photons


@_jit
def _bright(theta: Doubles, members: int) -> bool:
    faintest: float = math.inf
    for m in range(members):
        faintest = min(faintest, theta[m, PHOTONS])
    return faintest > MIN_PHOTONS


@_jit
def _grow(
    theta: Doubles, start: Doubles, before: Doubles, members: int, most: int, fitted: Fitted, bar: float,
    threshold: float, prior: Prior, group: Group, room: GroupRoom,
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
            score, y, x, height = search(members, group, room)
            if score < bar * MIN_SCORE:
                beside = False
                continue
            admit(theta, start, members, x, y, height * 2 * math.pi * sigma**2, sigma)
        else:
            score, which, direction = search_pair(theta, members, refused, group, room)
            if score < bar * MIN_ELONGATION:
                break
            split(theta, start, members, which, direction, sigma)
            refused[which] = True
        more = fit_group(theta, start, members + 1, fitted.background, prior, ROUGH, group, room)
        evident = fitted.chi2 - more.chi2 > bar * threshold**2 + _evidence(theta, members, sigma)
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


@_jit
def _within(theta: Doubles, members: int, group: Group, margin: float) -> bool:
    for m in range(members):
        x, y = theta[m, X], theta[m, Y]
        if not (-margin < x < group.columns + margin and -margin < y < group.rows + margin):
            return False
    return True


@_jit
def _drop_faint(crowd: Ints, n: int, remains: Remains, room: GroupRoom, fits: SpotFits) -> int:
    """Let those go that are hardly there; returns how many stay."""
    kept = gone = 0
    faint = np.empty(n, np.int32)
    for k in range(n):
        m = crowd[k]
        photons = fits.estimate[m, PHOTONS]
        if photons < max(MIN_CERTAINTY * fits.uncertainty[m, PHOTONS], LEAST_PHOTONS):
            fits.status[m] = _NOT_CONVERGED
            faint[gone] = m
            gone += 1
        else:
            crowd[kept] = m
            kept += 1
    _shine(-1.0, faint, gone, fits, remains, room)
    return kept


class Block(NamedTuple):
    """What the fit of a block works with: who is in it, how far from the first, where the boxes lie, the parameters."""

    member: Ints
    distance: Doubles
    corner: Ints
    theta: Doubles
    start: Doubles
    before: Doubles


@_jit
def _fit_block(
    image: Image, camera: Sensor, saturation_adu: float, threshold: float, turn: int, members: int, molecules: int,
    box: int, prior: Prior, block: Block, remains: Remains, room: GroupRoom, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit a block, and let others join; returns how many did. They take the rows behind the `molecules` of `fits`."""
    member, _, corner, theta, start, before = block
    last, bar = turn == ROUNDS - 1, max(FIRST_BAR - LOWER_BY * turn, 1.0)
    group = _take_out(image, camera, saturation_adu, member, members, box, corner, theta, start, remains, room, fits)
    level = background_here(remains, fits.estimate[member[0], X], fits.estimate[member[0], Y])
    precision = 0.0 if turn == 0 else 1 / (BACKGROUND_PRIOR * level) ** 2
    known = Prior(prior.sigma, min(prior.spread, NARROW_PRIOR), prior.max_sigma, level, precision)
    fitted = fit_group(theta, start, members, level, known, TOLERANCE if last else ROUGH, group, room)
    grown = members
    if not last:
        most = min(len(member), members + len(fits.status) - molecules)
        grown, fitted = _grow(theta, start, before, members, most, fitted, bar, threshold, known, group, room)
    if fitted.converged and _within(theta, grown, group, 3 * prior.sigma):
        for k in range(members, grown):
            member[k] = molecules + k - members
        write_members(member, grown, theta, start, fitted, known, group, last, room, fits)
    else:  # they stay as they were
        grown = members
        for k in range(members):
            fits.status[member[k]] = _NOT_CONVERGED
            fits.uncertainty[member[k], PHOTONS] = 1
    _shine(1.0, member, grown, fits, remains, room)
    return grown - members


@_jit
def resolve_crowds(
    image: Image, camera: Sensor, saturation_adu: float, threshold: float, prior: Prior, aside: Flags, molecules: int,
    box: int, room: GroupRoom, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit again, in rounds, the molecules that stand in a crowd, and find those that are missing there.

    Those that were set aside belong to it at any rate: they come with no more than a guess.

    `fits` holds so many molecules, positions in px of the frame, and has room for more behind, as many as may be
    found. Returns the number of molecules; those that went have not converged.
    """
    estimate, capacity, most = fits.estimate, len(fits.status), MAX_MEMBERS + MAX_FOUND
    crowded = stand_in_crowd(fits, molecules, prior.sigma) | aside
    crowd, free = np.empty(capacity, np.int32), np.zeros(capacity, np.bool_)
    n = int(np.sum(crowded))
    if n < SMALLEST_CROWD:
        return molecules
    crowd[:n] = np.flatnonzero(crowded)
    remains = _lay_out(image, camera, saturation_adu, crowded, molecules, box, room, fits)
    block = Block(
        np.empty(most, np.int32), np.empty(most), np.empty((capacity, 2), np.int32),
        np.empty((most, 4)), np.empty((most, 2)), np.empty((most, 4)),
    )  # fmt: skip
    need, reach = CROWD_THRESHOLD * threshold, BLOCK_SIGMAS * prior.sigma
    for turn in range(ROUNDS):
        find_background(remains)
        if turn < ROUNDS - 1:
            evidence = ALONE * max(FIRST_BAR - LOWER_BY * turn, 1.0) * need**2
            with_peaks = _admit_peaks(evidence, prior.sigma, crowd, n, molecules, box, remains, room, fits)
            n, molecules = n + with_peaks - molecules, with_peaks
        crowd[:n] = crowd[:n][np.argsort(estimate[crowd[:n], Y])]
        free[crowd[:n]] = True
        in_order = n  # those that join come behind
        for step in range(in_order):
            at = step if turn % 2 == 0 else in_order - 1 - step
            if free[crowd[at]]:
                members = _gather(at, crowd, in_order, estimate, free, reach, block.member, block.distance)
                joined = _fit_block(
                    image, camera, saturation_adu, need, turn, members, molecules, box, prior, block, remains, room,
                    fits,
                )  # fmt: skip
                crowd[n : n + joined] = np.arange(molecules, molecules + joined)
                n, molecules = n + joined, molecules + joined
        n = _drop_faint(crowd, n, remains, room, fits)
    return molecules
