"""The camera as the kernels see it: what to subtract, what to multiply with, how noisy each pixel is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from locstream.calibration.camera import CameraCalibration
from locstream.compiled import Floats


class Sensor(NamedTuple):
    """Per-pixel values in the unit in which the signal is Poisson distributed.

    That unit is the photoelectron, divided by the excess noise factor F² behind an EM register: a Poisson number of
    photoelectrons leaves the register with F² times its variance, and 1/F² of it has a variance equal to its mean.

    Each array has shape (rows, columns) of the frame, or (1, columns) where all rows are alike: the kernels take row
    ``y % rows``, so that a camera without maps reads the same short row again and again.

    Parameters
    ----------
    offset_adu
        Level without light, ADU.
    scale
        What one ADU above the offset is worth.
    variance
        Variance of a pixel without light: read noise and the rounding to whole ADU.
    """

    offset_adu: Floats
    scale: Floats
    variance: Floats


def sensor(calibration: CameraCalibration, height: int, width: int) -> Sensor:
    """Return the per-pixel values of a camera.

    Parameters
    ----------
    calibration
        The camera; its maps, where it has any, cover the frame from their first pixel.
    height, width
        Shape of the frames, px.

    Raises
    ------
    ConfigError
        The calibration's maps are smaller than the frames.
    """
    region = calibration.for_frames(height, width)
    shape = (1, width) if region.map_shape is None else (height, width)
    electrons = np.asarray(region.gain_e_per_adu, np.float64) / region.em_gain
    read_noise = np.asarray(region.read_noise_e, np.float64) / region.em_gain
    excess = region.excess_noise_squared
    variance = (read_noise**2 + electrons**2 / 12) / excess**2

    def spread(values: npt.ArrayLike) -> Floats:
        return np.array(np.broadcast_to(np.asarray(values, np.float32), shape), order="C")

    return Sensor(spread(region.offset_adu), spread(electrons / excess), spread(variance))
