"""The image of a molecule: a Gaussian integrated over the pixels, in double precision.

It shares nothing with the kernels that are measured: numpy, and the error function of scipy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

Array = npt.NDArray[np.float64]


def pixel_integrals(centre: Array, sigma: Array, first: Array, pixels: int) -> Array:
    """Return which part of the light falls into each pixel of one axis.

    Parameters
    ----------
    centre, sigma, first
        Shape (n,), px: centre and width of the Gaussian, and the first pixel. A pixel's centre is a whole number.
    pixels
        Number of pixels.

    Returns
    -------
    numpy.ndarray
        Shape (n, pixels).
    """
    edges = first[:, None] + np.arange(pixels + 1) - 0.5
    below: Array = 0.5 * erf((edges - centre[:, None]) / (np.sqrt(2) * sigma[:, None]))
    return np.diff(below, axis=1)


def box_means(x: Array, y: Array, photons: Array, background: Array, sigma_x: Array, sigma_y: Array, box: int) -> Array:
    """Return the mean photoelectrons of each pixel of n boxes, shape (n, box, box); x, y from the first pixel."""
    first = np.zeros_like(x)
    across, down = pixel_integrals(x, sigma_x, first, box), pixel_integrals(y, sigma_y, first, box)
    return photons[:, None, None] * down[:, :, None] * across[:, None, :] + background[:, None, None]


@dataclass(frozen=True)
class Astigmatism:
    """Widths behind a cylindrical lens, σ(z) = σ₀ √(1 + ((z ± c) / d)² + A ((z ± c) / d)³ + B ((z ± c) / d)⁴).

    The curve of Huang et al. (Science 319, 810, 2008).
    """

    sigma_px: float = 1.3
    half_distance_nm: float = 200.0
    """c: x is in focus at +c, y at -c."""
    depth_nm: float = 450.0
    cubic: float = -0.05
    quartic: float = 0.05

    def widths(self, z_nm: Array) -> tuple[Array, Array]:
        """Return σx and σy, px, of molecules at `z_nm`."""
        return self._width(z_nm - self.half_distance_nm), self._width(-z_nm - self.half_distance_nm)

    def _width(self, defocus_nm: Array) -> Array:
        u = defocus_nm / self.depth_nm
        return self.sigma_px * np.sqrt(1 + u**2 + self.cubic * u**3 + self.quartic * u**4)
