"""The rows themselves, for filters, deep zoom and numbers: the latest that fit into a bounded memory.

Each row also joins the list of the tile of the sample it lies in (newest first, like the buckets of a hash
table), so that the rows in view are found without going through all.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from locstream.compiled import exact
from locstream.localizations import Localizations
from locstream_view.model.settings import Window

TILES_A_SIDE = 256
BLOCK_ROWS = 65_536
NONE = -1


class KeptRows:
    """A table of at most `most` rows; then the oldest make room.

    Parameters
    ----------
    dtype
        Of the rows.
    field
        The camera's field of view: what the tiles cover.
    most
        Rows kept; each takes its own bytes and 8 more.

    Attributes
    ----------
    first, end
        Numbers of the oldest row that is kept, and of the next to come.
    """

    def __init__(self, dtype: np.dtype[np.void], field: Window, most: int) -> None:
        self.first = self.end = 0
        self._most = most
        self._field = field
        self._tile_nm = max(field.width_nm, field.height_nm) / TILES_A_SIDE
        self._rows = np.empty(most, dtype)  # the system gives memory as it is written, not now
        self._older = np.empty(most, np.int64)
        self._newest = np.full(TILES_A_SIDE**2, NONE, np.int64)

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Of the rows."""
        return self._rows.dtype

    def add(self, rows: Localizations) -> None:
        """Append rows; what no longer fits is forgotten, oldest first."""
        for start in range(0, len(rows), BLOCK_ROWS):
            self._append(rows[start : start + BLOCK_ROWS])

    def _append(self, rows: Localizations) -> None:
        self.end += max(0, len(rows) - self._most)
        rows = rows[-self._most :]
        slots = (self.end + np.arange(len(rows))) % len(self._rows)
        self._rows[slots] = rows
        _link(self._newest, self._older, self.end, self._tiles(rows))
        self.end += len(rows)
        self.first = max(self.first, self.end - len(self._rows))

    def _tiles(self, rows: Localizations) -> npt.NDArray[np.int64]:
        """Return the tile of each row: shape (n,); `NONE` for one outside the field."""
        column = np.floor((rows["x_nm"] - self._field.left_nm) / self._tile_nm)
        row = np.floor((rows["y_nm"] - self._field.top_nm) / self._tile_nm)
        known = (column >= 0) & (column < TILES_A_SIDE) & (row >= 0) & (row < TILES_A_SIDE)
        tiles = np.full(len(rows), NONE, np.int64)
        tiles[known] = row[known].astype(np.int64) * TILES_A_SIDE + column[known].astype(np.int64)
        return tiles

    def rows(self, start: int, stop: int) -> Localizations:
        """Return kept rows by their numbers, oldest first; those that are gone are left out."""
        numbers = np.arange(max(start, self.first), min(stop, self.end))
        return self._rows[numbers % len(self._rows)]

    def blocks(self, block: int = 262_144) -> Iterator[Localizations]:
        """Go through all kept rows, oldest first."""
        for start in range(self.first, self.end, block):
            yield self.rows(start, start + block)

    def of_frame(self, number: int) -> Localizations:
        """Return the kept rows of one frame; rows come in the order of their frames."""
        frames, size = self._rows["frame"], len(self._rows)
        kept = range(self.first, self.end)
        start = bisect.bisect_left(kept, number, key=lambda row: frames[row % size])
        stop = bisect.bisect_right(kept, number, lo=start, key=lambda row: frames[row % size])
        return self.rows(self.first + start, self.first + stop)

    def number_near(self, window: Window, most: int) -> int:
        """Return how many kept rows lie in the tiles that a window touches; above `most` it stops counting."""
        return _walk(self._newest, self._older, self.first, *self._tiles_of(window), np.zeros(0, np.int64), most)

    def inside(self, window: Window) -> Localizations:
        """Return the kept rows in a window, newest first within each tile: shape (n,), a copy."""
        slots = np.empty(self.number_near(window, len(self)), np.int64)
        _walk(self._newest, self._older, self.first, *self._tiles_of(window), slots, len(self))
        found = self._rows[slots]
        x, y = found["x_nm"] - window.left_nm, found["y_nm"] - window.top_nm
        return found[(x >= 0) & (x < window.width_nm) & (y >= 0) & (y < window.height_nm)]

    def _tiles_of(self, window: Window) -> tuple[int, int, int, int]:
        """Return the first and last column, and the first and last row, of the tiles that a window touches."""
        left, top = window.left_nm - self._field.left_nm, window.top_nm - self._field.top_nm
        ends = left, left + window.width_nm, top, top + window.height_nm
        first_column, last_column, first_row, last_row = (self._tile_at(end) for end in ends)
        return first_column, last_column, first_row, last_row

    def _tile_at(self, offset_nm: float) -> int:
        return int(min(max(offset_nm / self._tile_nm, 0), TILES_A_SIDE - 1))


@exact
def _link(
    newest: npt.NDArray[np.int64], older: npt.NDArray[np.int64], number: int, tiles: npt.NDArray[np.int64]
) -> None:
    """Put each row at the head of its tile's list; lists hold row numbers."""
    for i in range(tiles.size):
        slot = (number + i) % older.size
        if tiles[i] == NONE:
            older[slot] = NONE
        else:
            older[slot] = newest[tiles[i]]
            newest[tiles[i]] = number + i


@exact
def _walk(
    newest: npt.NDArray[np.int64],
    older: npt.NDArray[np.int64],
    first: int,
    left: int,
    right: int,
    top: int,
    bottom: int,
    slots: npt.NDArray[np.int64],
    most: int,
) -> int:
    """Write the slots of the rows in some tiles, where there is room for them; return their number."""
    found = 0
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            number = newest[row * TILES_A_SIDE + column]
            while number >= first and found <= most:  # what is older is overwritten; NONE is below every number
                if found < slots.size:
                    slots[found] = number % older.size
                found += 1
                number = older[number % older.size]
    return found
