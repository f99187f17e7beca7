"""The noise of pixels as frames show it, with as little of the sample in it as can be.

Photon noise differs from pixel to pixel; the image of a molecule or of a cell does not, much. What passes a
filter of second differences is nearly all noise (Immerkær, Computer Vision and Image Understanding 64, 1996).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Pixel = TypeVar("Pixel", bound=np.generic)
Floats = npt.NDArray[np.floating]

VARIANCE_PER_MEDIAN = 1 / 0.4549
"""Variance of normal noise, in units of the median of its square."""
SQUARE_OF_VARIANCE = 2 * (70 / 36) ** 2 * 1.5
"""Variance of the mean of n values of `local_variance` of consecutive differences of frames, in units of its square
over n: 2 for normal noise, 70/36 along either axis for what neighbours share past the filter, 1.5 for what
consecutive differences share."""


def central(images: npt.NDArray[Pixel], side_px: int) -> npt.NDArray[Pixel]:
    """Return the middle of frames, a view.

    Parameters
    ----------
    images
        Shape (..., rows, columns).
    side_px
        Longest side to keep; smaller frames stay as they are.
    """
    rows, columns = (slice((n - min(n, side_px)) // 2, (n + min(n, side_px)) // 2) for n in images.shape[-2:])
    return images[..., rows, columns]


def local_variance(pixels: Floats) -> Floats:
    """Return squares whose mean is the variance of a pixel's own noise.

    Parameters
    ----------
    pixels
        Shape (..., rows, columns), at least 3 × 3 px.

    Returns
    -------
    numpy.ndarray
        Shape (..., rows - 2, columns - 2), in squares of the unit of `pixels`.
    """
    across = pixels[..., 2:] - 2 * pixels[..., 1:-1] + pixels[..., :-2]
    both = across[..., 2:, :] - 2 * across[..., 1:-1, :] + across[..., :-2, :]
    return np.asarray(both**2 / np.float32(36))  # the sum of the squared weights


def smoothed(pixels: Floats) -> Floats:
    """Return the mean over those pixels whose noise is in `local_variance`, to the same parts."""
    across = pixels[..., 2:] + 4 * pixels[..., 1:-1] + pixels[..., :-2]
    both = across[..., 2:, :] + 4 * across[..., 1:-1, :] + across[..., :-2, :]
    return np.asarray(both / np.float32(36))


def boxed(pixels: Floats) -> Floats:
    """Return the mean over 3 × 3 px; the result has 2 rows and 2 columns fewer."""
    across = pixels[..., 2:] + pixels[..., 1:-1] + pixels[..., :-2]
    return np.asarray((across[..., 2:, :] + across[..., 1:-1, :] + across[..., :-2, :]) / np.float32(9))
