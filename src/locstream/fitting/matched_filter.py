"""The kernel of the detection: a frame goes through the matched filter, row by row, and its peaks are kept.

Rows stream through ring buffers that stay in the cache, every inner loop runs along a row with unit stride, and the
rows of the buffers are whole cache lines. Each pixel is held against a limit that is a little too low and cheap to
know; only the few that pass it are looked at closely. What is done for every pixel is `background` and `smoothing`,
what is done for those few is `maxima`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from locstream.compiled import Bytes, Floats, Ints, U, kernel
from locstream.fitting.background import (
    FOUR,
    MARGIN,
    RING_ROWS,
    room_for_fours,
    row_of_tiles,
    tile_edges,
    tiles_along,
    ways_between_tiles,
)
from locstream.fitting.buffers import BLOCK, aligned
from locstream.fitting.maxima import peaks_of_rows
from locstream.fitting.sensor import Sensor
from locstream.fitting.smoothing import (
    NOWHERE,
    REACH_PX,
    SMOOTH_ROWS,
    photoelectrons,
    set_limit,
    smooth_along,
    smooth_down,
)
from locstream.stacks.source import Image


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
        Rows of the frame with margins, photoelectrons; see `RING_ROWS`.
    fours
        Means of four rows each, photoelectrons; see `room_for_fours`.
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
        the way to the lower one; for two such ways, by turns.
    along
        Rows smoothed along, in a ring (see `SMOOTH_ROWS`).
    smooth
        Rows smoothed both ways, with margins, in such a ring, one that stands for all outside the frame, and one that
        is not looked at. No pixel outside is higher than one in the frame.
    blocks
        Which blocks of those rows have pixels that are looked at.
    """

    light: Floats
    fours: Floats
    rows: Ints
    columns: Ints
    tiles: Floats
    row_starts: Ints
    column_starts: Ints
    row_part: Floats
    column_part: Floats
    limit: Floats
    slope: Floats
    along: Floats
    smooth: Floats
    blocks: Bytes


def room_for_peaks(n: int) -> Peaks:
    """Return room for so many."""
    return Peaks(np.empty((n, 2), np.int32), np.empty(n, np.float32), np.empty(n, np.float32))


def room_for_rows(height: int, width: int) -> Room:
    """Return room to look through frames of this shape."""
    padded = -(-width // BLOCK) * BLOCK
    row_starts, row_part = ways_between_tiles(height)
    column_starts, column_part = ways_between_tiles(width)
    limit, smooth = aligned((2, padded)), aligned((NOWHERE + 1, padded + 2 * MARGIN))
    limit[:, width:] = np.inf
    smooth[:] = -np.inf
    return Room(
        light=aligned((RING_ROWS, padded + 2 * MARGIN)),
        fours=room_for_fours(width),
        rows=tile_edges(height),
        columns=tile_edges(width),
        tiles=np.zeros((tiles_along(height), tiles_along(width)), np.float32),
        row_starts=row_starts,
        column_starts=column_starts,
        row_part=row_part,
        column_part=column_part,
        limit=limit,
        slope=aligned((2, padded)),
        along=aligned((SMOOTH_ROWS, padded)),
        smooth=smooth,
        blocks=aligned((NOWHERE + 1, padded // BLOCK), np.uint8),
    )


@kernel
def find_peaks(image: Image, camera: Sensor, matched: MatchedFilter, separation: int, room: Room, peaks: Peaks) -> int:
    """Find the peaks of a frame; see `Detector`.

    Returns their number. Where there is no room for so many, the rest was counted and not kept: call again with more.
    The arrays go to the kernels one by one: those of a tuple numba would count the references of at every use.
    """
    offset, scale, _ = camera
    taps, shot, skew, noise, quiet, tile_noise, edge_rows, edge_columns = matched
    light, fours, rows, columns, tiles, row_starts, column_starts, row_part, column_part = room[:9]
    limit, slope, along, smooth, blocks = room[9:]
    pixel, peak_height, peak_background = peaks
    height, width = image.shape
    converted = filtered = tiled = searched = n = 0
    for between in range(row_starts.shape[0] - 1):  # one row of tiles and the next
        while tiled < min(between + 2, tiles.shape[0]):
            while converted < rows[tiled + 1]:
                photoelectrons(image, converted, offset, scale, light, fours)
                converted += FOUR
            row_of_tiles(fours, rows, tiled, columns, tile_noise, tiles)
            tiled += 1
        turn = U(between % 2)
        set_limit(tiles, between, shot, skew, quiet, column_starts, column_part, limit[turn], slope[turn])
        ahead, end = rows[min(tiled + 1, tiles.shape[0])], row_starts[between + 1]
        lead = converted - row_starts[between]
        for y in range(row_starts[between], end, 2):
            two = min(2, end - y)
            while filtered < min(y + two + REACH_PX, height):
                smooth_along(light[U(filtered % RING_ROWS)], taps, along[U(filtered % SMOOTH_ROWS)])
                filtered += 1
            smooth_down(along, y, two, height, width, taps, limit[turn], slope[turn], row_part, smooth, blocks)
            # Of the rows above, all are known now that lie within the separation.
            known = height if y + two == height else max(y + two - separation, searched)
            n = peaks_of_rows(
                searched, known, height, width, separation, smooth, blocks, limit, slope, row_part, between,
                row_starts[between], tiles, shot, skew, noise, edge_rows, edge_columns, n, pixel, peak_height,
                peak_background,
            )  # fmt: skip
            searched = known
            # Rows of the next tiles: memory is slow, and works meanwhile.
            if converted < min(y + two + lead, ahead):
                photoelectrons(image, converted, offset, scale, light, fours)
                converted += FOUR
    return n
