"""From the rows of a frame to rows of the matched filter: what `matched_filter` does for every pixel.

Every inner loop runs along a row with unit stride. The kernels are compiled into the one that calls them: a call
passes every array as nine words, and small frames have many rows for few pixels.
"""

from __future__ import annotations

import numpy as np

from locstream.fitting.background import RING_ROWS
from locstream.fitting.buffers import CACHE_LINE
from locstream.fitting.compiled import Bytes, Floats, Ints, U, inlined
from locstream.fitting.instructions import prefetch
from locstream.stacks.source import Image

REACH_PX = 3
"""The filter has 2 · REACH_PX + 1 taps a side: enough for 98 % of the signal-to-noise ratio up to sigma = 2 px."""
MARGIN = 16
"""Margin of a row that is smoothed along: at least REACH_PX, and a whole cache line to keep the row aligned."""
SMOOTH_ROWS = 16
"""Smoothed rows that are kept, row ``y`` in place ``y % SMOOTH_ROWS``: a power of two that holds two rows and all that
lie within the greatest separation of them."""
OUTSIDE = SMOOTH_ROWS
"""The row of the ring of smoothed rows that stands for all outside the frame."""

FETCHED_AHEAD = 8
"""So many rows of the frame are on their way from memory while others are worked on."""


@inlined
def photoelectrons(image: Image, top: int, bottom: int, offset: Floats, scale: Floats, light: Floats) -> None:
    """Convert rows ``top`` … ``bottom - 1`` of the frame, and have those that come later fetched from memory."""
    for y in range(top, bottom):
        row, pixels = U(y % RING_ROWS), U(y)
        offset_row, scale_row = U(min(y, offset.shape[0] - 1)), U(min(y, scale.shape[0] - 1))
        for x in range(U(image.shape[1])):
            light[row, x] = (np.float32(image[pixels, x]) - offset[offset_row, x]) * scale[scale_row, x]
        coming = U(min(y + FETCHED_AHEAD, image.shape[0] - 1))
        for x in range(0, image.shape[1], CACHE_LINE // 2):
            prefetch(image, coming, U(x))


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
    return U(index % RING_ROWS)


@inlined
def smooth_down(light: Floats, y: int, height: int, width: int, taps: Floats, down: Floats, pair: int) -> None:
    """Apply the filter along columns, for rows ``y`` and ``y + 1``, which share most of what has to be fetched.

    The frame is mirrored at its edges, and so are the margins of the result, one of the two pairs of rows of `down`.
    """
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    a, b, c, d = _mirrored(y - 3, height), _mirrored(y - 2, height), _mirrored(y - 1, height), U(y % RING_ROWS)
    e, f, g, h = (
        _mirrored(y + 1, height), _mirrored(y + 2, height), _mirrored(y + 3, height), _mirrored(y + 4, height)
    )  # fmt: skip
    first, second = U(2 * pair), U(2 * pair + 1)
    for x in range(U(light.shape[1])):
        p, q, r, s, t, u, v, w = (
            light[a, x], light[b, x], light[c, x], light[d, x], light[e, x], light[f, x], light[g, x], light[h, x]
        )  # fmt: skip
        down[first, x + U(MARGIN)] = t0 * s + t1 * (r + t) + t2 * (q + u) + t3 * (p + v)
        down[second, x + U(MARGIN)] = t0 * t + t1 * (s + u) + t2 * (r + v) + t3 * (q + w)
    for row in (first, second):
        for k in range(REACH_PX):
            down[row, MARGIN - 1 - k] = down[row, MARGIN + k]
            down[row, MARGIN + width + k] = down[row, MARGIN + width - 1 - k]


@inlined
def smooth_along(
    down: Floats, pair: int, taps: Floats, y: int, rows: int, limit: Floats, slope: Floats, part: Floats,
    smooth: Floats, marks: Bytes, outside: int,
) -> None:  # fmt: skip
    """Apply the filter along row ``y`` and, of two rows, ``y + 1``; mark what exceeds the limit and the pixel above.

    Of the row above it unmarks what is lower than the pixel below: then hardly more is left than the peaks. Of the
    seven pixels that each one takes, three are fetched and four passed on from one to the next: to fetch from across
    cache lines and to shift registers take about as long, and the processor does both at once. From column ``outside``
    on, counted with the margin, the row is filled up with what no pixel is lower than.
    """
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    for which in range(U(rows)):
        i, way = U(2 * pair) + which, part[U(y) + which]
        row, before = (U(y) + which) % U(SMOOTH_ROWS), (U(y) + which - U(1)) % U(SMOOTH_ROWS)
        above = before if U(y) + which > U(0) else U(OUTSIDE)
        q, r = down[i, U(MARGIN - 2)], down[i, U(MARGIN - 1)]
        t, u = down[i, U(MARGIN + 1)], down[i, U(MARGIN + 2)]
        for x in range(U(limit.shape[0])):
            p, s, v = down[i, x + U(MARGIN - 3)], down[i, x + U(MARGIN)], down[i, x + U(MARGIN + 3)]
            value = t0 * s + t1 * (r + t) + t2 * (q + u) + t3 * (p + v)
            smooth[row, x + U(MARGIN)] = value
            higher = smooth[above, x + U(MARGIN)]
            marks[row, x] = np.uint8((value > limit[x] + way * slope[x]) & (value > higher))
            marks[before, x] &= np.uint8(higher >= value)
            q, r, t, u = r, s, u, v
        for k in range(U(MARGIN)):
            smooth[row, U(outside) + k] = -np.inf
