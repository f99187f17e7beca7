"""Frames of molecules that are known: what the tests of the fitting and the accuracy benchmark look at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from locstream.calibration.camera import CameraCalibration

MOLECULE = np.dtype([("x", "f8"), ("y", "f8"), ("photons", "f8")])
"""Position in px from the centre of pixel (0, 0), and photons in the frame."""

Doubles = npt.NDArray[np.float64]


def molecules(x: npt.ArrayLike, y: npt.ArrayLike, photons: npt.ArrayLike) -> npt.NDArray[np.void]:
    """Return a table of molecules."""
    x, y, photons = np.broadcast_arrays(np.atleast_1d(x), y, photons)
    table = np.empty(x.shape, MOLECULE)
    table["x"], table["y"], table["photons"] = x, y, photons
    return table


def integrated(centre: float, sigma: float, first: int, n: int) -> Doubles:
    """Return the part of a Gaussian's light that falls on each of n pixels of an axis."""
    edges = (np.arange(first, first + n + 1) - 0.5 - centre) / (np.sqrt(2) * sigma)
    return 0.5 * np.diff(erf(edges))


def light(table: npt.NDArray[np.void], height: int, width: int, *, sigma: float, background: float) -> Doubles:
    """Return the expected photons of each pixel."""
    mean = np.full((height, width), float(background))
    reach = int(np.ceil(6 * sigma))
    for x, y, photons in table.tolist():
        top, bottom = max(round(y) - reach, 0), min(round(y) + reach + 1, height)
        left, right = max(round(x) - reach, 0), min(round(x) + reach + 1, width)
        down, along = integrated(y, sigma, top, bottom - top), integrated(x, sigma, left, right - left)
        mean[top:bottom, left:right] += photons * down[:, None] * along[None, :]
    return mean


def expose(mean_photons: Doubles, camera: CameraCalibration, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Return what the camera makes of the light: shot noise, EM register, read noise, offset, whole ADU."""
    electrons = rng.poisson(mean_photons * camera.quantum_efficiency).astype(float)
    if camera.em_gain > 1:  # the register's output for n electrons is gamma distributed: mean n·g, variance n·g²
        electrons = rng.gamma(electrons, camera.em_gain)
    electrons = electrons + rng.normal(0, 1, mean_photons.shape) * camera.read_noise_e
    return np.clip(np.rint(electrons / camera.gain_e_per_adu + camera.offset_adu), 0, 65_535).astype(np.uint16)


def scatter(n: int, height: int, width: int, rng: np.random.Generator, margin: float = 8) -> npt.NDArray[np.void]:
    """Return molecules placed at random, with 200 + Exp(800) photons."""
    x, y = rng.uniform(margin, width - 1 - margin, n), rng.uniform(margin, height - 1 - margin, n)
    return molecules(x, y, 200 + rng.exponential(800, n))
