"""The background of a frame, without its molecules.

It is the mean of the pixels of a tile without those that stand out, interpolated between the middles of the tiles. A
plain box mean would be lifted by the molecules themselves and hide the dim neighbours of bright ones. Four pixels of a
column are looked at together: it is a quarter of the work, and against the noise of four a molecule stands out better,
for its image is larger than a pixel.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from locstream.compiled import Floats, Ints, U, inlined
from locstream.fitting.buffers import BLOCK, STEP, aligned
from locstream.fitting.instructions import SIXTEEN, sum_below

Rows = tuple[np.uintp, ...]

TILE_PX = SIXTEEN
"""Edge of a background tile; the tiles are a little larger where the frame is no multiple of it."""
RING_ROWS = 64
"""Rows of a frame that are kept, row ``y`` in place ``y % RING_ROWS``; a power of two. It has to hold two rows of tiles
and the reach of the filter: a frame of less than 32 rows is one tile high, one of 47 has two."""
MARGIN = 16
"""Margin of a row: at least the reach of the filter and the greatest separation, and a whole cache line to keep the row
aligned."""
FOUR = 4
"""Pixels of a column whose mean is looked at."""
FOURS = RING_ROWS // FOUR
"""Rows of such means that are kept, those of the rows from ``4 * k`` on in place ``k % FOURS``."""
NOTHING = FOURS
"""The row behind them, which is infinite: no ceiling is as high."""
HIGHEST = np.float32(np.finfo(np.float32).max)
CLIP_SIGMAS = np.float32(2.0)
"""Means that lie this many of their standard deviations above that of their tile are left out of the next."""
CLIP_BIAS_SIGMAS = np.float32(0.0552)
"""What that costs the mean of a tile without molecules: the mean of a normal deviate below 2 is -0.0552."""
CLIP_ROUNDS = 2
"""The mean of a tile is taken of all its pixels, and then so often of what does not stand out."""


def tiles_along(length: int) -> int:
    """Return how many tiles there are along an axis of so many pixels."""
    return max(1, length // TILE_PX)


def tile_edges(length: int) -> Ints:
    """Return the first pixel of each tile along an axis, and the end of the last."""
    tiles = tiles_along(length)
    return (np.arange(tiles + 1) * length // tiles).astype(np.int32)


def tile_medians(values: Floats, height: int, width: int) -> Floats:
    """Return the median over each tile, shape (tile rows, tile columns)."""
    full = np.broadcast_to(values, (height, width))
    rows, columns = tile_edges(height), tile_edges(width)
    medians = [
        [np.median(full[top:bottom, left:right]) for left, right in pairwise(columns)] for top, bottom in pairwise(rows)
    ]
    return np.array(medians, np.float32)


def room_for_fours(width: int) -> Floats:
    """Return room for means of four rows, in a ring of `FOURS`, and for `NOTHING`; a vector may pass the end of one."""
    fours = aligned((FOURS + 1, -(-width // BLOCK) * BLOCK + STEP))
    fours[NOTHING] = np.inf
    return fours


@inlined
def _place(four: int, end: int) -> np.uintp:
    """Return where the means of four rows are; from ``end`` on it is a row that counts for nothing."""
    return U(four % FOURS) if four < end else U(NOTHING)


@inlined
def _mean_below(
    fours: Floats, rows: Rows, left: np.uintp, right: np.uintp, ceiling: np.float32, otherwise: np.float32
) -> np.float32:
    """Return the mean of what does not exceed the ceiling; that of nothing is taken for another."""
    total = count = np.float32(0)
    for x in range(left, right, U(SIXTEEN)):
        light, below = sum_below(fours, rows, x, right, ceiling)
        total, count = total + light, count + below
    return total / count if count > 0 else otherwise


@inlined
def _clipped_means(fours: Floats, rows: Rows, edges: Ints, noise: Floats, mean: Floats) -> None:
    """Work out the mean of each tile, round by round: the processor works on several tiles at once."""
    for tile in range(U(mean.shape[0])):
        left, right = U(edges[tile]), U(edges[tile + U(1)])
        mean[tile] = _mean_below(fours, rows, left, right, HIGHEST, mean[tile])
    for _ in range(CLIP_ROUNDS):
        for tile in range(U(mean.shape[0])):
            left, right = U(edges[tile]), U(edges[tile + U(1)])
            sigma = np.sqrt((max(mean[tile], np.float32(0)) + noise[tile]) * np.float32(1 / FOUR))
            below = _mean_below(fours, rows, left, right, mean[tile] + CLIP_SIGMAS * sigma, mean[tile])
            mean[tile] = below + CLIP_BIAS_SIGMAS * sigma


@inlined
def row_of_tiles(fours: Floats, rows: Ints, row: int, edges: Ints, noise: Floats, tiles: Floats) -> None:
    """Work out the background of one row of tiles.

    Parameters
    ----------
    fours
        Means of four rows of the frame each, photoelectrons, see `room_for_fours`. They are part of the tile in which
        their middle lies; of a frame of two rows or one there is one mean, of all.
    rows
        What `tile_edges` gave for the height.
    row
        Which row of tiles.
    edges
        What `tile_edges` gave for the width.
    noise
        Variance of a typical pixel without light in each tile, shape (tile rows, tile columns).
    tiles
        Takes the result, shape (tile rows, tile columns).
    """
    k, end = (rows[U(row)] + 1) // FOUR, max((rows[U(row + 1)] + 1) // FOUR, 1)
    upper = (_place(k, end), _place(k + 1, end), _place(k + 2, end), _place(k + 3, end))
    if end - k <= len(upper):
        _clipped_means(fours, upper, edges, noise[U(row)], tiles[U(row)])
    else:
        k += len(upper)
        lower = (_place(k, end), _place(k + 1, end), _place(k + 2, end), _place(k + 3, end))
        _clipped_means(fours, upper + lower, edges, noise[U(row)], tiles[U(row)])


@inlined
def between_tiles(position: int, length: int, tiles: int) -> tuple[int, np.float32]:
    """Return the tile before pixel ``position`` and how far it lies on the way to the next one, from 0 to 1."""
    along = (np.float32(position) + np.float32(0.5)) * np.float32(tiles) / np.float32(length) - np.float32(0.5)
    first = min(max(int(np.floor(along)), 0), max(tiles - 2, 0))
    return first, min(max(along - np.float32(first), np.float32(0)), np.float32(1))


def ways_between_tiles(length: int) -> tuple[Ints, Floats]:
    """Return where the ways from one tile to the next begin, with the end of the last, and the part at each pixel.

    A single tile has a way of its own.
    """
    tiles = tiles_along(length)
    places = [between_tiles(position, length, tiles) for position in range(length)]
    starts = np.searchsorted([first for first, _ in places], np.arange(max(tiles - 1, 1)))
    return np.append(starts, length).astype(np.int32), np.array([part for _, part in places], np.float32)


@inlined
def background_at(tiles: Floats, y: int, x: int, height: int, width: int) -> float:
    """Interpolate the background between the tiles around one pixel."""
    j, down = between_tiles(y, height, tiles.shape[0])
    i, along = between_tiles(x, width, tiles.shape[1])
    j1, i1 = min(j + 1, tiles.shape[0] - 1), min(i + 1, tiles.shape[1] - 1)
    above = tiles[j, i] + along * (tiles[j, i1] - tiles[j, i])
    below = tiles[j1, i] + along * (tiles[j1, i1] - tiles[j1, i])
    return float(above + down * (below - above))
