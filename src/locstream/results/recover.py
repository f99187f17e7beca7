"""After a crash: a results file whose writer is gone becomes a finished one.

Only the localizations are looked after here; `locstream.bundle.recovery` fits first what the stack on disk has
beyond them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locstream.errors import ResultsError
from locstream.results.disk import REFUSALS, reason
from locstream.results.final import finish
from locstream.results.layout import LIVE, LOCK, PART, final_path, live_path
from locstream.results.live_file import keep_damaged
from locstream.results.lock import WriterLock
from locstream.results.reader import ResultsReader
from locstream.results.repair import clear_flags
from locstream.results.whole_frames import whole_frames


@dataclass(frozen=True)
class Recovered:
    """What became of one live file.

    Parameters
    ----------
    path
        The finished results file.
    frames, rows
        Committed frames and their rows, all of which are in `path`.
    trimmed_frames, trimmed_rows
        What was left out: rows that were never committed, and frames that are not whole.
    kept
        Where the live file was kept, with all that was left out, because frames are not whole. A writer that
        was killed leaves none such; a power cut or a bad disk may. None where all is in `path`.
    repaired
        Whether the file was marked as open for writing.
    """

    path: Path
    frames: int
    rows: int
    trimmed_frames: int
    trimmed_rows: int
    kept: Path | None
    repaired: bool


def recover_results(live: Path, summary: Mapping[str, Any] | None = None) -> Recovered:
    """Finish a live results file whose writer is gone.

    Cut off anywhere, it is done by calling it again.

    Parameters
    ----------
    live
        ``NAME.live.h5``.
    summary
        What was learned by the end, see `locstream.results.final.finalize`.

    Raises
    ------
    FileInUseError
        The writer lives.
    ResultsError
        It cannot be finished; the live file is as it was.
    """
    with WriterLock(live):
        repaired = clear_flags(live)
        with ResultsReader(live) as reader:
            reader.keep(whole_frames(reader))
            frames, rows = reader.uncommitted
            try:
                kept = keep_damaged(live) if frames else None
            except REFUSALS as error:
                raise ResultsError(f"{live} cannot be kept: {reason(error)}", safe=str(live)) from error
            path = finish(reader, final_path(live), summary or {})
            return Recovered(path, reader.n_frames, reader.n_rows, frames, rows, kept, repaired)


def clean(folder: Path) -> None:
    """Remove what writers that were killed before their first frame left in a folder, and locks without a file."""
    for pattern in (f"*{LIVE}{PART}", f"*{LOCK}"):
        for left in sorted(folder.glob(pattern)):
            name = left.name.removesuffix(PART).removesuffix(LIVE).removesuffix(LOCK)
            try:
                with WriterLock(live_path(folder, name)):
                    if left.name.endswith(PART):  # a lock goes as it is given back: once more would take another's
                        left.unlink(missing_ok=True)
            except ResultsError:  # in use, or not ours to remove: it does no harm where it lies
                continue
