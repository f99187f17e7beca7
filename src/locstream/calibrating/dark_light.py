"""Offset, read noise and gain of every pixel, from frames in the dark and frames of even light.

In the dark a pixel shows its offset, and its noise is the read noise. Light of s ADU above it adds photon
noise of variance g · s, where g is the pixel's gain in ADU per electron (Janesick, Photon Transfer, 2007;
pixel by pixel: Huang et al., Nature Methods 10, 653, 2013). Beyond that paper, levels are weighted by how
well their noise is known, changes of the lamp are taken out, and what differs between pixels by chance
alone is not taken for a difference of their gains.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from locstream.calibrating.measured_camera import LightLevel, MeasuredCamera, slope_per_gain
from locstream.calibrating.pixel_statistics import Map, PixelStatistics
from locstream.calibrating.requirements import (
    MIN_DARK_FRAMES,
    MIN_LIGHT_FRAMES,
    require_frames,
    require_levels,
    require_light,
    require_offset,
    require_shape,
    require_unsaturated,
)
from locstream.stacks.source import Image

DEAD = 0.05
"""A pixel does not respond where the brightest light raises it by less than this share of the median."""
MAX_DEAD, MAX_DEAD_SHARE = 5, 1e-3
"""If more pixels than either do not respond, it is the light that does not reach them."""
LIT = 0.2
"""A pixel with less light than this share of the median says nothing of the camera as a whole."""
OUTLIER = 8.0
"""Nor does one whose slope is further from the median, in standard deviations."""
OWN = 5.0
"""A gain further from the median, in its own standard deviations, is kept: the pixel really is different."""
CREDIBLE = 5.0
"""But no gain is believed that is smaller or larger than the median by this factor."""
ROUNDING = 1 / 12
"""Variance that rounding to whole ADU adds, ADU²."""
SIGMA_PER_MAD = 1.4826


def calibrate_camera(
    dark: Iterable[Image],
    light: Iterable[Iterable[Image]],
    *,
    em_gain: float = 1.0,
    saturation_adu: float | None = None,
) -> MeasuredCamera:
    """Measure offset, read noise and gain of every pixel. Goes through the frames once and keeps none.

    Parameters
    ----------
    dark
        Frames without light: shape (rows, columns), uint16, ADU. At least 100, better 1,000.
    light
        One stack for each level of even, constant light, at least 3 levels of at least 50 frames. The
        standard error of one pixel's gain is about √(3 / frames of all levels).
    em_gain
        Gain of the EM register. The slope of the noise is then F² · `em_gain` times that without it. An
        error of `em_gain` goes into `gain_e_per_adu` alike; photons, which take both, are not touched by it.
    saturation_adu
        Level from which a pixel counts as saturated, ADU, where it is known.

    Returns
    -------
    MeasuredCamera
        The maps, float64.

    Raises
    ------
    ConfigError
        Frames or levels are missing or differ in shape, a level is no brighter than the dark, or saturated.
    """
    in_the_dark = PixelStatistics("the dark stack", dark)
    require_frames(in_the_dark, MIN_DARK_FRAMES)
    require_offset(in_the_dark)
    slopes = _Slopes(in_the_dark)
    for n, frames in enumerate(light, start=1):
        lit = PixelStatistics(f"light stack {n}", frames)
        require_frames(lit, MIN_LIGHT_FRAMES)
        require_shape(lit, in_the_dark)
        slopes.add(lit, require_unsaturated(lit, saturation_adu))
    require_levels(len(slopes.levels))
    return slopes.camera(em_gain)


class _Slopes:
    """The weighted sums over light levels from which the gains follow; a level is forgotten once it is added."""

    def __init__(self, dark: PixelStatistics) -> None:
        self._dark = dark
        self._offset = dark.mean
        self.levels: list[LightLevel] = []
        self._products, self._squares = np.zeros(dark.shape), np.zeros(dark.shape)
        self._brightest = np.zeros(dark.shape)

    def add(self, lit: PixelStatistics, saturation_adu: float) -> None:
        """Add a level of light."""
        signal = lit.mean - self._offset
        dark_noise = self._dark.step_variance
        noise = lit.step_variance - dark_noise
        require_light(lit, signal, noise, dark_noise)
        of_frames = lit.frame_step_variance - self._dark.frame_step_variance - noise.mean() / noise.size
        flicker = max(0.0, of_frames) ** 0.5 / float(signal.mean())
        lamp_noise = (flicker * signal) ** 2
        noise -= lamp_noise
        slope = _slope_of_all(noise, signal)

        # The error of a variance is proportional to the true variance: that of the model, not that of chance.
        expected = slope * np.maximum(signal, 0) + lamp_noise + dark_noise
        error = 2 * (expected**2 / lit.degrees + dark_noise**2 / self._dark.degrees)
        usable = (error > 0) & (lit.highest < saturation_adu)
        weight = np.divide(1, error, out=np.zeros_like(error), where=usable)
        self._products += weight * noise * signal
        self._squares += weight * signal**2
        if np.median(signal) > np.median(self._brightest):
            self._brightest = signal
        self.levels.append(LightLevel(lit.frames, float(np.median(signal)), slope, flicker))

    def camera(self, em_gain: float) -> MeasuredCamera:
        """Return the camera that the levels added so far describe."""
        measured = self._squares > 0
        slope = np.divide(self._products, self._squares, out=np.zeros_like(self._squares), where=measured)
        of_all = _slope_of_all(self._products, self._squares)
        chance = np.divide(1, np.sqrt(self._squares), out=np.full_like(slope, np.inf), where=measured) / of_all
        factor, uncertainty, spread = _shrunk(slope / of_all, chance)
        gain = slope_per_gain(em_gain) / (of_all * factor)
        dead = self._brightest < DEAD * np.median(self._brightest)
        unlit = int(dead.sum())
        if unlit > max(MAX_DEAD, MAX_DEAD_SHARE * dead.size):
            dead[:] = False
        else:
            unlit = 0
        # `fitting.sensor` counts the rounding to whole ADU by itself.
        read_noise = np.sqrt(np.maximum(self._dark.variance - ROUNDING, 0)) * gain
        read_noise[dead] = np.median(self._brightest) * np.median(gain)
        drift = np.median(self._dark.variance - self._dark.step_variance)
        return MeasuredCamera(
            offset_adu=self._offset,
            read_noise_e=read_noise,
            gain_e_per_adu=gain,
            gain_uncertainty_e_per_adu=gain * uncertainty,
            dead=dead,
            unlit=unlit,
            em_gain=em_gain,
            dark_frames=self._dark.frames,
            offset_drift_adu=float(max(0.0, drift) ** 0.5),
            levels=tuple(sorted(self.levels, key=lambda level: level.signal_adu)),
            scalar_gain_e_per_adu=slope_per_gain(em_gain) / of_all,
            gain_spread=spread,
            gain_chance=float(np.median(chance)),
        )


def _slope_of_all(noise: Map, signal: Map) -> float:
    """Return the slope of the noise over all pixels that are lit and not out of the way."""
    lit = signal > LIT * np.median(signal)
    slope = noise[lit] / signal[lit]
    distance = np.abs(slope - np.median(slope))
    usual = distance <= OUTLIER * SIGMA_PER_MAD * np.median(distance)
    return float(noise[lit][usual].sum() / signal[lit][usual].sum())


def _spread(distance: Map, variance_of_chance: Map) -> tuple[float, float]:
    """Return the variance of the gains beyond chance, and 1 σ of it; the variance may come out negative."""
    usual = np.abs(distance) <= OWN * SIGMA_PER_MAD * np.median(np.abs(distance))
    chance = np.mean(variance_of_chance[usual])
    return float(np.mean(distance[usual] ** 2) - chance), float(chance * np.sqrt(2 / np.count_nonzero(usual)))


def _shrunk(ratio: Map, chance: Map) -> tuple[Map, Map, float]:
    """Return what each pixel's gain most likely is: the empirical Bayes estimate (Efron & Morris, 1973).

    The spread of the measured ratios is that of the pixels and that of chance, which is known. Each ratio
    is drawn towards 1 by the share of chance in it: hardly with many frames, nearly all the way with few.
    On average that is nearer to the truth than the measured ratios, and than one gain for all.

    Parameters
    ----------
    ratio
        Slope of each pixel over that of the camera.
    chance
        1 σ of each; infinite where the slope was not measured.

    Returns
    -------
    tuple
        The ratios, 1 σ of each, and the standard deviation of the pixels without chance.
    """
    distance = ratio - 1
    known = np.isfinite(chance)
    variance_of_chance = np.where(known, chance, 1) ** 2
    spread, error = _spread(distance[known], variance_of_chance[known])
    # A little too much chance costs less than too little: each side takes the error that is to its disadvantage.
    least, most = max(0.0, spread - error), max(0.0, spread) + error
    share = np.where(known, least / (least + variance_of_chance), 0)
    credible = known & (ratio > 1 / CREDIBLE) & (ratio < CREDIBLE)
    share[credible & (np.abs(distance) > OWN * np.sqrt(most + variance_of_chance))] = 1
    share[known & ~credible] = 0
    uncertainty = np.sqrt(share**2 * variance_of_chance + (1 - share) ** 2 * most)
    return 1 + share * distance, uncertainty, max(0.0, spread) ** 0.5
