"""Where the fits of isolated spots start: at the least squares solution, as it looks from the middle of the box.

There the model is all but linear in what is unknown. So photons, position, width and background are sums over the
pixels, each times a weight that is known beforehand.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from locstream.compiled import Floats, U, inlined, kernel
from locstream.fitting.buffers import aligned
from locstream.fitting.lanes import BACKGROUND, NO_WIDTH, PHOTONS, SIGMA, Columns, Unknowns, X, Y
from locstream.fitting.scoring import MIN_BACKGROUND, MIN_PHOTONS, MIN_SIGMA_PX, clip

TYPICAL_BACKGROUND = 0.05
"""Background of a pixel in parts of the photons: what the pixels are weighted for. Others start a bit further off."""
FARTHEST = 4
"""No fit starts further from the middle of its box than the box's width divided by this. What seems to be further away
is a neighbour in a usual box; in a wide one it may be a bead that has drifted."""
NOISE = np.float32(4 * math.sqrt(math.pi))
"""Times the width and the root of the background: twice the photons that noise alone seems to have. A fit starts with
no fewer; from one photon it would take many steps, and go astray where a neighbour's light is taken off its own."""
NARROWEST, WIDEST = np.float32(0.7), np.float32(1.5)
"""In parts of the width in focus."""


class StartWeights(NamedTuple):
    """What the pixels of a box are multiplied by, each an array of box² float32 at the start of a cache line.

    Parameters
    ----------
    x, y
        For the position from the middle of the box in px, times photons.
    photons
        For the photons.
    wider
        For how much wider than in focus, px, times photons; zeros where the width is known.
    background
        For the background of a pixel.
    """

    x: Floats
    y: Floats
    photons: Floats
    wider: Floats
    background: Floats


@functools.lru_cache(maxsize=8)
def start_weights(box: int, sigma_px: float, unknowns: Unknowns) -> StartWeights:
    """Return the weights for boxes of so many pixels along an axis, a width in focus and the unknowns of a model.

    They are those of a width that a fit may end with: of others nothing could be told apart.
    """
    sigma_px = min(max(sigma_px, float(MIN_SIGMA_PX)), box / 2)
    edges = np.arange(box + 1) - box / 2
    gauss = np.exp(-0.5 * (edges / sigma_px) ** 2) / (math.sqrt(2 * math.pi) * sigma_px)
    integral = np.diff([0.5 * math.erf(edge / (math.sqrt(2) * sigma_px)) for edge in edges])
    moved, wider = -np.diff(gauss), -np.diff(edges * gauss) / sigma_px
    image = np.outer(integral, integral).ravel()
    per_x, per_y = np.outer(integral, moved).ravel(), np.outer(moved, integral).ravel()
    per_width = (np.outer(integral, wider) + np.outer(wider, integral)).ravel()
    weight = 1 / (TYPICAL_BACKGROUND + image)
    weights = StartWeights(*(aligned((box * box,)) for _ in StartWeights._fields))
    weights.x[:] = weight * per_x / np.sum(weight * per_x**2)
    weights.y[:] = weight * per_y / np.sum(weight * per_y**2)
    even = np.stack([image, np.ones(box * box), per_width][: 2 if len(unknowns) == NO_WIDTH else 3])
    solved = np.linalg.solve((even * weight) @ even.T, even * weight)
    for of_one, row in zip((weights.photons, weights.background, weights.wider), solved, strict=False):
        of_one[:] = row
    return weights


@inlined
def write_start(
    light: Floats, weights: StartWeights, sigma_px: float, fewest: float, compiled_for: tuple[Columns, Unknowns],
    start: Floats,
) -> None:  # fmt: skip
    """Write where the fit of one spot starts, with no fewer than so many photons.

    Where a pixel is not finite any start will do.
    """
    columns, unknowns = compiled_for
    zero, middle, farthest = np.float32(0), np.float32(len(columns) // 2), np.float32(len(columns) // FARTHEST)
    total = total_x = total_y = wider = background = zero
    for p in range(U(len(columns) * len(columns))):
        total += light[p] * weights.photons[p]
        total_x += light[p] * weights.x[p]
        total_y += light[p] * weights.y[p]
        wider += light[p] * weights.wider[p]
        background += light[p] * weights.background[p]
    good = abs(total) + abs(total_x) + abs(total_y) + abs(wider) + abs(background) < np.inf
    background = max(background, MIN_BACKGROUND) if good else MIN_BACKGROUND
    sigma = np.float32(sigma_px)
    at_least = max(MIN_PHOTONS, np.float32(fewest), NOISE * sigma * np.sqrt(background))
    photons = max(total, at_least) if good else at_least
    per_photon = np.float32(1) / photons
    x = clip(total_x * per_photon, -farthest, farthest) if good else zero
    y = clip(total_y * per_photon, -farthest, farthest) if good else zero
    start[U(X)], start[U(Y)], start[U(PHOTONS)] = middle + x, middle + y, photons
    start[U(BACKGROUND)], width = background, sigma
    if len(unknowns) > NO_WIDTH and good:
        # The heat equation: beside the middle a molecule looks, up to the square of how far, as if it were wider.
        width += wider * per_photon - (x * x + y * y) / (np.float32(4) * sigma)
    start[U(SIGMA)] = clip(width, NARROWEST * sigma, WIDEST * sigma)


@kernel
def write_starts(
    light: Floats, weights: StartWeights, sigma_px: float, compiled_for: tuple[Columns, Unknowns], start: Floats
) -> None:
    """Write where the fits of spots start: `write_start` of each."""
    for n in range(U(light.shape[0])):
        write_start(light[n], weights, sigma_px, 0.0, compiled_for, start[n])
