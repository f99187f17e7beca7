"""An estimate of offset and gain from the recorded frames themselves, for stacks without a calibration.

Photon noise gives a camera away: the variance of a pixel grows with its mean by ADU per electron,
and is zero at the offset (Janesick, Photon Transfer, 2007; from a sample itself: Heintzmann et al., 2016).
It is no substitute for a calibration: read noise is taken for photons, so that the offset comes out low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from locstream.calibrating.noise import (
    SQUARE_OF_VARIANCE,
    VARIANCE_PER_MEDIAN,
    Floats,
    boxed,
    central,
    local_variance,
    smoothed,
)
from locstream.stacks.source import Image

MIN_FRAMES = 4
"""Two halves with a difference of two frames in each."""
MAX_SIDE_PX = 512
"""Of larger frames the middle is enough."""
GROUPS = 24
MIN_GROUP_PX = 50
MIN_LINE_GROUPS = 6
SIGMA_PER_MAD = 1.4826
"""Standard deviation of normal noise, in units of its median absolute deviation."""
BLINK = 2.0
"""A pixel that is brighter than its group by more standard deviations is lit by a molecule that comes and goes."""
MAX_UNCERTAINTY = 0.06
"""Relative standard error of the slope up to which the gain counts as measured."""


@dataclass(frozen=True)
class PhotonTransfer:
    """What the noise of a stack says of its camera.

    Parameters
    ----------
    offset_adu
        Level at which the noise would vanish, ADU; not below 0.
    gain_e_per_adu
        Electrons per ADU.
    measured
        True where the gain follows from the slope of the noise; False where the field is too even for
        that: 1 e⁻/ADU (or less, where the noise demands it) is then assumed, with the offset at which the
        noise of the background is right, so that thresholds hold although photons are in unknown units.
    """

    offset_adu: float
    gain_e_per_adu: float
    measured: bool


def estimate_from_frames(frames: Image) -> PhotonTransfer | None:
    """Estimate offset and gain.

    On simulated samples of many structures, densities and kinds of blinking, a gain that counts as measured
    is within 15 % of the true one. 10 frames of 128 × 128 px will do where the background changes threefold
    over the field, 50 where it changes twofold.

    Parameters
    ----------
    frames
        Shape (t, rows, columns), ADU, consecutive. Some 50 give a good estimate; of fewer than 4 only the
        noise of the background is taken, from the differences between neighbouring pixels.

    Returns
    -------
    PhotonTransfer or None
        None where there is no noise to learn from.
    """
    frames = central(frames, MAX_SIDE_PX)
    if not len(frames) or min(frames.shape[1:]) < 3:
        return None
    if len(frames) < MIN_FRAMES:
        pixels = frames.astype(np.float32)
        level, noise = float(np.median(pixels)), VARIANCE_PER_MEDIAN * float(np.median(local_variance(pixels)))
    else:
        groups = _grouped_noise(frames)
        if (line := _noise_line(groups)) is not None:
            return line
        level, noise = float(np.median(groups.mean)), float(np.median(groups.variance))
    if noise <= 0 or level <= 0:
        return None
    adu_per_e = max(1.0, noise / level)
    return _rounded(max(0.0, level - noise / adu_per_e), adu_per_e, measured=False)


def _noise_line(noise: _Noise) -> PhotonTransfer | None:
    """Return what the slope of the noise says, None where the field is too even or the noise no line."""
    mean, variance = noise.mean, noise.variance
    if len(mean) < MIN_LINE_GROUPS or not np.all(variance > 0) or not np.ptp(mean) > 0:
        return None
    weight = noise.values / variance**2  # the error of a variance is proportional to it
    mean_0, variance_0 = np.average(mean, weights=weight), np.average(variance, weights=weight)
    spread = np.sum(weight * (mean - mean_0) ** 2)
    slope = np.sum(weight * (mean - mean_0) * (variance - variance_0)) / spread
    residual = variance - variance_0 - slope * (mean - mean_0)
    # Neighbours are alike in brightness and share their noise: their errors can follow a line of their own.
    scatter = max(SQUARE_OF_VARIANCE, np.sum(weight * residual**2) / (len(mean) - 2))
    if not np.sqrt(scatter / spread) < MAX_UNCERTAINTY * slope:
        return None
    offset = mean_0 - variance_0 / slope
    return _rounded(max(0.0, offset), slope, measured=True)


class _Noise(NamedTuple):
    """Groups of pixels with like means: mean, ADU, and variance, ADU², and from how many values they are."""

    mean: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]


def _grouped_noise(frames: Image) -> _Noise:
    """Return the noise of groups of pixels with like means.

    Three things keep molecules out, whose coming and going is no photon noise. The noise is that of
    differences between frames, past a filter that passes little of anything as smooth as an image of a
    molecule. Pixels that are brighter than their group, in the mean of the two frames, are left out; that
    mean knows nothing of the difference, so photon noise is not cut. And what groups them is the other
    half of the stack: pixels that were bright by chance, or by a molecule that is gone, do not form a group.
    """
    middle = len(frames) // 2
    halves = [frames[:middle].astype(np.float32), frames[middle:].astype(np.float32)]
    found = []
    for sorting, measuring in (halves, halves[::-1]):
        brightness = boxed(np.median(sorting, axis=0))
        level = smoothed((measuring[1:] + measuring[:-1]) / 2).reshape(len(measuring) - 1, -1)
        noise = local_variance(np.diff(measuring, axis=0)).reshape(len(measuring) - 1, -1) / 2
        groups = max(1, min(GROUPS, brightness.size // MIN_GROUP_PX))
        members = np.array_split(np.argsort(brightness, axis=None), groups)
        found += [_quiet(level[:, group].ravel(), noise[:, group].ravel()) for group in members]
    return _Noise(*np.array(found).T)


def _quiet(level: Floats, noise: Floats) -> tuple[float, float, int]:
    """Return mean level and mean noise of a group, without what molecules add, and of how many values."""
    median = np.median(level)
    sigma = SIGMA_PER_MAD * np.median(median - level[level <= median])  # of the dark side: molecules only add
    dark = level <= median + BLINK * sigma
    return (
        float(np.mean(level[dark], dtype=np.float64)),
        float(np.mean(noise[dark], dtype=np.float64)),
        int(np.count_nonzero(dark)),
    )


def _rounded(offset_adu: float, adu_per_e: float, *, measured: bool) -> PhotonTransfer:
    return PhotonTransfer(round(float(offset_adu), 1), float(f"{1 / adu_per_e:.3g}"), measured)
