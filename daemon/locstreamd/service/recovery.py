"""``locstream recover``: finish the files of runs that were killed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from locstream.bundle.recovery import clean_folder, recover_run, unfinished_runs
from locstream.bundle.summary_text import summary_text
from locstream.errors import LocstreamError
from locstream.results.lock import FileInUseError
from locstream.upload.hook import queue_if_asked


def recover_folder(folder: Path, progress: Callable[[str], object] | None = None) -> int:
    """Finish every dead run in a folder; return the exit status, 1 where one could not be finished.

    Parameters
    ----------
    folder
        Where the runs lie; folders inside it are not looked into.
    progress
        Called with a sentence while frames are fitted; None to show it in the terminal.

    Raises
    ------
    LocstreamError
        There is no such folder.
    """
    if not folder.is_dir():
        raise LocstreamError(f"{folder} is not a folder", todo="give the folder that holds the run's files")
    runs = unfinished_runs(folder)
    problems = 0
    for files in runs:
        bar = _Percent(files.name, progress)
        try:
            recovered = recover_run(files, bar.show)
            if recovered.summary is not None:
                queue_if_asked(files)
            bar.end()
            print(summary_text(recovered.summary) if recovered.summary else f"{recovered.name}: {recovered.said}")
        except FileInUseError as error:
            print(f"{files.name}: left alone; {error.what}")
        except LocstreamError as error:
            problems += 1
            bar.end()
            print(f"{files.name}: {error}", file=sys.stderr)
    clean_folder(folder)
    if not runs:
        print(f"nothing to recover in {folder}")
    return 1 if problems else 0


class _Percent:
    """Says how far fitting has come: rewrites one line in a terminal, else a line at every tenth."""

    def __init__(self, name: str, say: Callable[[str], object] | None) -> None:
        self._name = name
        self._say = say
        self._shown = -1
        self._open_line = False

    def show(self, done: int, total: int) -> None:
        percent = 100 * done // total
        text = f"{self._name}: fitting frames that were never fitted, {percent} % of {total:,}"
        if self._say is not None:
            self._say(text)
        elif sys.stdout.isatty():
            print(f"\r{text}", end="", flush=True)
            self._open_line = True
        elif percent // 10 > self._shown // 10:
            print(text, flush=True)
        self._shown = percent

    def end(self) -> None:
        if self._open_line:
            print()
