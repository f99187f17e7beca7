"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from locstream.errors import LocstreamError


@contextmanager
def whole_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file or folder made there becomes `path` when the block ends well.

    Parameters
    ----------
    path
        The file or folder to be.
    overwrite
        Replace one of that name; a folder is never replaced by a file.

    Raises
    ------
    LocstreamError
        There is one by now, and it is not to be replaced.
    OSError
        The disk refuses. In every case the temporary file or folder is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        for file in files_in(temporary):
            with file.open("rb+") as written:
                os.fsync(written.fileno())
        if not overwrite:
            refuse_existing(path)
        elif temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        remove_left_over(temporary)


def files_in(path: Path) -> list[Path]:
    """Return a file itself, or the files in a folder and its folders, in order; nothing where there is neither."""
    if not path.is_dir():
        return [path] if path.exists() else []
    return sorted(file for file in path.rglob("*") if file.is_file())


def remove_left_over(path: Path) -> None:
    """Remove what a killed process has left of a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Raise `LocstreamError` where there is a file already."""
    if path.exists():
        raise LocstreamError(
            f"{path} exists already and is not overwritten",
            safe="the file there is untouched",
            todo="move it away, or choose another name",
        )
