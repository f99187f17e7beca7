"""The lock of a whole run: from before its first file until its last one has its final name."""

from __future__ import annotations

from locstream.bundle.files import RunFiles
from locstream.results.lock import FileLock


class RunLock(FileLock):
    """Held by whoever acquires, finishes or recovers a run; nobody else touches its files.

    The locks of results and stack are held by their writers only; between these and the last file of the bundle
    there would be moments in which a run that lives looks like one that died.

    Parameters
    ----------
    files
        Names of the run; its folder exists.

    Raises
    ------
    FileInUseError
        Somebody holds it.
    ResultsError
        The folder cannot be written.
    """

    def __init__(self, files: RunFiles) -> None:
        super().__init__(files.lock, files.folder / files.name)
