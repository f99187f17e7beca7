"""``locstream recover``: finish the files of a run that was killed."""

from __future__ import annotations

import sys
from pathlib import Path

from locstream.bundle.recovery import recover_run, unfinished_runs
from locstream.bundle.summary import summary_text
from locstream.errors import LocstreamError
from locstream.results.recover import recover


def recover_folder(folder: Path) -> int:
    """Finish every dead run in a folder; return the exit status, 1 where one could not be finished.

    Raises
    ------
    LocstreamError
        There is no such folder.
    """
    if not folder.is_dir():
        raise LocstreamError(f"{folder} is not a folder", todo="give the folder that holds the run's files")
    problems = 0
    names = {recovered.name: recovered for recovered in recover(folder)}
    for name, recovered in names.items():
        if recovered.problem:
            problems += 1
            print(f"{name}: {recovered.problem}", file=sys.stderr)
            continue
        if recovered.kept is not None:
            print(f"{name}: the file was damaged; it is kept as {recovered.kept}", file=sys.stderr)
        print(
            f"{name}: {recovered.frames:,} frames with {recovered.rows:,} localizations recovered to {recovered.path}"
        )
    for files in unfinished_runs(folder):
        try:
            print(summary_text(recover_run(files)))
        except LocstreamError as error:
            problems += 1
            print(f"{files.name}: {error}", file=sys.stderr)
    if not names and not problems:
        print(f"nothing to recover in {folder}")
    return 1 if problems else 0
