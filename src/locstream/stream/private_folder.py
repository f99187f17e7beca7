"""Folders that belong to one user, and that nobody else can look into."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from locstream.errors import LocstreamError


def make_private(folder: Path, of: str, variable: str, besides: str = "") -> None:
    """Make a folder with mode 0700 where it is missing, and see that it is nobody else's.

    Parameters
    ----------
    folder
        The folder.
    of
        What it is for, in the plural.
    variable
        The environment variable that names another one.
    besides
        What else is to be done where others could look into it.

    Raises
    ------
    LocstreamError
        It belongs to somebody else, is open to others, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat(follow_symlinks=False)
    except OSError as error:
        raise LocstreamError(
            f"the folder for {of} {folder} cannot be made: {error.strerror}",
            todo=f"set {variable} to a folder of your own",
        ) from error
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or mode & 0o077:
        raise LocstreamError(
            f"the folder for {of} {folder} is not private (owner {found.st_uid}, mode {mode:04o})",
            todo=f"`chmod 700 {folder}`, or set {variable} to a folder of your own{besides}",
        )
