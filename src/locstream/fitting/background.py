"""The background of a frame, without its molecules.

It is the mean of the pixels of a tile without those that stand out, interpolated between the middles of the tiles. A
plain box mean would be lifted by the molecules themselves and hide the dim neighbours of bright ones.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from locstream.fitting.compiled import Floats, Ints, U, inlined

FourRows = tuple[np.uintp, np.uintp, np.uintp, np.uintp]

TILE_PX = 16
"""Edge of a background tile; the tiles are a little larger where the frame is no multiple of it."""
RING_ROWS = 64
"""Rows of a frame that are kept, row ``y`` in place ``y % RING_ROWS``; a power of two. It has to hold two rows of tiles
and the reach of filter and separation: a frame of less than 32 rows is one tile high, one of 47 has two."""
NOTHING = RING_ROWS
"""The row behind them, which is infinite: no ceiling is as high."""
HIGHEST = np.float32(np.finfo(np.float32).max)
CLIP_SIGMAS = 2.0
"""Pixels of a tile this many standard deviations above its mean are left out of the next mean."""
CLIP_BIAS_SIGMAS = 0.0552
"""What that costs the mean of a tile without molecules: the mean of a normal deviate below 2 is -0.0552."""
CLIP_ROUNDS = (4, 2, 1)
"""The mean of a tile is taken once of all pixels and twice of those below the limit; first of every 4th row only."""


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


@inlined
def _place(y: int, bottom: int) -> np.uintp:
    """Return where a row is kept; from ``bottom`` on it is one that counts for nothing."""
    return U(y % RING_ROWS) if y < bottom else U(NOTHING)


@inlined
def _four_below(light: Floats, rows: FourRows, x: np.uintp, ceiling: np.float32) -> tuple[np.float32, np.float32]:
    """Add up those of four pixels of a column that do not exceed the ceiling, and count them."""
    one, zero = np.float32(1), np.float32(0)
    a, b, c, d = rows
    p, q, r, s = light[a, x], light[b, x], light[c, x], light[d, x]
    upper = (p if p <= ceiling else zero) + (q if q <= ceiling else zero)
    lower = (r if r <= ceiling else zero) + (s if s <= ceiling else zero)
    in_upper = (one if p <= ceiling else zero) + (one if q <= ceiling else zero)
    in_lower = (one if r <= ceiling else zero) + (one if s <= ceiling else zero)
    return upper + lower, in_upper + in_lower


@inlined
def _sum_below(
    light: Floats, y: int, every: int, bottom: int, edges: Ints, ceiling: Floats, total: Floats, count: Floats
) -> None:
    """Add those pixels of eight rows that do not exceed the ceiling of their tile to its total, and count them."""
    upper = (_place(y, bottom), _place(y + every, bottom), _place(y + 2 * every, bottom), _place(y + 3 * every, bottom))
    y += 4 * every
    lower = (_place(y, bottom), _place(y + every, bottom), _place(y + 2 * every, bottom), _place(y + 3 * every, bottom))
    for tile in range(ceiling.shape[0]):
        left, right, high = U(edges[tile]), U(edges[tile + 1]), ceiling[tile]
        whole = left + U(TILE_PX) if right - left >= U(TILE_PX) else left
        light_below, below = total[tile], count[tile]
        if whole > left:  # a loop of known length becomes vector instructions, with the sums in registers
            for k in range(U(TILE_PX)):
                s, m = _four_below(light, upper, left + k, high)
                t, n = _four_below(light, lower, left + k, high)
                light_below, below = light_below + (s + t), below + (m + n)
        for x in range(whole, right):
            s, m = _four_below(light, upper, U(x), high)
            t, n = _four_below(light, lower, U(x), high)
            light_below, below = light_below + (s + t), below + (m + n)
        total[tile], count[tile] = light_below, below


@inlined
def row_of_tiles(
    light: Floats, top: int, bottom: int, edges: Ints, noise: Floats, row: int, sums: Floats, tiles: Floats
) -> None:
    """Work out the background of one row of tiles.

    Parameters
    ----------
    light
        The rows of the frame, shape (RING_ROWS + 1, at least the width), photoelectrons; the last is infinite.
    top, bottom
        First row of the tiles and the end of their last.
    edges
        What `tile_edges` gave for the width.
    noise
        Variance of a typical pixel without light in each tile, shape (tile rows, tile columns).
    row
        Which row of tiles.
    sums
        Room to work in, shape (3, tile columns).
    tiles
        Takes the result, shape (tile rows, tile columns).
    """
    ceiling, total, count = sums[0], sums[1], sums[2]
    for tile in range(U(tiles.shape[1])):
        ceiling[tile] = HIGHEST
    for every in CLIP_ROUNDS:
        for tile in range(U(tiles.shape[1])):
            total[tile] = count[tile] = 0
        for y in range(top, bottom, 8 * every):
            _sum_below(light, y, every, bottom, edges, ceiling, total, count)
        bias = np.float32(0 if every == CLIP_ROUNDS[0] else CLIP_BIAS_SIGMAS)
        for tile in range(U(tiles.shape[1])):
            mean = total[tile] / count[tile] if count[tile] > 0 else tiles[U(row), tile]
            sigma = np.sqrt(max(mean, np.float32(0)) + noise[U(row), tile])
            tiles[U(row), tile] = mean + bias * sigma
            ceiling[tile] = mean + (bias + np.float32(CLIP_SIGMAS)) * sigma


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
