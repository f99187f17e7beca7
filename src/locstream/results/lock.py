"""Locks beside files: who holds one may write what it stands for, and nobody else touches it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from locstream.errors import ResultsError
from locstream.results.layout import lock_path

A_LOOK_S = 0.5
"""Whether a lock is left over is seen by taking it. So somebody may hold it for a moment who writes nothing."""


class FileInUseError(ResultsError):
    """What a lock stands for is being written by another process, or by another holder in this one."""


class FileLock:
    """An exclusive lock. The kernel gives it back when the process dies, however it dies.

    The lock does not pass to a program that is started, but it does to a bare ``os.fork``.

    Parameters
    ----------
    path
        The file of the lock; it is made where it is missing, and removed when the lock is released.
    guarded
        What the lock stands for; named where somebody else holds it.
    patience_s
        How long to wait for whoever holds it.

    Raises
    ------
    FileInUseError
        Somebody holds it, and goes on to.
    ResultsError
        The folder cannot be written.
    """

    def __init__(self, path: Path, guarded: Path, patience_s: float = A_LOOK_S) -> None:
        self._path = path
        try:
            self._fd = self._take(guarded, time.monotonic() + patience_s)
        except OSError as error:
            raise ResultsError(
                f"{self._path} cannot be locked: {error.strerror}",
                todo="check that the folder exists, is yours to write, and lies on a local disk",
            ) from error

    def _take(self, guarded: Path, deadline: float) -> int:
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current(fd):
                    os.ftruncate(fd, 0)
                    os.write(fd, f"{os.getpid()}\n".encode("ascii"))
                    return fd
            except BlockingIOError as error:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                os.close(fd)
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                raise FileInUseError(
                    f"{guarded} is being written by process {holder or 'unknown'}",
                    safe="what it has written",
                    todo="wait until that acquisition has ended, or stop it",
                ) from error
            except OSError:
                os.close(fd)
                raise
            os.close(fd)  # the holder before us removed this file between our open and our lock

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Remove the lock file and give the lock back. Safe to call twice."""
        if self._fd < 0:
            return
        try:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(self._fd)
            self._fd = -1

    @contextmanager
    def kept_if_well(self) -> Iterator[Self]:
        """Hold the lock beyond the block, unless something is raised in it."""
        try:
            yield self
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class WriterLock(FileLock):
    """The lock of a live results file, ``NAME.live.lock`` in the same folder.

    Parameters
    ----------
    live
        The live file; it need not exist.

    Raises
    ------
    FileInUseError
        Its writer lives.
    ResultsError
        The folder cannot be written.
    """

    def __init__(self, live: Path) -> None:
        super().__init__(lock_path(live), live)
