"""SHA-256 of a file, read in blocks: memory stays flat however large a stack is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from locstream.errors import LocstreamError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    LocstreamError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LocstreamError(
            f"{path} cannot be read: {error.strerror or error}",
            safe="no file was changed",
            todo="see that the file is there and the disk healthy, then try again",
        ) from error
