"""What a calibration from dark and light frames finds: maps, how good they are, and what each level of light said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from locstream.calibrating.pixel_statistics import Map
from locstream.calibration.camera import EM_EXCESS_NOISE_SQUARED

HOT = 4.0
"""A pixel is hot where its read noise is above so many times the median."""


@dataclass(frozen=True)
class LightLevel:
    """What one stack of even light says.

    Parameters
    ----------
    frames
        Number of its frames.
    signal_adu
        Median of the pixels above their offset, ADU.
    slope
        Photon noise over signal, ADU²/ADU: ADU per electron, or F² · EM gain times that behind an EM register.
    flicker
        Relative change of the lamp from frame to frame, 1 σ; its part of the noise is taken out.
    """

    frames: int
    signal_adu: float
    slope: float
    flicker: float


@dataclass(frozen=True, eq=False)
class MeasuredCamera:
    """A camera as measured: maps of shape (rows, columns), and how good they are.

    Parameters
    ----------
    offset_adu
        Level without light, ADU.
    read_noise_e
        Read noise, electrons rms, before division by the EM gain. Pixels in `dead` are given the signal of the
        brightest light, so that no fit listens to them.
    gain_e_per_adu
        Electrons per ADU after the EM register.
    gain_uncertainty_e_per_adu
        1 σ of it.
    dead
        Pixels that do not respond to light, bool.
    unlit
        Number of pixels that the light did not reach; their gain is that of the camera.
    em_gain
        Gain of the EM register, as given.
    dark_frames
        Number of frames in the dark.
    offset_drift_adu
        Change of the offset over the dark stack, 1 σ, ADU.
    levels
        What each light level says, from dim to bright.
    scalar_gain_e_per_adu
        One gain for all pixels.
    gain_spread
        Relative standard deviation of the pixels' gains, without what is chance.
    gain_chance
        Relative standard error of the gain of one pixel by itself, median.
    """

    offset_adu: Map
    read_noise_e: Map
    gain_e_per_adu: Map
    gain_uncertainty_e_per_adu: Map
    dead: npt.NDArray[np.bool_]
    unlit: int
    em_gain: float
    dark_frames: int
    offset_drift_adu: float
    levels: tuple[LightLevel, ...]
    scalar_gain_e_per_adu: float
    gain_spread: float
    gain_chance: float

    @property
    def offset_uncertainty_adu(self) -> Map:
        """1 σ of the offset, ADU."""
        return np.asarray(self.read_noise_e / self.gain_e_per_adu / np.sqrt(self.dark_frames))

    @property
    def read_noise_uncertainty_e(self) -> Map:
        """1 σ of the read noise, electrons rms."""
        of_gain = self.gain_uncertainty_e_per_adu / self.gain_e_per_adu
        return np.asarray(self.read_noise_e * np.sqrt(of_gain**2 + 0.5 / (self.dark_frames - 1)))

    @property
    def hot(self) -> npt.NDArray[np.bool_]:
        """Pixels that respond to light and are much noisier than most, bool."""
        hot: npt.NDArray[np.bool_] = ~self.dead & (self.read_noise_e > HOT * np.median(self.read_noise_e))
        return hot

    @property
    def signals_e(self) -> tuple[float, ...]:
        """Signal of each level, photoelectrons."""
        return tuple(level.signal_adu * self.scalar_gain_e_per_adu / self.em_gain for level in self.levels)

    @property
    def nonlinearity(self) -> float:
        """Largest relative deviation of a level's slope from that of all."""
        of_all = slope_per_gain(self.em_gain) / self.scalar_gain_e_per_adu
        return max(abs(level.slope / of_all - 1) for level in self.levels)


def slope_per_gain(em_gain: float) -> float:
    """Return slope of the noise times electrons per ADU: 1, or F² times the EM gain."""
    return em_gain * (EM_EXCESS_NOISE_SQUARED if em_gain > 1 else 1.0)
