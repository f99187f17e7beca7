"""The stack that grows while the camera runs: a BigTIFF in which a page is complete or not there at all.

A page is written in full behind the last one, and only then linked by one write of eight bytes. So
whatever is in the chain is complete at every moment, for any TIFF reader, while the file grows and after
a kill. (tifffile links a page first and writes it then: of 30 kills of a writer of 1024 × 1024 px, 26 left
a chain that ends in a hole.) `repair_live_stack` is for what a power failure can leave.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from locstream.errors import StackError
from locstream.stacks.disk import disk_trouble, locked, write_at
from locstream.stacks.frames_in_file import PIXEL_TYPES, ReadOnlyFile
from locstream.stacks.live_page import FIRST_LINK_AT, HEADER, LINK, aligned, check_ours, directory
from locstream.stacks.source import Image
from locstream.stacks.tiff_structure import TiffStructure, TornChain


@dataclass(frozen=True, slots=True)
class PageWritten:
    """Where a frame lies.

    Parameters
    ----------
    index
        Page of the file, from 0.
    offset_bytes
        Where its pixels begin, for `read_page`.
    """

    index: int
    offset_bytes: int


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

    Raises
    ------
    StackError
        The file exists already or cannot be created.
    """

    def __init__(self, path: Path, height: int, width: int, *, fsync: bool = False) -> None:
        if height < 1 or width < 1:
            raise StackError(f"frames of {width} × {height} px cannot be recorded")
        self._path = path
        self._shape = (height, width)
        self._fsync = fsync
        self._pages = 0
        self._link_at = FIRST_LINK_AT
        self._end = len(HEADER)
        try:
            self._fd: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError as e:
            raise StackError(f"{path} exists already and is not overwritten", todo="choose another name") from e
        except OSError as e:
            raise disk_trouble(e, f"{path} cannot be created", safe="") from e
        with contextlib.suppress(OSError):  # some network file systems know no locks; recording goes on without
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            write_at(self._fd, HEADER, 0)
        except OSError as e:
            self.close()
            raise disk_trouble(e, f"{path} cannot be written", safe="") from e

    @property
    def pages(self) -> int:
        """Number of pages that are complete on disk."""
        return self._pages

    def append(self, image: Image) -> PageWritten:
        """Write one frame as the next page.

        Parameters
        ----------
        image
            Shape (rows, columns) as announced, uint16, ADU.

        Returns
        -------
        PageWritten
            The page, complete and readable by other processes.

        Raises
        ------
        StackError
            The image is of another shape or type; the writer is closed; or the disk failed, and then
            every page before this one is still there, and the same frame can be tried again.
        """
        if self._fd is None:
            raise StackError(f"{self._path} is closed; no frame can be added", safe=self._safe())
        if image.shape != self._shape or image.dtype != np.uint16:
            raise StackError(
                f"frame {self._pages} is {image.dtype} of shape {image.shape}, the stack holds uint16 of {self._shape}",
                safe=self._safe(),
                todo="has the region of the camera been changed during the recording?",
            )
        head, next_link_at = directory(self._end, *self._shape, first=self._pages == 0)
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


def repair_live_stack(path: Path) -> int:
    """Cut a live stack back to its last complete page.

    A kill or a full disk leaves at most bytes behind the last page that belong to none; a power
    failure may leave a link to a page that never reached the disk. Either is taken away. A stack that
    is in order stays as it is, and so does one without a complete page.

    Parameters
    ----------
    path
        A file of `LiveStackWriter` that nobody has open, finished as OME-TIFF or not.

    Returns
    -------
    int
        The number of complete pages.

    Raises
    ------
    StackError
        The file is still being written, or was not recorded by locstream, and has not been changed;
        or the disk failed.
    """
    with locked(path) as fd:
        file = ReadOnlyFile(path)
        try:
            if file.size() < len(HEADER):  # killed before it had a header
                return 0
            pages, link_at, end = _last_complete_page(TiffStructure(file))
            (linked,) = LINK.unpack(file.read(link_at, LINK.size))
            size = file.size()
        finally:
            file.close()
        if pages and (linked or size > end):
            try:
                write_at(fd, LINK.pack(0), link_at)
                os.ftruncate(fd, end)
                os.fsync(fd)
            except OSError as e:
                raise disk_trouble(e, f"{path} cannot be repaired", safe=f"{pages} frames are complete in it") from e
    return pages


def _last_complete_page(tiff: TiffStructure) -> tuple[int, int, int]:
    """Return the number of complete pages, where the link behind the last is, and where all they need ends."""
    pages, link_at, end = 0, FIRST_LINK_AT, len(HEADER)
    size = tiff.file.size()
    with contextlib.suppress(TornChain):
        for ifd in tiff.chain():
            parts = [(ifd.next_at, LINK.size), *tiff.segments(ifd), *(tiff.data_at(tag) for tag in ifd.tags.values())]
            page_end = max(start + length for start, length in parts if start)
            if page_end > size:
                break
            if not pages:
                check_ours(tiff, ifd)
            pages, link_at, end = pages + 1, ifd.next_at, max(end, page_end)
    return pages, link_at, end
