"""After a crash: every results file whose writer is gone becomes a finished one.

Only the localizations are looked after here. Frames that the stack on disk has beyond
`Recovered.last_frame` were recorded and never fitted, or fitted and never committed; who knows the
stack can fit them again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from locstream.errors import ResultsError
from locstream.results.final import finish
from locstream.results.layout import DAMAGED, LIVE, LOCK, PART, acquisition_name, final_path, live_path
from locstream.results.lock import FileInUseError, WriterLock
from locstream.results.reader import ResultsReader
from locstream.results.repair import clear_flags

CHECKED_ROWS = 16_384
"""Rows that are checked at a time; where some of them cannot be read, none of them counts."""


@dataclass(frozen=True)
class Recovered:
    """What became of one live file.

    Parameters
    ----------
    name
        Name of the acquisition.
    path
        The finished results file; the live file itself where there is a `problem`.
    frames, rows
        Committed frames and their rows, all of which are in `path`.
    last_frame
        Number of the last committed frame, None where there is none. Fit the stack from the one after it.
    trimmed_frames, trimmed_rows
        What was left out: rows that were never committed, and frames that are not whole.
    kept
        Where the live file was kept, with all that was left out, because frames are not whole. A writer that
        was killed leaves none such; a power cut or a bad disk may. None where all is in `path`.
    repaired
        Whether the file was marked as open for writing.
    problem
        Why nothing was done, "" where all went well. The live file is then as it was.
    """

    name: str
    path: Path
    frames: int = 0
    rows: int = 0
    last_frame: int | None = None
    trimmed_frames: int = 0
    trimmed_rows: int = 0
    kept: Path | None = None
    repaired: bool = False
    problem: str = ""


def recover(folder: Path) -> list[Recovered]:
    """Finish every live results file in a folder whose writer is gone.

    Running it twice changes nothing; a file that is being written is left alone and not reported.
    Files that it cannot finish are left as they are, and reported with the reason.

    Parameters
    ----------
    folder
        Where the acquisitions were written; folders inside it are not looked into.

    Returns
    -------
    list of Recovered
        One for each live file without a living writer, by name.
    """
    found: list[Recovered] = []
    for live in sorted(folder.glob(f"*{LIVE}")):
        try:
            with WriterLock(live):
                found.append(_recover(live))
        except FileInUseError:
            continue
        except ResultsError as error:
            found.append(Recovered(acquisition_name(live), live, problem=str(error)))
    _clean(folder)
    return found


def _recover(live: Path) -> Recovered:
    found = Recovered(acquisition_name(live), live, repaired=clear_flags(live))
    try:
        with ResultsReader(live) as reader:
            reader.keep(_whole_frames(reader))
            frames, rows = reader.uncommitted
            kept = live.with_name(live.name + DAMAGED) if frames else None
            found = replace(
                found,
                frames=reader.n_frames,
                rows=reader.n_rows,
                last_frame=reader.last_frame,
                trimmed_frames=frames,
                trimmed_rows=rows,
                kept=kept,
            )
            summary = {"recovered": {"trimmed_frames": frames, "trimmed_rows": rows}}
            return replace(found, path=finish(reader, final_path(live), summary, keep_live_as=kept))
    except ResultsError as error:
        return replace(found, kept=None, problem=str(error))


def _whole_frames(reader: ResultsReader) -> int:
    """Return how many leading frames have exactly the rows that their records vouch for."""
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


def _clean(folder: Path) -> None:
    """Remove what a writer that was killed before its first frame left, and locks without a file."""
    for pattern in (f"*{LIVE}{PART}", f"*{LOCK}"):
        for left in sorted(folder.glob(pattern)):
            name = left.name.removesuffix(PART).removesuffix(LIVE).removesuffix(LOCK)
            try:
                with WriterLock(live_path(folder, name)):
                    left.unlink(missing_ok=True)
            except ResultsError:  # in use, or not ours to remove: it does no harm where it lies
                continue
