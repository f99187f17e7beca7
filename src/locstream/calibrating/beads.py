"""Beads in a stack over z: where they are, and how wide their images are in each plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from locstream.fitting.gaussian import MAX_BOX, PHOTONS, SIGMA, SIGMA_Y, fit_spots
from locstream.fitting.status import FitStatus

Doubles = npt.NDArray[np.float64]
Planes = npt.NDArray[np.integer | np.floating]

BOX_PX = MAX_BOX
"""The largest box there is: out of focus a bead is wide."""
SMOOTHED_PX = 1.5
START_SIGMA_PX = 2.0
MIN_SHARE = 0.1
"""A bead has at least this part of the height of the brightest."""
MIN_NOISES = 20.0
"""A bead stands out of what is around by so many times its noise."""
MIN_SIGNIFICANCE = 10.0
"""Photons of a bead in a plane whose widths are used, in units of their uncertainty."""


class Bead(NamedTuple):
    """Where a bead is, px."""

    row: int
    column: int


@dataclass(frozen=True, eq=False)
class BeadScan:
    """The widths of one bead over the planes of a stack.

    Parameters
    ----------
    bead
        Where it is.
    plane
        Numbers of the planes in which it could be fitted, shape (n,), increasing.
    sigma_x_px, sigma_y_px
        Its widths there, px.
    height
        Height of its image there, ADU.
    """

    bead: Bead
    plane: Doubles
    sigma_x_px: Doubles
    sigma_y_px: Doubles
    height: Doubles


def find_beads(planes: Planes) -> list[Bead]:
    """Find bright spots that stand alone.

    Parameters
    ----------
    planes
        Shape (planes, rows, columns), ADU.

    Returns
    -------
    list[Bead]
        Brightest first. None is so near to another or to the edge that their boxes overlap or reach out; none is much
        dimmer than the brightest, as beads that touch or dirt would be.
    """
    shown = planes.max(axis=0).astype(np.float64) - np.median(planes, axis=0)
    smooth = _smoothed(shown)
    level = float(np.median(smooth))
    noise = 1.4826 * float(np.median(np.abs(smooth - level)))
    height = smooth - level
    floor = max(MIN_NOISES * noise, MIN_SHARE * float(height.max()))
    half, (rows, columns) = BOX_PX // 2, smooth.shape
    beads: list[Bead] = []
    taken: list[Bead] = []
    for pixel in np.argsort(height, axis=None)[::-1]:
        row, column = (int(i) for i in np.unravel_index(pixel, smooth.shape))
        if not height[row, column] > floor:
            break
        if any(abs(row - other.row) < BOX_PX and abs(column - other.column) < BOX_PX for other in taken):
            continue
        taken.append(Bead(row, column))
        if half <= row < rows - half and half <= column < columns - half:
            beads.append(taken[-1])
    return beads


def scan_bead(planes: Planes, bead: Bead) -> BeadScan:
    """Fit a bead in each plane, and keep the planes in which both widths are well known."""
    half = BOX_PX // 2
    rows, columns = slice(bead.row - half, bead.row + half + 1), slice(bead.column - half, bead.column + half + 1)
    # The offset of the camera is part of the background. Its gain is not known: it would set the scale of the bounds.
    fits = fit_spots(planes[:, rows, columns].astype(np.float32), START_SIGMA_PX, model="sigma_xy")
    good = (fits.status == FitStatus.CONVERGED) & (
        fits.estimate[:, PHOTONS] > MIN_SIGNIFICANCE * fits.uncertainty[:, PHOTONS]
    )
    estimate = fits.estimate[good].astype(np.float64)
    photons, sigma_x, sigma_y = estimate[:, PHOTONS], estimate[:, SIGMA], estimate[:, SIGMA_Y]
    height = photons / (2 * np.pi * sigma_x * sigma_y)
    return BeadScan(bead, np.flatnonzero(good).astype(np.float64), sigma_x, sigma_y, height)


def _smoothed(image: Doubles) -> Doubles:
    """Return the image, smoothed by a Gaussian and mirrored at its edges."""
    reach = int(3 * SMOOTHED_PX)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHED_PX) ** 2)
    taps /= taps.sum()
    padded = np.pad(image, reach, mode="symmetric")
    for axis in (0, 1):
        padded = np.apply_along_axis(np.convolve, axis, padded, taps, mode="valid")
    return padded
