"""The stack that grows while the camera runs: a BigTIFF in which a page is complete or not there at all.

A page is written in full behind the last one, and only then linked by one write of eight bytes. So
whatever is in the chain is complete at every moment, for any TIFF reader, while the file grows and after
a kill. (tifffile links a page first and writes it then: of 30 kills of a writer of 1024 × 1024 px, 26 left
a chain that ends in a hole.) Each page says which frame it is, see `locstream.stacks.live_page`.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from locstream.errors import StackError
from locstream.stacks.disk import disk_trouble, write_at
from locstream.stacks.frames_in_file import PIXEL_TYPES, ReadOnlyFile
from locstream.stacks.live_page import HEADER, LINK, PageWritten, aligned, directory, to_ns
from locstream.stacks.live_repair import Tail, mend
from locstream.stacks.source import Image


class LiveStackWriter:
    """Writes frames as they come; each is complete on disk when `append` returns.

    While it is open it holds a lock on the file, so that nobody repairs or finishes what still grows.

    Parameters
    ----------
    path
        The file to create; an existing one is never touched.
    height, width
        Shape of the frames, px.
    fsync
        Wait for the disk after every page, so that a power failure does not take it either.
    tail
        Where a stack that exists goes on; see `resume`. None to create one.

    Raises
    ------
    StackError
        The file exists already or cannot be created.
    """

    def __init__(self, path: Path, height: int, width: int, *, fsync: bool = False, tail: Tail | None = None) -> None:
        if height < 1 or width < 1:
            raise StackError(f"frames of {width} × {height} px cannot be recorded")
        self._path = path
        self._shape = (height, width)
        self._fsync = fsync
        self._pages, self._link_at, end, self._last_number = tail or Tail()
        self._end = aligned(end)
        self._fd: int | None = _open(path, create=tail is None)
        with contextlib.suppress(OSError):  # some network file systems know no locks; recording goes on without
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            if not self._pages:
                write_at(self._fd, HEADER, 0)
            if self._fsync:
                os.fsync(self._fd)
        except OSError as e:
            self.close()
            raise disk_trouble(e, f"{path} cannot be written", safe="") from e

    @classmethod
    def resume(
        cls, path: Path, height: int, width: int, *, fsync: bool = False, after: PageWritten | None = None
    ) -> tuple[Self, list[PageWritten]]:
        """Go on with a stack whose writer has died, behind its last complete page.

        Parameters
        ----------
        path, height, width, fsync
            As they were given to the writer that died.
        after
            The last page that it has reported, which spares looking at those before it. None: none.

        Returns
        -------
        tuple
            The writer, and the complete pages behind `after`: they were written and never reported.

        Raises
        ------
        StackError
            The file is gone, still being written, not one of locstream's or holds frames of another shape; or
            the disk failed.
        """
        tail, offsets = mend(path, (height, width), after)
        found = [PageWritten(tail.pages - len(offsets) + i, offset) for i, offset in enumerate(offsets)]
        return cls(path, height, width, fsync=fsync, tail=tail), found

    @property
    def pages(self) -> int:
        """Number of pages that are complete on disk."""
        return self._pages

    def append(self, image: Image, number: int | None = None, time_s: float = math.nan) -> PageWritten:
        """Write one frame as the next page.

        Parameters
        ----------
        image
            Shape (rows, columns) as announced, uint16, ADU.
        number
            Its frame number, above that of every page before. None: one more than the last.
        time_s
            Its time, seconds since the epoch (UTC), NaN where it is not known.

        Returns
        -------
        PageWritten
            The page, complete and readable by other processes.

        Raises
        ------
        StackError
            The image is of another shape or type; its number is not above the last; the writer is closed; or
            the disk failed, and then every page before this one is still there, and the same frame can be
            tried again.
        """
        if self._fd is None:
            raise StackError(f"{self._path} is closed; no frame can be added", safe=self._safe())
        if image.shape != self._shape or image.dtype != np.uint16:
            raise StackError(
                f"frame {self._pages} is {image.dtype} of shape {image.shape}, the stack holds uint16 of {self._shape}",
                safe=self._safe(),
                todo="has the region of the camera been changed during the recording?",
            )
        if number is None:
            number = self._last_number + 1
        if number <= self._last_number:
            raise StackError(f"frame {number} came after frame {self._last_number}", safe=self._safe())
        first = self._pages == 0
        head, next_link_at = directory(self._end, *self._shape, first=first, number=number, time_ns=to_ns(time_s))
        pixels_at = self._end + len(head)
        try:
            write_at(self._fd, head, self._end)
            write_at(self._fd, np.ascontiguousarray(image, "<u2").reshape(-1).view(np.uint8).data, pixels_at)
            write_at(self._fd, LINK.pack(self._end), self._link_at)
            if self._fsync:
                os.fdatasync(self._fd)
        except OSError as e:
            with contextlib.suppress(OSError):  # only tidies up: what is not linked is not read
                write_at(self._fd, LINK.pack(0), self._link_at)
                os.ftruncate(self._fd, self._end)
            raise disk_trouble(e, f"frame {self._pages} could not be written to {self._path}", safe=self._safe()) from e
        written = PageWritten(self._pages, pixels_at)
        self._pages += 1
        self._last_number = number
        self._link_at = next_link_at
        self._end = aligned(pixels_at + image.nbytes)
        return written

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _safe(self) -> str:
        return f"{self._pages} frames are complete in {self._path}" if self._pages else ""


def _open(path: Path, *, create: bool) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0), 0o644)
    except FileExistsError as e:
        raise StackError(f"{path} exists already and is not overwritten", todo="choose another name") from e
    except OSError as e:
        raise disk_trouble(e, f"{path} cannot be {'created' if create else 'opened again'}", safe="") from e


def read_page(path: Path, offset: int, height: int, width: int) -> Image:
    """Read one frame of a live stack with one positioned read, also while the stack grows.

    Parameters
    ----------
    path
        The file.
    offset
        `PageWritten.offset_bytes` of the frame.
    height, width
        Shape of the frames, px.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns), uint16, ADU.

    Raises
    ------
    StackError
        The file cannot be opened, or ends within the frame.
    """
    file = ReadOnlyFile(path)
    try:
        return file.read_image(offset, height, width, PIXEL_TYPES["<u2"])
    finally:
        file.close()
