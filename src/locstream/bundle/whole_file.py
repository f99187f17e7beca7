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
    """Yield a temporary path beside `path`; what is written there becomes `path` when the block ends well.

    Parameters
    ----------
    path
        The file to be.
    overwrite
        Replace a file of that name.

    Raises
    ------
    LocstreamError
        The file exists by now and is not to be replaced.
    OSError
        The disk refuses. In every case the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        if not overwrite:
            refuse_existing(path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a path beside `path` where a folder is to be made; it becomes `path` when the block ends well.

    Parameters
    ----------
    path
        The folder to be.
    overwrite
        Replace a folder of that name.

    Raises
    ------
    LocstreamError
        The folder exists by now and is not to be replaced.
    OSError
        The disk refuses. In every case the temporary folder is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        for file in files_in(temporary):
            with file.open("rb+") as written:
                os.fsync(written.fileno())
        if not overwrite:
            refuse_existing(path)
        elif path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


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
