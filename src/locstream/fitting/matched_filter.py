"""The kernel of the detection: a frame goes through the matched filter, row by row, and its peaks are kept.

Rows stream through ring buffers that stay in the cache, every inner loop runs along a row with unit stride, and the
rows of the buffers are whole cache lines. Each pixel is held against a limit that is a little too low and cheap to
know; only the few that pass it are looked at closely.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from locstream.fitting.background import (
    RING_ROWS,
    background_at,
    row_of_tiles,
    tile_edges,
    tiles_along,
    ways_between_tiles,
)
from locstream.fitting.buffers import aligned
from locstream.fitting.sensor import Sensor
from locstream.stacks.source import Image

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

REACH_PX = 3
"""The filter has 2 · REACH_PX + 1 taps a side: enough for 98 % of the signal-to-noise ratio up to sigma = 2 px."""
MARGIN = 16
"""Margin of a row that is smoothed along: at least REACH_PX, and a whole cache line to keep the row aligned."""
OUTSIDE = RING_ROWS
"""The row of the ring of smoothed rows that stands for all outside the frame."""
BLOCK = 64
"""Pixels of a row that are passed over together where none of them exceeds the limit."""


class Peaks(NamedTuple):
    """Where the molecules of a frame are, in reading order.

    Parameters
    ----------
    pixel
        Row and column of each, shape (n, 2), int32.
    height
        Smoothed image above the background, shape (n,), float32, in the unit of `Sensor`.
    background
        Background there, shape (n,), float32, in the unit of `Sensor` a pixel.
    """

    pixel: Ints
    height: Floats
    background: Floats


class MatchedFilter(NamedTuple):
    """What decides which pixels stand out.

    Parameters
    ----------
    taps
        Middle and one side of the normalized filter, shape (REACH_PX + 1,).
    shot
        threshold² times the variance of the smoothed image for each unit of background.
    skew
        What the upper tail of Poisson noise adds to the limit.
    noise
        threshold² times the variance of the smoothed image without light, of the shape of `Sensor.variance`.
    quiet
        The least of it in each column, shape (width,).
    tile_noise
        Variance of a typical pixel without light in each background tile.
    edge_rows, edge_columns
        How much larger the variance of the smoothed image is in each row and column than in the middle, shapes
        (height,) and (width,): near an edge the mirror counts pixels twice.
    """

    taps: Floats
    shot: np.float32
    skew: np.float32
    noise: Floats
    quiet: Floats
    tile_noise: Floats
    edge_rows: Floats
    edge_columns: Floats


class Room(NamedTuple):
    """What the kernels work in. Rows are padded to whole blocks; nothing is found in the padding.

    Parameters
    ----------
    light
        Rows of the frame, photoelectrons; see `RING_ROWS`.
    sums
        Sums over the rows of a row of tiles.
    rows, columns
        Where the tiles begin, and the end of the last.
    tiles
        Background of each tile, shape (tile rows, tile columns).
    row_starts, column_starts
        Where the way begins from the middle of each tile to that of the next, and the end of the last way.
    row_part, column_part
        How far each row and column has come on that way.
    limit, slope
        What a pixel has to exceed to be looked at, at the upper one of two rows of tiles, and what is added to it on
        the way to the lower one.
    down
        Two rows smoothed down the columns, with margins.
    smooth
        Smoothed rows with margins, in a ring as `light`, and one that stands for all outside the frame. No pixel
        there is higher than one in the frame.
    marks
        Which pixels of those rows exceed the limit.
    words
        The same memory, eight marks at a time.
    hits
        Which blocks of those rows have a mark.
    """

    light: Floats
    sums: Floats
    rows: Ints
    columns: Ints
    tiles: Floats
    row_starts: Ints
    column_starts: Ints
    row_part: Floats
    column_part: Floats
    limit: Floats
    slope: Floats
    down: Floats
    smooth: Floats
    marks: Bytes
    words: Words
    hits: Bytes


def room_for_peaks(n: int) -> Peaks:
    """Return room for so many."""
    return Peaks(np.empty((n, 2), np.int32), np.empty(n, np.float32), np.empty(n, np.float32))


def room_for_rows(height: int, width: int) -> Room:
    """Return room to look through frames of this shape."""
    padded = -(-width // BLOCK) * BLOCK
    row_starts, row_part = ways_between_tiles(height)
    column_starts, column_part = ways_between_tiles(width)
    limit, smooth = aligned((padded,)), aligned((OUTSIDE + 1, padded + 2 * MARGIN))
    limit[width:] = np.inf
    smooth[:] = -np.inf
    marks = aligned((RING_ROWS, padded), np.uint8)
    return Room(
        light=aligned((RING_ROWS, padded)),
        sums=aligned((3, padded)),
        rows=tile_edges(height),
        columns=tile_edges(width),
        tiles=np.zeros((tiles_along(height), tiles_along(width)), np.float32),
        row_starts=row_starts,
        column_starts=column_starts,
        row_part=row_part,
        column_part=column_part,
        limit=limit,
        slope=aligned((padded,)),
        down=aligned((2, padded + 2 * MARGIN)),
        smooth=smooth,
        marks=marks,
        words=marks.view(np.uint64),
        hits=np.zeros((RING_ROWS, padded // BLOCK), np.uint8),
    )


U = np.uintp
"""An index that numba does not test for being negative; the test would keep LLVM from vectorizing the loop."""

_jit = numba.njit(
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract", "reassoc", "arcp", "nsz"},  # not "nnan", "ninf": guards against them must stay
)


@_jit
def _photoelectrons(image: Image, top: int, bottom: int, offset: Floats, scale: Floats, light: Floats) -> None:
    """Convert rows ``top`` … ``bottom - 1`` of the frame."""
    for y in range(top, bottom):
        row, pixels = U(y % RING_ROWS), U(y)
        offset_row, scale_row = U(min(y, offset.shape[0] - 1)), U(min(y, scale.shape[0] - 1))
        for x in range(U(image.shape[1])):
            light[row, x] = (np.float32(image[pixels, x]) - offset[offset_row, x]) * scale[scale_row, x]


@_jit
def _set_limit(
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


@_jit
def _mirrored(index: int, length: int) -> np.uintp:
    """Return the place of a row; outside 0 … length - 1 it is reflected at the edge it passed."""
    if index < 0:
        index = -1 - index
    if index >= length:
        index = 2 * length - 1 - index
    return U(index % RING_ROWS)


@_jit
def _smooth_down(light: Floats, y: int, height: int, width: int, taps: Floats, down: Floats) -> None:
    """Apply the filter along columns, for rows ``y`` and ``y + 1``, which share most of what has to be fetched.

    The frame is mirrored at its edges, and so are the margins of the result.
    """
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    a, b, c, d = _mirrored(y - 3, height), _mirrored(y - 2, height), _mirrored(y - 1, height), U(y % RING_ROWS)
    e, f, g, h = (
        _mirrored(y + 1, height), _mirrored(y + 2, height), _mirrored(y + 3, height), _mirrored(y + 4, height)
    )  # fmt: skip
    first, second = U(0), U(1)
    for x in range(U(light.shape[1])):
        p, q, r, s, t, u, v, w = (
            light[a, x], light[b, x], light[c, x], light[d, x], light[e, x], light[f, x], light[g, x], light[h, x]
        )  # fmt: skip
        down[first, x + U(MARGIN)] = t0 * s + t1 * (r + t) + t2 * (q + u) + t3 * (p + v)
        down[second, x + U(MARGIN)] = t0 * t + t1 * (s + u) + t2 * (r + v) + t3 * (q + w)
    for row in range(2):
        for k in range(REACH_PX):
            down[row, MARGIN - 1 - k] = down[row, MARGIN + k]
            down[row, MARGIN + width + k] = down[row, MARGIN + width - 1 - k]


@_jit
def _smooth_along(
    down: Floats, taps: Floats, y: int, rows: int, limit: Floats, slope: Floats, part: Floats, smooth: Floats,
    marks: Bytes, hits: Bytes, outside: int,
) -> None:  # fmt: skip
    """Apply the filter along row ``y`` and, of two rows, ``y + 1``; mark the pixels that exceed the limit.

    From column ``outside`` on, counted with the margin, the row is filled up with what no pixel is lower than.
    """
    t0, t1, t2, t3 = taps[0], taps[1], taps[2], taps[3]
    for which in range(U(rows)):
        row, way = (U(y) + which) % U(RING_ROWS), part[U(y) + which]
        for block in range(U(hits.shape[1])):
            hit = np.uint8(0)
            for k in range(U(BLOCK)):
                x = U(BLOCK) * block + k
                value = (
                    t0 * down[which, x + U(MARGIN)]
                    + t1 * (down[which, x + U(MARGIN - 1)] + down[which, x + U(MARGIN + 1)])
                    + t2 * (down[which, x + U(MARGIN - 2)] + down[which, x + U(MARGIN + 2)])
                    + t3 * (down[which, x + U(MARGIN - 3)] + down[which, x + U(MARGIN + 3)])
                )
                smooth[row, x + U(MARGIN)] = value
                mark = np.uint8(value > limit[x] + way * slope[x])
                marks[row, x] = mark
                hit |= mark
            hits[row, block] = hit
        for k in range(U(MARGIN)):
            smooth[row, U(outside) + k] = -np.inf


@_jit
def _keep_maxima(smooth: Floats, above: int, row: int, below: int, block: int, marks: Bytes) -> None:
    """Unmark the pixels of a block that are not higher than their four neighbours; of equal ones the first stays."""
    a, n, b, first = U(above), U(row), U(below), U(BLOCK * block)
    for k in range(U(BLOCK)):
        x = first + k + U(MARGIN)
        value = smooth[n, x]
        left, right = smooth[n, x - U(1)], smooth[n, x + U(1)]
        highest = (value > left) & (value >= right) & (value > smooth[a, x]) & (value >= smooth[b, x])
        marks[n, first + k] &= np.uint8(highest)


@_jit
def _is_maximum(smooth: Floats, y: int, x: int, height: int, separation: int) -> bool:
    """Tell whether no pixel within ``separation`` is higher; of equal ones the first in reading order counts."""
    here = U(y % RING_ROWS)
    value = smooth[here, U(MARGIN + x)]
    for dx in range(1, separation + 1):
        if smooth[here, U(MARGIN + x - dx)] >= value or smooth[here, U(MARGIN + x + dx)] > value:
            return False
    for dy in range(1, separation + 1):
        above = U((y - dy) % RING_ROWS if y >= dy else OUTSIDE)
        below = U((y + dy) % RING_ROWS if y + dy < height else OUTSIDE)
        for i in range(U(MARGIN + x - separation), U(MARGIN + x + separation + 1)):
            if smooth[above, i] >= value or smooth[below, i] > value:
                return False
    return True


@_jit
def _peaks_of_rows(
    top: int, bottom: int, height: int, width: int, separation: int, smooth: Floats, marks: Bytes, words: Words,
    hits: Bytes, tiles: Floats, shot: np.float32, skew: np.float32, noise: Floats, edge_rows: Floats,
    edge_columns: Floats, n: int, pixel: Ints, peak_height: Floats, peak_background: Floats,
) -> int:  # fmt: skip
    """Find the peaks of rows ``top`` … ``bottom - 1``; return how many there are with the `n` found before."""
    for y in range(top, bottom):
        row = U(y % RING_ROWS)
        above = (y - 1) % RING_ROWS if y > 0 else OUTSIDE
        below = (y + 1) % RING_ROWS if y + 1 < height else OUTSIDE
        for block in range(hits.shape[1]):
            if hits[row, U(block)] == 0:
                continue
            _keep_maxima(smooth, above, int(row), below, block, marks)
            for word in range(block * BLOCK // 8, (block + 1) * BLOCK // 8):
                if words[row, U(word)] == 0:
                    continue
                for x in range(8 * word, 8 * word + 8):
                    if not (marks[row, U(x)] and _is_maximum(smooth, y, x, height, separation)):
                        continue
                    background = background_at(tiles, y, x, height, width)
                    excess = smooth[row, U(MARGIN + x)] - background
                    variance = shot * max(background, 0.0) + noise[min(y, noise.shape[0] - 1), U(x)]
                    if max(excess - skew, 0.0) ** 2 <= variance * edge_rows[y] * edge_columns[x]:  # spares the root
                        continue
                    if n < pixel.shape[0]:
                        pixel[n, 0], pixel[n, 1] = y, x
                        peak_height[n], peak_background[n] = excess, background
                    n += 1
    return n


@_jit
def find_peaks(image: Image, camera: Sensor, matched: MatchedFilter, separation: int, room: Room, peaks: Peaks) -> int:
    """Find the peaks of a frame; see `Detector`.

    Returns their number. Where there is no room for so many, the rest was counted and not kept: call again with more.
    The arrays go to the kernels one by one: those of a tuple numba would count the references of at every use.
    """
    offset, scale, _ = camera
    taps, shot, skew, noise, quiet, tile_noise, edge_rows, edge_columns = matched
    light, sums, rows, columns, tiles, row_starts, column_starts, row_part, column_part, limit, slope, down = room[:12]
    smooth, marks, words, hits = room[12:]
    pixel, peak_height, peak_background = peaks
    height, width = image.shape
    tiled = searched = n = 0
    for between in range(row_starts.shape[0] - 1):  # one row of tiles and the next
        while tiled < min(between + 2, tiles.shape[0]):
            _photoelectrons(image, rows[tiled], rows[tiled + 1], offset, scale, light)
            row_of_tiles(light, rows[tiled], rows[tiled + 1], columns, tile_noise, tiled, sums, tiles)
            tiled += 1
        _set_limit(tiles, between, shot, skew, quiet, column_starts, column_part, limit, slope)
        first, end = row_starts[between], row_starts[between + 1]
        for y in range(first, end, 2):
            _smooth_down(light, y, height, width, taps, down)
            two = min(2, end - y)
            _smooth_along(down, taps, y, two, limit, slope, row_part, smooth, marks, hits, MARGIN + width)
        known = height if end == height else end - separation  # the rows whose neighbours are smoothed
        n = _peaks_of_rows(
            searched, known, height, width, separation, smooth, marks, words, hits, tiles, shot, skew, noise,
            edge_rows, edge_columns, n, pixel, peak_height, peak_background,
        )  # fmt: skip
        searched = known
    return n
