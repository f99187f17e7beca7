"""Gives rows that were committed before somebody listened: out of the results file, growing or finished.

It only reads. A writer is never waited for, in this process or another, and nothing is given that is not committed.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from locstream.errors import ResultsError
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D
from locstream.results.reader import ResultsReader
from locstream.stream.messages import MAX_CHUNK_BYTES, Chunk, End, Fetch, FieldSpec, Reply, own_fields
from locstream.stream.wire import Buffer, pack

REMEMBERED = 32
"""Acquisitions that can be asked for; older ones are in their files."""
OPEN_FILES = 2
"""Files that are held open: the current acquisition's, and one that somebody catches up with."""


@dataclass
class _Known:
    live: Path
    final: Path
    fields: tuple[FieldSpec, ...]
    ended: bool = False
    end: End | None = None
    opened: os.stat_result | None = None

    @property
    def may_have_no_file(self) -> bool:
        """True before the first row, and where it ended without one: perhaps its camera was never started."""
        return not self.ended or (self.end is not None and not self.end.rows)


class History:
    """Answers `Fetch`. Used from one thread.

    Each answer holds at most `MAX_CHUNK_BYTES` of rows and takes a few ms, so that one who asks for much does not
    hold up others.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._open: OrderedDict[str, ResultsReader] = OrderedDict()

    def begin(self, acquisition: str, live: Path, final: Path, *, depth: bool = False) -> None:
        """Say where the rows of an acquisition grow, and where they will be in the end.

        Parameters
        ----------
        acquisition
            Its id, as published.
        live, final
            ``NAME.live.h5`` and ``NAME_locs.hdf5``; they need not exist yet.
        depth
            Whether its rows have depth.
        """
        self._known[acquisition] = _Known(live, final, own_fields(depth=depth))
        self._known.move_to_end(acquisition)
        while len(self._known) > REMEMBERED:
            self._close(self._known.popitem(last=False)[0])

    def end(self, acquisition: str, end: End | None = None) -> None:
        """Say that nothing more will be committed to an acquisition.

        Parameters
        ----------
        acquisition
            Its id.
        end
            What is published of it, with the number of all rows that were committed.
        """
        if acquisition in self._known:
            self._known[acquisition].ended = True
            self._known[acquisition].end = end

    def answer(self, fetch: Fetch) -> list[Buffer]:
        """Return the answer, ready to be sent: a `Chunk` with its rows, or a `Reply` that says why not."""
        acquisition = fetch.acquisition or next(reversed(self._known), "")
        known = self._known.get(acquisition)
        if known is None:
            return pack(Reply(id=fetch.id, ok=False, message=f"no acquisition {acquisition!r} is known here"))
        try:
            return self._chunk(fetch, acquisition, known)
        except ResultsError:
            self._close(acquisition)  # it was finished meanwhile, perhaps: its file has another name and form now
        try:
            return self._chunk(fetch, acquisition, known)
        except ResultsError as error:
            self._close(acquisition)
            return pack(Reply(id=fetch.id, ok=False, message=f"rows cannot be read: {error.what}"))

    def close(self) -> None:
        """Close every file."""
        for acquisition in list(self._open):
            self._close(acquisition)

    def _chunk(self, fetch: Fetch, acquisition: str, known: _Known) -> list[Buffer]:
        if known.opened is None and known.may_have_no_file and not known.live.exists() and not known.final.exists():
            return self._nothing(fetch, acquisition, known)
        ended = known.ended  # before looking: what is committed after that is not everything
        reader = self._reader(acquisition, known)
        reader.refresh()
        dtype = LOCALIZATION_3D if reader.header.depth else LOCALIZATION
        most = MAX_CHUNK_BYTES // dtype.itemsize
        first = min(fetch.from_row, reader.n_rows)
        table = reader.rows(first, first + (min(fetch.max_rows, most) if fetch.max_rows else most))
        chunk = Chunk(
            id=fetch.id,
            acquisition=acquisition,
            row_first=fetch.from_row,
            rows=len(table),
            committed=reader.n_rows,
            more=first + len(table) < reader.n_rows,
            ended=ended or reader.path == known.final,
            fields=own_fields(depth=reader.header.depth),
            end=known.end,
        )
        return pack(chunk, table.tobytes())

    def _nothing(self, fetch: Fetch, acquisition: str, known: _Known) -> list[Buffer]:
        """Return the answer of an acquisition whose file is not begun, or never was."""
        chunk = Chunk(
            id=fetch.id,
            acquisition=acquisition,
            row_first=fetch.from_row,
            rows=0,
            committed=0,
            more=False,
            ended=known.ended,
            fields=known.fields,
            end=known.end,
        )
        return pack(chunk, b"")

    def _reader(self, acquisition: str, known: _Known) -> ResultsReader:
        if acquisition in self._open and _replaced(known):
            self._close(acquisition)
        if acquisition not in self._open:
            while len(self._open) >= OPEN_FILES:
                self._close(next(iter(self._open)))
            path = known.live if known.live.exists() else known.final
            reader = ResultsReader(path)
            if reader.header.acquisition_id != acquisition:
                reader.close()
                raise ResultsError(f"{path} is of another acquisition")
            self._open[acquisition] = reader
            known.opened = path.stat()
        self._open.move_to_end(acquisition)
        return self._open[acquisition]

    def _close(self, acquisition: str) -> None:
        reader = self._open.pop(acquisition, None)
        if reader is not None:
            reader.close()


def _replaced(known: _Known) -> bool:
    """Return whether another file lies where the live one was opened, as after a writer that went on with it."""
    try:
        return known.opened is not None and not os.path.samestat(known.opened, known.live.stat())
    except FileNotFoundError:
        return False
