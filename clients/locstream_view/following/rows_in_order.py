"""Every row once and in order, from two places: the stream, and the file in which a row is before it is published.

Rows come with the number of the first. What is missing before them, because this program came late or the line lost
messages, is read from the file where that is on this computer, and counted where it is not.
"""

from __future__ import annotations

from collections.abc import Callable

from locstream.bundle.files import RunFiles
from locstream.localizations import Localizations
from locstream.results.reader import BLOCK_ROWS, ResultsReader
from locstream_view.following.run_files import open_results


class RowsInOrder:
    """Hands the rows of one acquisition on, from number 0.

    Parameters
    ----------
    acquisition
        Its id: a file of another one is not read.
    files
        Where its files grow; None where they are on another computer.
    take
        Gets the rows.

    Attributes
    ----------
    next_row
        Number of the row to come.
    missing
        Rows that could not be had.
    """

    def __init__(self, acquisition: str, files: RunFiles | None, take: Callable[[Localizations], None]) -> None:
        self.next_row = self.missing = 0
        self.files = files
        self._acquisition = acquisition
        self._take = take
        self._reader: ResultsReader | None = None

    def offer(self, row_first: int, rows: Localizations) -> None:
        """Take rows from the stream; what is missing before them comes first."""
        if row_first > self.next_row:
            self.fill(row_first)
        new = rows[self.next_row - row_first :]
        if len(new):
            self._take(new)
            self.next_row += len(new)

    def fill(self, upto: int | None = None) -> None:
        """Read the file up to a row, which is excluded; to its end without. Rows that are not there are missing."""
        reader = self._open()
        if reader is not None:
            reader.refresh()
            stop = reader.n_rows if upto is None else min(upto, reader.n_rows)
            while self.next_row < stop:
                rows = reader.rows(self.next_row, min(self.next_row + BLOCK_ROWS, stop))
                self._take(rows)
                self.next_row += len(rows)
        if upto is not None and self.next_row < upto:
            self.missing += upto - self.next_row
            self.next_row = upto

    def _open(self) -> ResultsReader | None:
        """Return the reader of the growing or finished file; None where neither can be read here."""
        if self._reader is None and self.files is not None:
            self._reader = open_results(self.files, self._acquisition)
        return self._reader

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
