"""From the rows of a frame to rows of the matched filter: what `matched_filter` does for every pixel.

Every inner loop runs along a row with unit stride. The kernels are compiled into the one that calls them: a call
passes every array as nine words, and small frames have many rows for few pixels.
"""

from __future__ import annotations

import numpy as np

from locstream.compiled import Bytes, Floats, Ints, U, apart, inlined
from locstream.fitting.background import FOUR, FOURS, MARGIN, RING_ROWS
from locstream.fitting.buffers import BLOCK, CACHE_LINE
from locstream.fitting.instructions import prefetch
from locstream.stacks.source import Image

REACH_PX = 3
"""The filter has 2 · REACH_PX + 1 taps a side: enough for 98 % of the signal-to-noise ratio up to sigma = 2 px."""
SMOOTH_ROWS = 16
"""Smoothed rows that are kept, row ``y`` in place ``y % SMOOTH_ROWS``: a power of two that holds two rows and all that
the filter reaches from them, and two rows and all that lie within the greatest separation."""
OUTSIDE = SMOOTH_ROWS
"""The row of the ring of smoothed rows that stands for all outside the frame."""
NOWHERE = SMOOTH_ROWS + 1
"""The row of that ring for what nobody has asked for."""

FETCHED_AHEAD = 8
"""So many rows of the frame are on their way from memory while others are worked on."""


@apart
def _convert(pixels: Image, offset: Floats, scale: Floats, light: Floats) -> None:
    """Convert one row."""
    for x in range(U(pixels.shape[0])):
        light[U(MARGIN) + x] = (np.float32(pixels[x]) - offset[x]) * scale[x]


@apart
def _mean_of_four(a: Floats, b: Floats, c: Floats, d: Floats, mean: Floats) -> None:
    """Work out the mean of four rows with margins, column by column."""
    for x in range(U(a.shape[0] - 2 * MARGIN)):
        i = x + U(MARGIN)
        mean[x] = np.float32(1 / FOUR) * ((a[i] + b[i]) + (c[i] + d[i]))


@inlined
def photoelectrons(image: Image, top: int, offset: Floats, scale: Floats, light: Floats, fours: Floats) -> None:
    """Convert four rows of the frame, work out their mean, and have rows that come later fetched from memory.

    The margins mirror the row, as far as the filter reaches. Below the frame its last row is repeated.
    """
    last, width = image.shape[0] - 1, image.shape[1]
    for k in range(top, top + FOUR):
        y, row = min(k, last), U(k % RING_ROWS)
        offset_row, scale_row = U(min(y, offset.shape[0] - 1)), U(min(y, scale.shape[0] - 1))
        _convert(image[U(y)], offset[offset_row], scale[scale_row], light[row])
        for x in range(REACH_PX):
            light[row, U(MARGIN - 1 - x)] = light[row, U(MARGIN + x)]
            light[row, U(MARGIN + width + x)] = light[row, U(MARGIN + width - 1 - x)]
        coming = U(min(y + FETCHED_AHEAD, last))
        for x in range(0, width, CACHE_LINE // 2):
            prefetch(image, coming, U(x))
    a, b, c, d = U(top % RING_ROWS), U((top + 1) % RING_ROWS), U((top + 2) % RING_ROWS), U((top + 3) % RING_ROWS)
    _mean_of_four(light[a], light[b], light[c], light[d], fours[U(top // FOUR % FOURS)])


@inlined
def set_limit(
    tiles: Floats, row: int, shot: np.float32, skew: np.float32, quiet: Floats, starts: Ints, part: Floats,
    limit: Floats, slope: Floats,
) -> None:  # fmt: skip
    """Set the limit between the middles of one row of tiles and the next.

    The background is interpolated; its noise is the least of what the tiles around and the pixels of the column have.
    """
    below, last = min(row + 1, tiles.shape[0] - 1), tiles.shape[1] - 1
    for tile in range(starts.shape[0] - 1):
        right = min(tile + 1, last)
        a, b, c, d = tiles[row, tile], tiles[row, right], tiles[below, tile], tiles[below, right]
        along, change, change_along = b - a, c - a, (d - c) - (b - a)
        shot_noise = shot * max(min(min(a, b), min(c, d)), np.float32(0))
        for x in range(U(starts[tile]), U(starts[tile + 1])):
            limit[x] = a + part[x] * along + skew + np.float32(0.999) * np.sqrt(shot_noise + quiet[x])
            slope[x] = change + part[x] * change_along


@inlined
def _mirrored(index: int, length: int) -> np.uintp:
    """Return the place of a row; outside 0 … length - 1 it is reflected at the edge it passed."""
    if index < 0:
        index = -1 - index
    if index >= length:
        index = 2 * length - 1 - index
    return U(index % SMOOTH_ROWS)


@apart
def smooth_along(light: Floats, taps: Floats, along: Floats) -> None:
    """Apply the filter along a row, which has margins; the result has none.

    Of the seven pixels that each one takes, three are fetched and four passed on from one to the next: to fetch from
    across cache lines and to shift registers take about as long, and the processor does both at once.
    """
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    q, r = light[U(MARGIN - 2)], light[U(MARGIN - 1)]
    t, u = light[U(MARGIN + 1)], light[U(MARGIN + 2)]
    for x in range(U(along.shape[0])):
        p, s, v = light[x + U(MARGIN - 3)], light[x + U(MARGIN)], light[x + U(MARGIN + 3)]
        along[x] = t0 * s + t1 * (r + t) + t2 * (q + u) + t3 * (p + v)
        q, r, t, u = r, s, u, v


@apart
def _two_down(
    a: Floats, b: Floats, c: Floats, d: Floats, e: Floats, f: Floats, g: Floats, h: Floats, taps: Floats,
    limit: Floats, slope: Floats, way: np.float32, next_way: np.float32, slack: np.float32, upper: Floats,
    lower: Floats, in_upper: Bytes, in_lower: Bytes,
) -> None:  # fmt: skip
    """Work out two rows of eight; see `smooth_down`."""
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    for block in range(U(in_upper.shape[0])):
        any_upper = any_lower = np.uint8(0)
        for k in range(U(BLOCK)):
            x = block * U(BLOCK) + k
            p, q, r, s, t, u, v, w = a[x], b[x], c[x], d[x], e[x], f[x], g[x], h[x]
            value = t0 * s + t1 * (r + t) + t2 * (q + u) + t3 * (p + v)
            below = t0 * t + t1 * (s + u) + t2 * (r + v) + t3 * (q + w)
            upper[x], lower[x] = value, below
            any_upper |= np.uint8((value > limit[x] + way * slope[x]) & (value + slack >= below))
            any_lower |= np.uint8((below > limit[x] + next_way * slope[x]) & (below > value))
        in_upper[block], in_lower[block] = any_upper, any_lower


@inlined
def smooth_down(
    along: Floats, y: int, rows: int, height: int, width: int, taps: Floats, limit: Floats, slope: Floats,
    part: Floats, smooth: Floats, blocks: Bytes,
) -> None:  # fmt: skip
    """Apply the filter down to row ``y`` and, of two rows, ``y + 1``, which share most of what has to be fetched.

    Tell of each block whether any of its pixels exceeds the limit and its neighbour in the other row; of equal ones the
    upper counts. The frame is mirrored at its upper and its lower edge. Of one row the next is worked out, too, and
    thrown away.
    """
    a, b, c, d = _mirrored(y - 3, height), _mirrored(y - 2, height), _mirrored(y - 1, height), U(y % SMOOTH_ROWS)
    e, f, g, h = (
        _mirrored(y + 1, height), _mirrored(y + 2, height), _mirrored(y + 3, height), _mirrored(y + 4, height)
    )  # fmt: skip
    upper, lower, slack = U(y % SMOOTH_ROWS), U((y + 1) % SMOOTH_ROWS), np.float32(0)
    if rows == 1:
        lower, slack = U(NOWHERE), np.float32(np.inf)
    _two_down(
        along[a], along[b], along[c], along[d], along[e], along[f], along[g], along[h], taps, limit, slope,
        part[U(y)], part[U(min(y + 1, height - 1))], slack, smooth[upper, U(MARGIN):], smooth[lower, U(MARGIN):],
        blocks[upper], blocks[lower],
    )  # fmt: skip
    for row in (upper, lower):
        for x in range(U(MARGIN + width), U(MARGIN + limit.shape[0])):
            smooth[row, x] = -np.inf
