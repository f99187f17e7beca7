"""The digest of rows as they travel: two programs that have the same one have the same rows, in the same order."""

from __future__ import annotations

import hashlib
from pathlib import Path

from locstream.localizations import Localizations
from locstream.results.reader import BLOCK_ROWS, ResultsReader


class RowsDigest:
    """SHA-256 over packed rows, as they come; how they are cut into batches makes no difference."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, table: Localizations) -> None:
        """Take the next rows."""
        self._hash.update(table.tobytes())

    def hexdigest(self) -> str:
        """Return the digest of all rows so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


def file_digest(path: Path, first_row: int = 0) -> str:
    """Return the digest of the committed rows of a results file.

    Parameters
    ----------
    path
        ``NAME.live.h5`` or ``NAME_locs.hdf5``.
    first_row
        Leave out the rows before this one, as a program does that joined there.

    Raises
    ------
    ResultsError
        The file cannot be read.
    """
    digest = RowsDigest()
    with ResultsReader(path) as reader:
        for start in range(first_row, reader.n_rows, BLOCK_ROWS):
            digest.add(reader.rows(start, start + BLOCK_ROWS))
    return digest.hexdigest()
