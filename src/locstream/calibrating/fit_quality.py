"""How well the fits describe what the camera sees, from what they leave behind anyway: nothing is fitted again."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from locstream.calibration.camera import CameraCalibration
from locstream.fitting.gaussian import box_columns
from locstream.fitting.options import FitOptions
from locstream.fitting.residuals import Residuals
from locstream.localizations import Localizations
from locstream.stream.quality import Quality

LATEST_FITS = 4_000
"""Fits that the distribution of chi-square is of."""
LATEST_SPOTS = 4_000
"""With so many molecules in the map of residuals, all of them count for half of what they did."""
ONE_PERCENT = 2.3263
"""Standard deviations above the mean that 1 % of all normal draws exceed."""
SPAN_FRAMES = 1_000
"""The beginning, and the present: 10 s at 100 frames per second."""
FEWEST_ROWS = 200
MOST_ROWS = 20_000
PATTERN = 0.25
"""Residuals with more than this, root mean square, are a picture of what is wrong with the model. Where it is right
they stay below 0.05, also in dense samples; a profile with wide skirts gives 0.09 at 5,000 photons, and three public
stacks of real cells give 0.09 to 0.19."""
FEWEST_SPOTS = 300
WIDER = 1.1
"""From this ratio on the molecules have become wider: 10 % is a defocus of about 250 nm."""
DEEPER_NM = 150.0
"""Depths that moved by more than this, median, are the focus and not the sample."""

Doubles = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]


class FitQuality:
    """Gathers chi-square, residuals, widths and depths of an acquisition. Constant memory.

    Parameters
    ----------
    options
        How molecules are fitted.
    calibration
        The camera's.
    """

    def __init__(self, options: FitOptions, calibration: CameraCalibration) -> None:
        self._options = options
        _, unknowns = box_columns(options.box_px, options.model)
        self._freedom = options.box_px**2 - len(unknowns)
        excess = calibration.excess_noise_squared
        self._units_per_photon = calibration.quantum_efficiency / excess
        read_noise = float(np.median(calibration.read_noise_e)) / calibration.em_gain
        self._variance = (read_noise / excess) ** 2
        self._chi2, self._background = np.empty((2, 0), np.float32)
        self._residuals = np.zeros((options.box_px, options.box_px))
        self._spots = 0.0
        self._width, self._depth = ThenAndNow(), ThenAndNow()

    def add(self, rows: Localizations) -> None:
        """Take fits, any number at a time, in frame order."""
        self._chi2 = np.concatenate([self._chi2, rows["chi2"]])[-LATEST_FITS:]
        self._background = np.concatenate([self._background, rows["background"]])[-LATEST_FITS:]
        self._width.add(rows["frame"], np.sqrt(rows["sigma_x_nm"] * rows["sigma_y_nm"]))
        if "z_nm" in (rows.dtype.names or ()):
            self._depth.add(rows["frame"], rows["z_nm"])

    def add_residuals(self, residuals: Residuals) -> None:
        """Take what the molecules of a frame left unexplained."""
        self._residuals += residuals.total
        self._spots += residuals.spots
        if self._spots > LATEST_SPOTS:
            self._residuals /= 2
            self._spots /= 2

    def report(self) -> Quality:
        """Return all of it for the latest molecules."""
        chi2 = self._chi2
        return Quality(
            fits=len(chi2),
            chi2=float(np.median(chi2)) if len(chi2) else 0.0,
            chi2_excess=float(np.mean(chi2 > self._one_percent_point())) if len(chi2) else 0.0,
            residual_spots=round(self._spots),
            residuals=tuple(round(float(value), 4) for value in self.residuals.ravel()) if self._spots else (),
            residual_rms=self._rms,
            width_first_nm=self._width.first,
            width_now_nm=self._width.now,
            z_first_nm=self._depth.first,
            z_now_nm=self._depth.now,
        )

    @property
    def residuals(self) -> Doubles:
        """Mean of (found − fitted) / √fitted around a molecule, shape (box, box)."""
        return self._residuals / max(self._spots, 1.0)

    def pattern(self) -> list[str]:
        """Return what the residuals show, as a sentence for the user; nothing where they are noise."""
        if self._spots < FEWEST_SPOTS or self._rms < PATTERN:
            return []
        middle = float(self.residuals[self._options.box_px // 2, self._options.box_px // 2])
        brighter, too = ("brighter", "large") if middle > 0 else ("darker", "small")
        why = (
            f"psf_sigma_nm = {self._options.psf_sigma_nm:g} nm is too {too}"
            if self._options.model == "fixed"
            else "The point spread function is no Gaussian, or the box is cut off"
        )
        return [
            f"molecules do not look like what is fitted to them: {brighter} in the middle by {abs(middle):.1f} standard"
            f" deviations of the noise on average, and {self._rms:.1f} in all pixels (rms). {why}"
        ]

    def changes(self) -> list[str]:
        """Return what has changed since the beginning, in sentences for the user; nothing where all is as it was."""
        found = []
        if (span := self._width.both) is not None and span[1] > WIDER * span[0]:
            found.append(
                f"the width of the molecules went from {span[0]:.0f} nm to {span[1]:.0f} nm since the start: refocus?"
            )
        if (span := self._depth.both) is not None and abs(span[1] - span[0]) > DEEPER_NM:
            found.append(
                f"the depth of the molecules went from {span[0]:+.0f} nm to {span[1]:+.0f} nm (median) since the "
                "start: refocus?"
            )
        return found

    @property
    def _rms(self) -> float:
        """What is more in the residuals than chance explains."""
        return math.sqrt(max(float(np.mean(self.residuals**2)) - 1 / max(self._spots, 1.0), 0.0))

    def _one_percent_point(self) -> Doubles:
        """Return the chi-square per degree of freedom that each fit exceeds by chance in 1 % of all cases.

        By Wilson and Hilferty. Of counts with mean m, Pearson's chi-square has 1 / (2·m) more variance than chi-square
        itself; m is taken to be that of the background.
        """
        light = self._background.astype(np.float64) * self._units_per_photon + self._variance
        freedom = self._freedom / (1 + 0.5 / np.maximum(light, 0.05))
        part = 2 / (9 * freedom)
        return np.asarray((1 - part + ONE_PERCENT * np.sqrt(part)) ** 3)


class ThenAndNow:
    """The median of a column in the first frames and in the latest.

    Attributes
    ----------
    first
        Over the first `SPAN_FRAMES` frames, or more until there are `FEWEST_ROWS`; None before they are over.
    """

    def __init__(self) -> None:
        self.first: float | None = None
        self._frames = np.empty(0, np.uint32)
        self._values = np.empty(0, np.float32)

    def add(self, frames: npt.NDArray[np.uint32], values: Values) -> None:
        """Take the values of some molecules, in frame order."""
        if not len(values):
            return
        self._frames = np.concatenate([self._frames, frames])
        self._values = np.concatenate([self._values, values])
        if len(self._values) > MOST_ROWS:
            self._frames, self._values = self._frames[::2], self._values[::2]
        last = int(self._frames[-1])
        if self.first is None:
            if last - int(self._frames[0]) < SPAN_FRAMES or len(self._values) < FEWEST_ROWS:
                return
            self.first = float(np.median(self._values))
        recent = int(np.searchsorted(self._frames, max(last - SPAN_FRAMES, 0)))
        start = max(min(recent, len(self._values) - FEWEST_ROWS), 0)
        self._frames, self._values = self._frames[start:], self._values[start:]

    @property
    def now(self) -> float | None:
        """Over the latest `SPAN_FRAMES` frames; None before the first ones are over."""
        return None if self.first is None else float(np.median(self._values))

    @property
    def both(self) -> tuple[float, float] | None:
        """The first and the latest."""
        return None if self.first is None or self.now is None else (self.first, self.now)
