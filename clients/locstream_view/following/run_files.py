"""The files of a run, where they are on this computer, growing or finished."""

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
    reader = open_results(files, hello.acquisition)
    if reader is None:
        return None
    reader.close()
    return files


def open_results(files: RunFiles, acquisition: str | None = None) -> ResultsReader | None:
    """Open the growing or the finished results of a run; None where neither can be read here.

    Parameters
    ----------
    files
        Of the run.
    acquisition
        Its id: results of another one are not opened. None for whichever lie there.
    """
    for path in (files.live_results, files.results):
        try:
            reader = ResultsReader(path)
        except ResultsError:
            continue  # not there under this name, or just being made or renamed
        if acquisition in (None, reader.header.acquisition_id):
            return reader
        reader.close()
    return None
