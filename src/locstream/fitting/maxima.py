"""Which of the pixels that stand out are peaks."""

from __future__ import annotations

import numpy as np

from locstream.fitting.background import background_at
from locstream.fitting.compiled import Bytes, Floats, Ints, U, Words, inlined
from locstream.fitting.smoothing import MARGIN, OUTSIDE, SMOOTH_ROWS

BLOCK = 64
"""Pixels of a row that are passed over together where none of them exceeds the limit."""
WORD = 8
"""Marks in a word."""


@inlined
def _keep_maxima(smooth: Floats, n: np.uintp, first: np.uintp, marks: Bytes) -> bool:
    """Unmark the pixels of a block that are not higher than those beside; of equal ones the first stays.

    None is marked that is not higher than the one above, or is lower than the one below. Tells whether any is left.
    """
    left = np.uint8(0)
    for k in range(U(BLOCK)):
        x = first + k + U(MARGIN)
        value = smooth[n, x]
        before, after = smooth[n, x - U(1)], smooth[n, x + U(1)]
        highest = (value > before) & (value >= after)
        mark = marks[n, first + k] & np.uint8(highest)
        marks[n, first + k] = mark
        left |= mark
    return bool(left != 0)


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
    top: int, bottom: int, height: int, width: int, separation: int, smooth: Floats, marks: Bytes, words: Words,
    tiles: Floats, shot: np.float32, skew: np.float32, noise: Floats, edge_rows: Floats, edge_columns: Floats, n: int,
    pixel: Ints, peak_height: Floats, peak_background: Floats,
) -> int:  # fmt: skip
    """Find the peaks of rows ``top`` … ``bottom - 1``; return how many there are with the `n` found before."""
    for y in range(top, bottom):
        row = U(y % SMOOTH_ROWS)
        marked = np.uint64(0)
        for word in range(U(words.shape[1])):
            marked |= words[row, word]
        if marked == 0:
            continue
        for block in range(U(marks.shape[1] // BLOCK)):
            any_marked = np.uint64(0)
            for word in range(block * U(BLOCK // WORD), (block + U(1)) * U(BLOCK // WORD)):
                any_marked |= words[row, word]
            if any_marked == 0 or not _keep_maxima(smooth, row, block * U(BLOCK), marks):
                continue
            for word in range(block * U(BLOCK // WORD), (block + U(1)) * U(BLOCK // WORD)):
                if words[row, word] == 0:
                    continue
                for x in range(WORD * np.intp(word), WORD * np.intp(word) + WORD):
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
