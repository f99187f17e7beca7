"""Crowds: molecules so near to one another that each lies in the light of others, and most show no peak.

The idea is that of 3D-DAOSTORM (Babcock et al., Optical Nanoscopy 1, 6, 2012): fit what is known, look at what
remains, admit the clearest of it, fit again, and lower the bar from round to round. What is fitted at a time is a
block, a molecule and those nearest to it, jointly over the pixels of their boxes (`blocks`); the light of all others is
taken as known. The blocks of the next round are others, so that what was known in one is fitted in the next.

Only places where molecules are dense come here; all others have been dealt with by `overlaps`. Members have one width:
behind an astigmatic lens there are no crowds.
"""

from __future__ import annotations

import math

import numpy as np

from locstream.compiled import Flags, Ints, kernel
from locstream.fitting.blocks import BLOCK_SIGMAS, FAILED, Block, Turn, fit_block, gather_block, room_for_blocks
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, SpotFits, X, Y
from locstream.fitting.groups import MAX_MEMBERS, MODEL_ERROR, GroupRoom
from locstream.fitting.joint import Prior
from locstream.fitting.remains import (
    Remains,
    background_here,
    cover,
    find_background,
    height_of_peak,
    noise_alone,
    remains_of,
    score_every_pixel,
    shine,
)
from locstream.fitting.sensor import Sensor
from locstream.fitting.status import FitStatus
from locstream.stacks.source import Image

SMALLEST_CROWD = MAX_MEMBERS
"""Fewer molecules are no crowd: a group takes them all, and fits them jointly."""
CROWD_SIGMAS, CROWDED_BY = 8.0, 4
"""A molecule with as many others as near, in widths, stands in a crowd, and so do those others. With a width of 130 nm
that is one molecule a micrometre²."""
ROUNDS = 6
FIRST_BAR, LOWER_BY = 3.0, 0.7
"""What a newcomer to a block needs in the first round, in parts of what it needs in the last, and by how much less each
round."""
CROWD_THRESHOLD = 0.6
"""Least evidence for one more molecule in a block, in parts of the threshold: where every second place holds one, one
more is no rare event and takes less to be believed than one in an empty frame."""
PEAK_THRESHOLD = 0.8
"""Least score of a peak outside all boxes, in parts of the threshold: less than a molecule needs in the end, for the
light that is taken for others' is partly its own."""
MIN_CERTAINTY = 1.0
"""A molecule goes when its photons are less than so many standard deviations."""
FLAW_PHOTONS = 20_000.0
"""The frame's own images tell how far they depart from the model; `MODEL_ERROR`, the most that is assumed, weighs as
much as blocks with so many photons."""

_CONVERGED, _NOT_CONVERGED, _BAD_DATA = (
    int(s) for s in (FitStatus.CONVERGED, FitStatus.NOT_CONVERGED, FitStatus.BAD_DATA)
)


@kernel
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


@kernel
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
    shine(1.0, shining, n, estimate, remains, room)
    return remains


@kernel
def _admit_peaks(
    evidence: float, sigma: float, crowd: Ints, n: int, molecules: int, box: int, remains: Remains, room: GroupRoom,
    fits: SpotFits,
) -> int:  # fmt: skip
    """Let molecules join that show in what remains outside the boxes; returns how many there are then."""
    estimate, uncertainty, _, _, status = fits
    before = molecules
    remains.covered[:] = False
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
    shine(1.0, crowd[n - molecules + before : n], molecules - before, estimate, remains, room)
    return molecules


@kernel
def _drop_faint(
    crowd: Ints, n: int, threshold: float, sigma: float, remains: Remains, room: GroupRoom, fits: SpotFits
) -> int:
    """Let those go that are hardly there, or would not be found if they stood alone; returns how many stay."""
    kept = gone = 0
    faint = np.empty(n, np.int32)
    for k in range(n):
        m = crowd[k]
        alone = noise_alone(remains, fits.estimate[m, X], fits.estimate[m, Y], sigma)
        if fits.estimate[m, PHOTONS] < max(MIN_CERTAINTY * fits.uncertainty[m, PHOTONS], threshold * alone):
            fits.status[m] = _NOT_CONVERGED
            faint[gone] = m
            gone += 1
        else:
            crowd[kept] = m
            kept += 1
    shine(-1.0, faint, gone, fits.estimate, remains, room)
    return kept


@kernel
def _fit_blocks(
    image: Image, camera: Sensor, saturation_adu: float, turn: Turn, backwards: bool, crowd: Ints, n: int, free: Flags,
    molecules: int, box: int, prior: Prior, block: Block, remains: Remains, room: GroupRoom, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit all of a crowd once, block after block; returns how many molecules there are then.

    Where the fit of a block fails, each of its members is fitted by itself: one that cannot be fitted spoils no other.
    """
    in_order = n  # those that join come behind
    for reach in (BLOCK_SIGMAS * prior.sigma, 0.0):
        for step in range(in_order):
            at = in_order - 1 - step if backwards else step
            if not free[crowd[at]]:
                continue
            members = gather_block(at, crowd, in_order, fits.estimate, free, reach, block.member, block.distance)
            joined = fit_block(
                image, camera, saturation_adu, turn, members, molecules, box, prior, block, remains, room, fits
            )
            if joined != FAILED:
                crowd[n : n + joined] = np.arange(molecules, molecules + joined)
                n, molecules = n + joined, molecules + joined
            elif members > 1:
                for k in range(members):
                    free[block.member[k]] = True
    return molecules


@kernel
def resolve_crowds(
    image: Image, camera: Sensor, saturation_adu: float, threshold: float, prior: Prior, aside: Flags, molecules: int,
    box: int, room: GroupRoom, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit again, in rounds, the molecules that stand in a crowd, and find those that are missing there.

    Those that were set aside belong to it at any rate: they come with no more than a guess. Once there is a crowd, so
    do those whose fit failed.

    `fits` holds so many molecules, positions in px of the frame, and has room for more behind, as many as may be
    found. Returns the number of molecules; those that went have not converged.
    """
    estimate, capacity = fits.estimate, len(fits.status)
    crowded = stand_in_crowd(fits, molecules, prior.sigma) | aside
    if np.sum(crowded) < SMALLEST_CROWD:
        return molecules
    crowded[:molecules] |= fits.status[:molecules] == _NOT_CONVERGED
    crowd, free = np.empty(capacity, np.int32), np.zeros(capacity, np.bool_)
    n = int(np.sum(crowded))
    crowd[:n] = np.flatnonzero(crowded)
    remains = _lay_out(image, camera, saturation_adu, crowded, molecules, box, room, fits)
    block, flaw = room_for_blocks(capacity), MODEL_ERROR**2
    for number in range(ROUNDS):
        last, bar = number == ROUNDS - 1, max(FIRST_BAR - LOWER_BY * number, 1.0)
        turn = Turn(number == 0, last, bar, (CROWD_THRESHOLD * threshold) ** 2, flaw)
        find_background(remains)
        before = molecules
        if not last:
            evidence = (PEAK_THRESHOLD * threshold) ** 2
            molecules = _admit_peaks(evidence, prior.sigma, crowd, n, molecules, box, remains, room, fits)
        n += molecules - before
        crowd[:n] = crowd[:n][np.argsort(estimate[crowd[:n], Y])]
        free[crowd[:n]] = True
        before, block.misfit[:] = molecules, 0
        molecules = _fit_blocks(
            image, camera, saturation_adu, turn, number % 2 == 1, crowd, n, free, molecules, box, prior, block, remains,
            room, fits,
        )  # fmt: skip
        n = _drop_faint(crowd, n + molecules - before, threshold, prior.sigma, remains, room, fits)
        excess, photons = block.misfit
        flaw = (FLAW_PHOTONS * MODEL_ERROR**2 + excess) / (FLAW_PHOTONS + photons)
        flaw = min(max(flaw, 0.0), MODEL_ERROR**2)
    return molecules
