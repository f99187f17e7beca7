"""Notices a calibration that cannot be that of the frames: their noise, and their fits, would be others.

Photon noise ties the variance of a pixel to its light. A gain, offset or read noise that is wrong breaks the
tie: with a gain that is too small by a factor, so is the ratio of noise to light. Simulations of backgrounds
from 0.2 to 200 photons, of up to 2 molecules/µm² and of structured samples stay within 0.95 … 1.12.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from locstream.calibrating.fit_quality import FitQuality
from locstream.calibrating.noise import VARIANCE_PER_MEDIAN, central, local_variance, smoothed
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.options import FitOptions
from locstream.fitting.sensor import sensor
from locstream.localizations import Localizations
from locstream.stacks.source import Image

EVERY_FRAMES = 16
"""How often two consecutive frames are looked at, at first."""
MOST_PAIRS = 128
"""With so many, every other is forgotten, and looking becomes half as frequent."""
SIDE_PX = 256
"""The middle of the frames is enough."""
MIN_SIDE_PX = 16
MOST_ROWS = 40_000
MIN_ROWS = 100
"""Fewer fits say nothing."""
QUIET, LOUD = 0.8, 1.3
"""Noise over what it should be: outside, gain, offset or read noise is wrong."""
DARKEST = -0.5
"""Median light of a pixel, photons, below which the offset is too high; a little below 0 may be drift."""
FAINT = 0.1
"""Photoelectrons per pixel up to which the noise of an EM camera is too uneven to be judged."""
NO_BACKGROUND = 0.05
"""Median background of the fits, photons per pixel, that is none."""
POOR_CHI2 = 1.4
"""Median chi-square of fits whose model is not what they see; 1.26 for a profile with wide skirts at 20,000 photons."""
CONSEQUENCE = "Photons and precision are not to be trusted"


class Noise(NamedTuple):
    """What two frames say of the calibration.

    Parameters
    ----------
    ratio
        Variance of a pixel over what its light and the calibration call for; 1 where it is right.
    light
        Median light of a pixel, photoelectrons.
    excess_adu
        By how much the offset would have to be higher for the ratio to be 1, ADU.
    """

    ratio: float
    light: float
    excess_adu: float


class CalibrationCheck:
    """Compares frames and fits with what the calibration calls for. Constant memory; some ms every 16 frames.

    Parameters
    ----------
    calibration
        The camera's, cropped to the frames.
    height, width
        Shape of the frames, px.
    options
        How molecules are fitted; None for the defaults.

    Attributes
    ----------
    quality
        How well the latest fits describe what the camera sees, in numbers.
    """

    def __init__(
        self, calibration: CameraCalibration, height: int, width: int, options: FitOptions | None = None
    ) -> None:
        self.quality = FitQuality(options or FitOptions(), calibration)
        self._offset, self._scale, self._variance = (
            central(np.broadcast_to(values, (height, width)), SIDE_PX) for values in sensor(calibration, height, width)
        )
        self._electrons = calibration.excess_noise_squared
        self._large_enough = min(self._offset.shape) >= MIN_SIDE_PX
        self._every, self._seen = EVERY_FRAMES, 0
        self._first: Image | None = None
        self._pairs: list[Noise] = []
        self._row_step = 1
        self._chi2, self._background = np.empty((2, 0), np.float32)

    def see(self, image: Image) -> None:
        """Look at a frame or pass it over.

        Parameters
        ----------
        image
            Shape (height, width), uint16, ADU; every frame in turn, not changed afterwards.
        """
        if self._first is not None:
            self._pairs.append(self._noise(self._first, image))
            self._first = None
            if len(self._pairs) >= MOST_PAIRS:
                self._pairs = self._pairs[::2]
                self._every *= 2
        elif self._large_enough and self._seen % self._every == 0:
            self._first = image
        self._seen += 1

    def fitted(self, rows: Localizations) -> None:
        """Take fits, any number at a time, in frame order."""
        self.quality.add(rows)
        self._chi2 = np.concatenate([self._chi2, rows["chi2"][:: self._row_step]])
        self._background = np.concatenate([self._background, rows["background"][:: self._row_step]])
        if len(self._chi2) > MOST_ROWS:
            self._chi2, self._background = self._chi2[::2], self._background[::2]
            self._row_step *= 2

    @property
    def noise(self) -> Noise | None:
        """The medians over the frames looked at; None where there were none, or no noise to be expected."""
        return Noise(*(float(value) for value in np.median(self._pairs, axis=0))) if self._pairs else None

    def sentences(self) -> list[str]:
        """Return what is wrong, in sentences for the user; nothing where all agrees."""
        return [*(self._of_noise() or self.quality.pattern() or self._of_fits()), *self.quality.changes()]

    def _of_noise(self) -> list[str]:
        """Return what the noise of the frames shows."""
        noise = self.noise
        if noise is not None and noise.light < DARKEST:
            return [
                f"the frames are darker than the camera without light: {noise.light:.1f} photoelectrons/px (median). "
                f"offset_adu is too high, by {self._in_adu(-noise.light):.1f} ADU or more"
            ]
        if noise is not None and noise.ratio < QUIET and noise.light > FAINT:
            return [
                f"the noise of the frames is {noise.ratio:.2f} times what the calibration calls for: gain_e_per_adu is "
                f"too small by about that factor, or offset_adu too low by about {noise.excess_adu:.0f} ADU, or "
                f"read_noise_e too large. {CONSEQUENCE}"
            ]
        if noise is not None and noise.ratio > LOUD:
            return [
                f"the noise of the frames is {noise.ratio:.2f} times what the calibration calls for: gain_e_per_adu is "
                f"too large by about that factor, or offset_adu too high, or read_noise_e too small. {CONSEQUENCE}"
            ]
        return []

    def _of_fits(self) -> list[str]:
        """Return what the fits show where the noise does not."""
        if len(self._chi2) < MIN_ROWS:
            return []
        chi2, background = float(np.median(self._chi2)), float(np.median(self._background))
        if background < NO_BACKGROUND:
            return ["half of the molecules have no background at all: offset_adu is too high"]
        if chi2 > POOR_CHI2:
            return [
                f"molecules do not look like what is fitted to them: chi-square {chi2:.2f} (median) instead of 1. They "
                "overlap or are out of focus, or read_noise_e is too small"
            ]
        return []

    def _noise(self, first: Image, second: Image) -> Noise:
        """Measure the noise of two consecutive frames; what both have in common is not in it."""
        one, two = ((central(i, SIDE_PX) - self._offset) * self._scale for i in (first, second))
        light = smoothed((one + two) / 2)
        dark = smoothed(self._variance)
        expected = np.maximum(light, 0) + dark
        ratio = VARIANCE_PER_MEDIAN * float(np.median(local_variance(one - two) / 2 / expected))
        level = float(np.median(light))
        excess = (1 - ratio) * float(np.median(expected))
        return Noise(ratio, level * self._electrons, self._in_adu(excess * self._electrons))

    def _in_adu(self, photoelectrons: float) -> float:
        return photoelectrons / self._electrons / float(np.median(self._scale))
