"""What the fits leave unexplained: (found − fitted) of each pixel in units of its noise, averaged over many molecules.

Noise averages out. What stays is the difference between the image of a molecule and the model: a ring where the model
is too narrow or the image has skirts, a cross where a lens is astigmatic, a flat level where the background is wrong.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from locstream.calibration.camera import CameraCalibration
from locstream.compiled import Floats, exact
from locstream.fitting.gaussian import gauss
from locstream.fitting.sensor import Sensor, sensor
from locstream.localizations import Localizations
from locstream.stacks.source import Image

MOST_SPOTS = 64
"""Molecules looked at in one frame, spread over its rows."""
COLUMNS = ("x_nm", "y_nm", "sigma_x_nm", "sigma_y_nm", "photons", "background")


class Residuals(NamedTuple):
    """Unexplained light around molecules.

    Parameters
    ----------
    total
        Shape (box, box), float32: the sum over the molecules of (found − fitted) / √(fitted + read noise²), pixel by
        pixel; the molecule is in the middle pixel, rows down and columns to the right.
    spots
        Number of molecules.
    """

    total: Floats
    spots: int


class ResidualMap:
    """Compares the frames of one camera with the rows that were fitted to them.

    Parameters
    ----------
    calibration
        The camera; its maps, where it has any, cover the frame from their first pixel.
    height, width
        Shape of the frames, px.
    box_px
        Edge of the square of pixels around a molecule, px; odd.

    Raises
    ------
    ConfigError
        The calibration's maps are smaller than the frames.
    """

    def __init__(self, calibration: CameraCalibration, height: int, width: int, box_px: int) -> None:
        self._sensor = sensor(calibration, height, width)
        self._photons_per_unit = calibration.excess_noise_squared / calibration.quantum_efficiency
        self._pixel_nm = calibration.pixel_size_nm
        self._box = box_px

    def __call__(self, image: Image, rows: Localizations) -> Residuals:
        """Return what the rows of a frame leave unexplained in it.

        Parameters
        ----------
        image
            Shape (height, width), uint16, ADU.
        rows
            All that was fitted to it. Up to 64 molecules that stand alone are looked at: no other one within a box,
            and the box within the frame.
        """
        fitted = np.stack([rows[name] for name in COLUMNS]).astype(np.float32)
        fitted[:4] /= np.float32(self._pixel_nm)
        fitted[4:] /= np.float32(self._photons_per_unit)
        total = np.zeros((self._box, self._box), np.float32)
        view = np.require(image, requirements=["C", "A"]).view()
        view.flags.writeable = False  # the type that the kernel is compiled for, wherever the frame comes from
        return Residuals(total, add_residuals(view, self._sensor, fitted, total))


@exact
def _alone(fitted: Floats, k: int, box: int) -> bool:
    """Tell whether no other molecule lies within a box's edge of this one."""
    for other in range(fitted.shape[1]):
        near = abs(fitted[0, other] - fitted[0, k]) < box and abs(fitted[1, other] - fitted[1, k]) < box
        if near and other != k:
            return False
    return True


@exact
def _profile(centre: float, sigma: float, first: int, values: Floats) -> None:
    """Write the Gaussian of unit area integrated over pixels from `first` on."""
    q = 1 / (sigma * math.sqrt(2))
    left, _ = gauss(np.float32((first - 0.5 - centre) * q))
    for i in range(values.shape[0]):
        right, _ = gauss(np.float32((first + i + 0.5 - centre) * q))
        values[i] = right - left
        left = right


@exact
def add_residuals(image: Image, camera: Sensor, fitted: Floats, total: Floats) -> int:
    """Add the residuals of molecules that stand alone to `total`; return how many they are.

    `fitted` holds x, y, the two widths in px, photons and background in the unit of `Sensor`, one row each.
    """
    offset, scale, variance = camera
    box, (rows, columns) = total.shape[0], image.shape
    along, down = np.empty((2, box), np.float32)
    molecules, spots = fitted.shape[1], 0
    every = max(1, molecules // MOST_SPOTS)
    for k in range(0, min(molecules, every * MOST_SPOTS), every):
        x, y, sigma_x, sigma_y = fitted[0, k], fitted[1, k], fitted[2, k], fitted[3, k]
        photons, background = fitted[4, k], fitted[5, k]
        left, top = round(x) - box // 2, round(y) - box // 2
        inside = left >= 0 and top >= 0 and left + box <= columns and top + box <= rows
        if not inside or not _alone(fitted, k, box):
            continue
        _profile(x, sigma_x, left, along)
        _profile(y, sigma_y, top, down)
        spots += 1
        for j in range(box):
            of_row = (top + j) % offset.shape[0]
            for i in range(box):
                c = left + i
                light = (np.float32(image[top + j, c]) - offset[of_row, c]) * scale[of_row, c]
                mean = photons * down[j] * along[i] + background
                total[j, i] += (light - mean) / math.sqrt(mean + variance[of_row, c] + np.float32(1e-6))
    return spots
