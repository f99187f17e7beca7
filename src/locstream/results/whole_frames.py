"""Which frames of a file are whole: their records are there, and exactly the rows that these vouch for."""

from __future__ import annotations

import numpy as np

from locstream.errors import ResultsError
from locstream.results.reader import ResultsReader

CHECKED_ROWS = 16_384
"""Rows that are checked at a time; where some of them cannot be read, none of them counts."""


def whole_frames(reader: ResultsReader) -> int:
    """Return how many leading frames of a file have exactly the rows that their records vouch for.

    A writer that was killed leaves no others; a power cut or a bad disk may.
    """
    records = reader.frames()
    ends = np.cumsum(records["rows"], dtype=np.int64)
    for start in range(0, reader.n_rows, CHECKED_ROWS):
        try:
            numbers = reader.stored_rows(start, start + CHECKED_ROWS)["frame"]
        except ResultsError:
            return int(np.searchsorted(ends, start, "right"))
        owners = np.searchsorted(ends, np.arange(start, start + len(numbers)), "right")
        wrong = np.flatnonzero(records["frame"][owners] != numbers)
        if len(wrong):
            return int(owners[wrong[0]])
    return len(records)
