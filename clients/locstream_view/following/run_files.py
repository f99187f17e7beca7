"""The files of a run, where they are on this computer: for its camera frames."""

from __future__ import annotations

from pathlib import Path

from locstream.bundle.files import RunFiles
from locstream.errors import ResultsError
from locstream.results.reader import ResultsReader
from locstream.stream.messages import Hello


def files_here(hello: Hello) -> RunFiles | None:
    """Return the files of an acquisition where they are on this computer, and there already; else None.

    A path alone says nothing: another computer may have a folder of the same name. The id in the file decides.
    """
    if not hello.folder:
        return None
    files = RunFiles(Path(hello.folder), hello.name)
    for path in (files.live_results, files.results):
        try:
            with ResultsReader(path) as reader:
                if reader.header.acquisition_id == hello.acquisition:
                    return files
        except ResultsError:
            continue  # not there under this name, or just being made
    return None
