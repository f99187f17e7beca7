"""An estimate of offset and gain from the recorded frames themselves, for stacks without a calibration.

Photon noise gives a camera away: the variance of a pixel grows with its mean by ADU per electron,
and is zero at the offset (Janesick, Photon Transfer, 2007; from a sample itself: Heintzmann et al., 2016).
It is no substitute for a calibration: read noise is taken for photons, and blinking for noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MIN_FRAMES = 4
BINS = 24
SIGMA_PER_MAD = 1.4826
"""Standard deviation of normal noise, in units of its median absolute deviation."""
SIGMA_PER_MEAN_ABS = 1.2533
"""The same, in units of its mean absolute deviation."""
BRIGHT = 0.9
"""Pixels above this quantile of the mean are left out: there molecules blink."""
MIN_RANGE = 0.1
"""The variance must differ by so much, relative, over the field for its slope to be trusted."""
MAX_SCATTER = 0.15
"""And the line must not miss it by more than this, relative to that difference."""


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


def estimate_from_frames(frames: npt.NDArray[np.uint16]) -> PhotonTransfer | None:
    """Estimate offset and gain.

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
    if len(frames) >= MIN_FRAMES:
        mean, variance = _binned_noise(frames)
        if (line := _noise_line(mean, variance)) is not None:
            return line
        level, noise = float(np.median(mean)), float(np.median(variance))
    else:
        level, noise = float(np.median(frames)), _spatial_noise(frames)
    if noise <= 0 or level <= 0:
        return None
    adu_per_e = max(1.0, noise / level)
    return PhotonTransfer(round(max(0.0, level - noise / adu_per_e), 1), float(f"{1 / adu_per_e:.3g}"), measured=False)


def _noise_line(mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> PhotonTransfer | None:
    """Return what the slope of the noise says, None where the field is too even or the noise no line."""
    slope, intercept = np.polyfit(mean, variance, 1)
    spread = np.ptp(variance)
    scatter = np.median(np.abs(variance - slope * mean - intercept))
    if slope <= 0 or spread <= MIN_RANGE * np.median(variance) or scatter >= MAX_SCATTER * spread:
        return None
    offset = np.median(mean) - np.median(variance) / slope
    return PhotonTransfer(round(float(offset), 1), float(f"{1 / slope:.3g}"), measured=True) if offset >= 0 else None


def _spatial_noise(frames: npt.NDArray[np.uint16]) -> float:
    """Return the variance of the background, ADU², from second differences (Immerkær, 1996); 0 of tiny frames."""
    pixels = frames.astype(np.float64)
    if min(pixels.shape[1:]) < 3:
        return 0.0
    across = pixels[:, :, 2:] - 2 * pixels[:, :, 1:-1] + pixels[:, :, :-2]
    both = across[:, 2:] - 2 * across[:, 1:-1] + across[:, :-2]
    return float((SIGMA_PER_MAD * np.median(np.abs(both))) ** 2 / 36)


def _binned_noise(frames: npt.NDArray[np.uint16]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance, ADU and ADU², of groups of pixels with like means, from dark to bright.

    Differences of consecutive frames know nothing of the sample's structure. A pixel's own deviation is a
    median, so that blinks do not count; groups of pixels then make up for its coarse steps.
    """
    mean = np.median(frames, axis=0).ravel().astype(np.float64)
    steps = np.abs(np.diff(frames.astype(np.int32), axis=0)).reshape(len(frames) - 1, -1)
    kept = np.argsort(mean)[: int(BRIGHT * mean.size)]
    means, variances = [], []
    for group in np.array_split(kept, BINS):
        if group.size == 0:
            continue
        of_group = steps[:, group].ravel()
        cut = 4 * SIGMA_PER_MAD * np.median(of_group)  # beyond 4 sigma it is a molecule, not noise
        quiet = of_group[of_group <= cut] if cut else of_group
        means.append(mean[group].mean())
        variances.append(0.5 * (SIGMA_PER_MEAN_ABS * quiet.mean()) ** 2)
    return np.array(means), np.array(variances)
