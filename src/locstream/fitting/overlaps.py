"""Overlaps: molecules whose images overlap are fitted together, and missed ones are looked for in what remains.

Most molecules stand alone, and nothing here touches them. Those whose boxes overlap, and those whose fit leaves more
than noise, are gathered in groups (`groups`), and a group is fitted jointly (`joint`). Where what remains still holds a
molecule, judged by the score test at each pixel, one more member joins and the group is fitted again; it stays if the
fit is better by as much as a peak has to stand out of the noise. The idea is that of 3D-DAOSTORM (Babcock et al.,
Optical Nanoscopy 1, 6, 2012) and of its forerunners. Where molecules are so dense that groups run into each other,
`crowds` goes on from there, unless each axis has its width: then groups are all there is.
"""

from __future__ import annotations

import math

import numpy as np

from locstream.compiled import Doubles, Flags, Floats, Ints, kernel
from locstream.fitting.crowds import SMALLEST_CROWD, resolve_crowds, stand_in_crowd
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, SIGMA_Y, TWO_WIDTHS, SpotFits, X, Y
from locstream.fitting.groups import (
    MAX_FOUND,
    MAX_MEMBERS,
    MODEL_ERROR,
    WIDTH_Y,
    Group,
    GroupRoom,
    add_light_of_others,
    collect,
    gather,
    suspects,
)
from locstream.fitting.joint import (
    GROUP_PRIOR,
    GROUP_PRIOR_XY,
    KNOWN_WIDTH,
    TOLERANCE,
    Fitted,
    Prior,
    fit_group,
    write_members,
)
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.newcomers import admit, copy, distinct, divide, search
from locstream.fitting.sensor import Sensor
from locstream.fitting.spots import Spots
from locstream.fitting.status import FitStatus
from locstream.stacks.source import Image

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

_CONVERGED = int(FitStatus.CONVERGED)


@kernel
def _misfit(marked: Flags, fits: SpotFits, freedom: int) -> float:
    """Return the chi-square a photon by which the images of molecules that stand alone depart from the model."""
    excess, photons = LONG_CHI2 * LONG_PHOTONS, LONG_PHOTONS
    for k in range(marked.shape[0]):
        if not marked[k] and fits.status[k] == _CONVERGED:
            excess += (fits.chi2[k] - 1) * freedom
            photons += fits.estimate[k, PHOTONS]
    return max(excess / photons, 0.0)


@kernel
def _evidence(theta: Doubles, last: int, threshold: float, misfit: float) -> float:
    """Return by how much chi-square has to fall for the last member to be a molecule and no flaw of the model."""
    evidence: float = threshold**2 + MODEL_ERROR**2 * theta[last, PHOTONS]
    along_y = theta.shape[1] - 1
    for m in range(last):
        evidence += MODEL_ERROR**2 * theta[m, PHOTONS]
        both = theta[m, PHOTONS] + theta[last, PHOTONS]
        share = theta[m, PHOTONS] / both
        distance2 = (theta[m, X] - theta[last, X]) ** 2 + (theta[m, Y] - theta[last, Y]) ** 2
        variance = share * theta[m, SIGMA] * theta[m, along_y] + (1 - share) * theta[last, SIGMA] * theta[last, along_y]
        if share * (1 - share) * distance2 < LIKE_ONE * variance:
            evidence += misfit * both
    return evidence


@kernel
def _first_guess(m: int, peaks: Peaks, guess: Floats, fits: SpotFits) -> tuple[float, float, float]:
    """Return position and photons of a single fit, or of its peak where the fit says nothing."""
    x, y = fits.estimate[m, X], fits.estimate[m, Y]
    peak_y, peak_x = peaks.pixel[m, 0], peaks.pixel[m, 1]
    if fits.status[m] == _CONVERGED and math.hypot(x - peak_x, y - peak_y) < MAX_DRAWN_PX:
        return x, y, fits.estimate[m, PHOTONS]
    return float(peak_x), float(peak_y), float(guess[m])


@kernel
def _set_crowds_aside(marked: Flags, peaks: Peaks, guess: Floats, fits: SpotFits, sigma: float) -> Flags:
    """Leave those that stand in a crowd to `crowds`, as their peaks show them. Returns which they are."""
    estimate = fits.estimate
    crowded = stand_in_crowd(fits, len(marked), sigma)
    if np.sum(crowded) < SMALLEST_CROWD:
        crowded[:] = False
    for m in range(len(marked)):
        if crowded[m]:
            estimate[m, X], estimate[m, Y], estimate[m, PHOTONS] = _first_guess(m, peaks, guess, fits)
            estimate[m, SIGMA], estimate[m, BACKGROUND] = sigma, peaks.background[m]
            marked[m] = False
    return crowded


@kernel
def _begin(
    member: Ints, members: int, peaks: Peaks, guess: Floats, fits: SpotFits, sigma: float, group: Group,
    theta: Doubles, start: Doubles,
) -> float:  # fmt: skip
    """Start the members from their single fits, or from their peaks; returns the background to start from."""
    background = 0.0
    for k in range(members):
        m = member[k]
        x, y, photons = _first_guess(m, peaks, guess, fits)
        theta[k, X], theta[k, Y], theta[k, PHOTONS], theta[k, SIGMA:] = x - group.left, y - group.top, photons, sigma
        start[k, X], start[k, Y] = theta[k, X], theta[k, Y]
        background += max(peaks.background[m], 0.1) / members
    m = member[0]
    if members == 1 and fits.status[m] == _CONVERGED:  # it stands alone, and is looked at again where its fit ended
        theta[0, SIGMA] = fits.estimate[m, SIGMA]
        if theta.shape[1] > WIDTH_Y:
            theta[0, WIDTH_Y] = fits.estimate[m, SIGMA_Y]
        return float(fits.estimate[m, BACKGROUND])
    return background


@kernel
def _join(
    theta: Doubles, start: Doubles, before: Doubles, start_before: Doubles, n: int, x: float, y: float, photons: float,
    fitted: Fitted, threshold: float, misfit: float, prior: Prior, group: Group, room: GroupRoom,
) -> tuple[bool, Fitted]:  # fmt: skip
    """Fit a group with one more member, by the light that is left in a pixel; it stays if it is a molecule.

    A member with a width of each axis may stand for two: that is tried first.
    """
    copy(theta, n, before)
    copy(start, n, start_before)
    for two_for_one in (True, False):
        if not two_for_one:
            admit(theta, start, n, x, y, photons, prior.sigma)
        elif theta.shape[1] <= WIDTH_Y or not divide(theta, start, n, x, y, prior.sigma):
            continue
        more = fit_group(theta, start, n + 1, fitted.background, prior, TOLERANCE, group, room)
        evident = fitted.chi2 - more.chi2 > _evidence(theta, n, threshold, misfit)
        if more.converged and evident and distinct(theta, n + 1, MIN_DISTANCE * prior.sigma):
            return True, more
        copy(before, n, theta)
        copy(start_before, n, start)
    return False, fitted


@kernel
def resolve_overlaps(
    image: Image, camera: Sensor, saturation_adu: float, threshold: float, sigma: float, peaks: Peaks, spots: Spots,
    box: int, width_known: bool, room: GroupRoom, fits: SpotFits,
) -> int:  # fmt: skip
    """Fit again, in groups, the molecules that overlap or whose fit leaves more than noise.

    `fits` comes with a row for each peak, positions in px of the frame. Its rows are replaced, and molecules that are
    found take the rows behind, for which `room_to_find` rows are needed. Returns the number of molecules. Where the
    width is known every molecule has `sigma`.
    """
    molecules: int = peaks.pixel.shape[0]
    two_widths = fits.estimate.shape[1] == TWO_WIDTHS
    freedom = box * box - (4 if width_known else fits.estimate.shape[1])
    marked = suspects(peaks.pixel, fits, box, freedom)
    if not np.any(marked):
        return molecules
    lit_for, most = np.zeros(molecules, np.int32), MAX_MEMBERS + MAX_FOUND
    member = np.empty(most, np.int32)
    start, start_before = np.empty((2, most, 2))
    theta, before = np.empty((2, most, WIDTH_Y + 1 if two_widths else WIDTH_Y))
    misfit = _misfit(marked, fits, freedom)
    spread = KNOWN_WIDTH if width_known else GROUP_PRIOR_XY if two_widths else GROUP_PRIOR
    prior = Prior(sigma, spread, 0.5 * box, 0.0, 0.0)
    if 2 * np.sum(marked) > molecules and not two_widths:
        crowded = _set_crowds_aside(marked, peaks, spots.photons, fits, sigma)
    else:
        crowded = np.zeros(len(fits.status), np.bool_)
    largest = int(np.sum(crowded))
    for first in range(peaks.pixel.shape[0]):
        if not marked[first]:
            continue
        n = gather(first, peaks.pixel, marked, box, member)
        group = collect(image, camera, saturation_adu, spots.corner, box, member, n, room)
        add_light_of_others(member, n, peaks.pixel, box, fits, lit_for, group, room)
        background = _begin(member, n, peaks, spots.photons, fits, sigma, group, theta, start)
        fitted = fit_group(theta, start, n, background, prior, TOLERANCE, group, room)
        for _ in range(MAX_FOUND):
            score, y, x, height = search(theta, n, group, room)
            # a member with two widths that stands for two molecules may swing between them
            if score < MIN_SCORE or not (fitted.converged or two_widths):
                break
            photons = height * 2 * math.pi * sigma**2
            stays, fitted = _join(
                theta, start, before, start_before, n, x, y, photons, fitted, threshold, misfit, prior, group, room
            )
            if not stays:
                fitted = fit_group(theta, start, n, fitted.background, prior, TOLERANCE, group, room)
                break
            member[n] = molecules
            molecules += 1
            n += 1
        largest = max(largest, n)
        write_members(member, n, theta, start, fitted, prior, group, True, room, fits)
    if largest >= SMALLEST_CROWD and not two_widths:
        molecules = resolve_crowds(image, camera, saturation_adu, threshold, prior, crowded, molecules, box, room, fits)
    return molecules


@kernel
def room_to_find(peaks: int) -> int:
    """Return the most molecules that `resolve_overlaps` may find besides the peaks."""
    return MAX_FOUND * peaks
