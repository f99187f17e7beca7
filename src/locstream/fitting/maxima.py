"""Which of the pixels that stand out are peaks."""

from __future__ import annotations

import numpy as np

from locstream.compiled import Bytes, Floats, Ints, U, inlined
from locstream.fitting.background import MARGIN, Rows, background_at
from locstream.fitting.buffers import BLOCK
from locstream.fitting.instructions import SIXTEEN, lowest_bit, maxima
from locstream.fitting.smoothing import OUTSIDE, SMOOTH_ROWS


@inlined
def _maxima_of_block(
    smooth: Floats, rows: Rows, limit: Floats, slope: Floats, turn: np.uintp, way: np.float32, block: np.uintp
) -> np.uint64:
    """Tell which pixels of a block exceed the limit and the four beside: a bit for each, see `maxima`."""
    marks = np.uint64(0)
    for k in range(U(BLOCK // SIXTEEN)):
        x = block * U(BLOCK) + k * U(SIXTEEN)
        marks |= maxima(smooth, rows, U(MARGIN) + x, limit, slope, turn, x, way) << np.uint64(k * U(SIXTEEN))
    return marks


@inlined
def _is_maximum(smooth: Floats, y: int, x: int, height: int, separation: int) -> bool:
    """Tell whether no pixel within ``separation`` is higher; of equal ones the first in reading order counts."""
    here = U(y % SMOOTH_ROWS)
    value = smooth[here, U(MARGIN + x)]
    for dx in range(1, separation + 1):
        if smooth[here, U(MARGIN + x - dx)] >= value or smooth[here, U(MARGIN + x + dx)] > value:
            return False
    for dy in range(1, separation + 1):
        above = U((y - dy) % SMOOTH_ROWS if y >= dy else OUTSIDE)
        below = U((y + dy) % SMOOTH_ROWS if y + dy < height else OUTSIDE)
        for i in range(U(MARGIN + x - separation), U(MARGIN + x + separation + 1)):
            if smooth[above, i] >= value or smooth[below, i] > value:
                return False
    return True


@inlined
def peaks_of_rows(
    top: int, bottom: int, height: int, width: int, separation: int, smooth: Floats, blocks: Bytes, limit: Floats,
    slope: Floats, part: Floats, turn: int, turned: int, tiles: Floats, shot: np.float32, skew: np.float32,
    noise: Floats, edge_rows: Floats, edge_columns: Floats, n: int, pixel: Ints, peak_height: Floats,
    peak_background: Floats,
) -> int:  # fmt: skip
    """Find the peaks of rows ``top`` … ``bottom - 1``; return how many there are with the `n` found before.

    From row `turned` on the limit is that of `turn`; the rows above have that of the turn before.
    """
    for y in range(top, bottom):
        row, looked_at = U(y % SMOOTH_ROWS), np.uint8(0)
        for block in range(U(blocks.shape[1])):
            looked_at |= blocks[row, block]
        if looked_at == 0:
            continue
        above = U((y - 1) % SMOOTH_ROWS if y > 0 else OUTSIDE)
        below = U((y + 1) % SMOOTH_ROWS if y + 1 < height else OUTSIDE)
        of = U(turn % 2 if y >= turned else (turn + 1) % 2)
        for block in range(U(blocks.shape[1])):
            if blocks[row, block] == 0:
                continue
            marks = _maxima_of_block(smooth, (above, row, below), limit, slope, of, part[U(y)], U(block))
            while marks != np.uint64(0):
                x = int(block * U(BLOCK) + U(lowest_bit(marks)))
                marks &= marks - np.uint64(1)
                if not _is_maximum(smooth, y, x, height, separation):
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
