"""Where the fits of isolated spots start."""

from __future__ import annotations

import numpy as np

from locstream.compiled import Floats, U, kernel
from locstream.fitting.lanes import (
    BACKGROUND,
    PHOTONS,
    SIGMA,
    Columns,
    X,
    Y,
)
from locstream.fitting.scoring import MIN_BACKGROUND, MIN_PHOTONS, clip


@kernel
def prepare(spots: Floats, known: Floats, sigma_px: float, columns: Columns, counts: Floats, start: Floats) -> None:
    """Add the known light to the counts, and guess the parameters.

    The background is that of the edge of the box, position and photons those of what rises above it. Where a pixel is
    not finite any start will do.
    """
    zero, most = np.float32(0), np.float32(1e9)
    box, pixels = len(columns), len(columns) * len(columns)
    column, row, edge = np.empty((3, pixels), np.float32)
    for p in range(pixels):
        row[p], column[p] = p // box, p % box
        edge[p] = 0 if 0 < p // box < box - 1 and 0 < p % box < box - 1 else 1 / (4 * (box - 1))
    for n in range(U(spots.shape[0])):
        of_spot = n if known.shape[0] > 1 else U(0)
        background = total = moment_x = moment_y = zero
        for p in range(U(pixels)):
            background += spots[n, p] * edge[p]
            counts[n, p] = spots[n, p] + known[of_spot, p]
        background = clip(background, -most, most)
        for p in range(U(pixels)):
            above = clip(spots[n, p] - background, zero, most)
            total += above
            moment_x += above * column[p]
            moment_y += above * row[p]
        photons = max(total, MIN_PHOTONS)
        x, y = moment_x / photons, moment_y / photons
        good = abs(x) + abs(y) + photons + abs(background) < np.inf
        start[n, U(X)], start[n, U(Y)] = x if good else zero, y if good else zero
        start[n, U(PHOTONS)], start[n, U(SIGMA)] = photons if good else MIN_PHOTONS, sigma_px
        start[n, U(BACKGROUND)] = max(background, MIN_BACKGROUND) if good else MIN_BACKGROUND
