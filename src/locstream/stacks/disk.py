"""Writing to a disk that may be full, slow to lock, or gone: errors in the words of the person who records."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from locstream.errors import StackError

_TROUBLES = {
    errno.ENOSPC: ("the disk is full", "free space or use another disk, then try again"),
    errno.EDQUOT: ("the disk quota is used up", "free space or use another disk, then try again"),
    errno.EROFS: ("the disk has become read-only", "use another disk, and have this one checked"),
    errno.EFBIG: ("no larger file is possible there", "use a disk formatted for large files (ext4, XFS, NTFS)"),
    errno.EIO: ("the disk reports a failure", "use another disk, and have this one checked"),
}


class StackInUseError(StackError):
    """A stack is being written by somebody else."""


def disk_trouble(error: OSError, what: str, *, safe: str) -> StackError:
    """Return the error to raise for a write that failed.

    Parameters
    ----------
    error
        What the system said.
    what
        What could not be done.
    safe
        What is on disk all the same.
    """
    trouble, todo = _TROUBLES.get(error.errno or 0, (error.strerror, "check the disk, then try again"))
    return StackError(f"{what}: {trouble}", safe=safe, todo=todo)


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` from byte `offset` on. Raises `OSError`; some of it may have been written then."""
    rest = memoryview(data)
    while rest:
        count = os.pwrite(fd, rest, offset)
        rest, offset = rest[count:], offset + count


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Open a file for changes that nobody else is changing.

    Raises
    ------
    StackInUseError
        Its writer is still at work.
    StackError
        It cannot be opened or locked.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        raise StackError(f"{path} cannot be opened for a change: {e.strerror}") from e
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise StackInUseError(f"{path} is still being written; nothing has been changed") from e
        except OSError as e:
            if e.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):  # a network file system without locks
                raise StackError(f"{path} cannot be locked: {e.strerror}") from e
        yield fd
    finally:
        os.close(fd)
