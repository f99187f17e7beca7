"""The frame table: one record for every frame that was settled, written after its rows.

It is the commit record of the results file: rows without their frame's record do not count.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt


class FrameOutcome(IntEnum):
    """What became of a frame. 0 is none of them: it is what space that was never written reads as."""

    FITTED = 1
    """Its localizations, none or many, are in the table."""
    SKIPPED = 2
    """Left out on purpose: outside the range asked for."""
    FAILED = 3
    """It could not be fitted; the reason is in the log."""


FRAME_RECORD = np.dtype([("frame", "<u4"), ("time_s", "<f8"), ("rows", "<u4"), ("outcome", "u1")])
"""One frame: number from 0, seconds since the epoch (UTC), rows in the table, `FrameOutcome`."""

FrameRecords = npt.NDArray[np.void]
"""A one-dimensional array of dtype `FRAME_RECORD`."""


def frame_records(
    frames: npt.ArrayLike, times_s: npt.ArrayLike, rows: npt.ArrayLike, outcomes: npt.ArrayLike
) -> FrameRecords:
    """Build frame records from columns.

    Parameters
    ----------
    frames, times_s, rows, outcomes
        Of one length, or scalars: frame number, seconds since the epoch, number of rows, `FrameOutcome`.

    Returns
    -------
    numpy.ndarray
        Shape (n,), dtype `FRAME_RECORD`.
    """
    columns = np.broadcast_arrays(*(np.atleast_1d(c) for c in (frames, times_s, rows, outcomes)))
    records = np.empty(len(columns[0]), FRAME_RECORD)
    for name, column in zip(FRAME_RECORD.names or (), columns, strict=True):
        records[name] = column
    return records


def written(records: FrameRecords) -> int:
    """Return how many of the leading records were really written: with an outcome, and in frame order.

    Parameters
    ----------
    records
        Shape (n,), dtype `FRAME_RECORD`, as read from a file whose writer may have been killed.
    """
    good = np.isin(records["outcome"], list(FrameOutcome))
    good[1:] &= records["frame"][1:] > records["frame"][:-1]
    return int(np.argmin(good)) if not good.all() else len(records)
