"""Files that appear whole or not at all."""

from __future__ import annotations

import os
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


def refuse_existing(path: Path) -> None:
    """Raise `LocstreamError` where there is a file already."""
    if path.exists():
        raise LocstreamError(
            f"{path} exists already and is not overwritten",
            safe="the file there is untouched",
            todo="move it away, or choose another name",
        )
