"""What stacks must fulfil for a calibration; each function raises `ConfigError` where one does not.

Levels are in ADU, noise is variance in ADU².
"""

from __future__ import annotations

import numpy as np

from locstream.calibrating.pixel_statistics import Map, PixelStatistics
from locstream.errors import ConfigError

MIN_DARK_FRAMES = 100
MIN_LIGHT_FRAMES = 50
MIN_LEVELS = 3
"""Two make a line; the third says whether it is one."""
MIN_EXCESS = 0.1
"""Photon noise of a usable level, in units of the noise in the dark."""
SATURATED_SHARE = 0.01
"""Share of pixels that meet at the highest value of a stack; noise alone brings together a few in a million."""
CUT_OFF = 2.0
"""An offset of fewer standard deviations of the noise is too low: values below 0 are lost."""


def require_frames(stack: PixelStatistics, at_least: int) -> None:
    """Refuse a stack of too few frames."""
    if stack.frames < at_least:
        raise ConfigError(
            f"{stack.what} holds {stack.frames:,} frames; a calibration takes at least {at_least:,}",
            todo="record 1,000 in the dark and some hundred at each level of light: few frames give noisy maps",
        )


def require_offset(dark: PixelStatistics) -> None:
    """Refuse noise that is cut off: of normal noise about an offset of 2 σ, 2 % would have to be negative."""
    share = float(np.mean(dark.mean < CUT_OFF * np.sqrt(dark.variance)))
    if share > SATURATED_SHARE:
        raise ConfigError(
            f"the noise of {dark.what} is cut off at 0 ADU in {share:.1%} of the pixels: the offset is too low",
            todo="raise the offset (baseline, black level) of the camera and record again",
        )


def require_levels(count: int) -> None:
    """Refuse too few levels of light."""
    if count < MIN_LEVELS:
        raise ConfigError(
            f"{count} light stacks were given; a calibration takes at least {MIN_LEVELS}",
            todo="record more levels, from dim to half of full scale: two give a slope, a third shows that it is one",
        )


def require_shape(lit: PixelStatistics, dark: PixelStatistics) -> None:
    """Refuse light of another shape than the dark."""
    if lit.shape != dark.shape:
        raise ConfigError(
            f"{lit.what} has {lit.shape[1]} × {lit.shape[0]} px, the dark stack {dark.shape[1]} × {dark.shape[0]} px",
            todo="record dark and light with one region and one binning",
        )


def require_light(lit: PixelStatistics, signal: Map, noise: Map, dark_noise: Map) -> None:
    """Refuse light that does not show in the noise."""
    level, excess, before = (float(np.median(values)) for values in (signal, noise, dark_noise))
    if level <= 0 or excess <= MIN_EXCESS * before:
        raise ConfigError(
            f"{lit.what} is hardly brighter than the dark: {level:+.1f} ADU, and a noise of "
            f"{before + excess:.1f} ADU² where the dark has {before:.1f} ADU²",
            todo="record with more light; are dark and light swapped?",
        )


def require_unsaturated(lit: PixelStatistics, known_adu: float | None) -> float:
    """Return the level from which a pixel counts as saturated, ADU. Raises `ConfigError` where many are.

    A camera may saturate below the limit of its converter: then many pixels share the stack's highest value.
    """
    level = min(float(lit.highest.max()), np.inf if known_adu is None else known_adu)
    share = float(np.mean(lit.highest >= level))
    if share > SATURATED_SHARE:
        raise ConfigError(
            f"{lit.what} is saturated: {share:.1%} of its pixels reach {level:,.0f} ADU and go no further",
            todo="record with less light or a shorter exposure, up to half of full scale",
        )
    return float(np.iinfo(lit.highest.dtype).max) if known_adu is None else known_adu
