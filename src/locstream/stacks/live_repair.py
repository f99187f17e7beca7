"""Mending a live stack whose writer is gone: cut back to its last complete page, and where to go on.

A kill or a full disk leaves at most bytes behind the last page that belong to none. A power failure may leave a
link to a page that never reached the disk. Either is taken away, and nothing else is touched.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from locstream.errors import StackError
from locstream.stacks.disk import StackInUseError, disk_trouble, locked, write_at
from locstream.stacks.frames_in_file import ReadOnlyFile
from locstream.stacks.live_page import (
    FIRST_LINK_AT,
    FRAME_NUMBER,
    HEADER,
    LINK,
    PageWritten,
    complete_pages,
    directory,
)
from locstream.stacks.tiff_structure import TiffStructure


class Tail(NamedTuple):
    """Where a stack goes on.

    Parameters
    ----------
    pages
        Number of complete pages.
    link_at
        Where the link to the next page is stored, bytes.
    end
        Where all that the pages need ends, bytes.
    number
        Frame number of the last page; -1 without a page.
    """

    pages: int = 0
    link_at: int = FIRST_LINK_AT
    end: int = len(HEADER)
    number: int = -1


def repair_live_stack(path: Path) -> int:
    """Cut a live stack back to its last complete page.

    A stack that is in order stays as it is, and so does one without a complete page.

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
    return mend(path)[0].pages


def being_written(path: Path) -> bool:
    """Say whether the writer of a live stack holds it. Raises `StackError` where the file cannot be opened."""
    try:
        with locked(path):
            return False
    except StackInUseError:
        return True


def mend(
    path: Path, shape: tuple[int, int] | None = None, after: PageWritten | None = None
) -> tuple[Tail, Sequence[int]]:
    """Do what `repair_live_stack` does, and say where the stack goes on.

    Parameters
    ----------
    path
        The file.
    shape
        Rows and columns that its frames must have; None for any.
    after
        A page that was reported as complete: only what is behind it is looked at. None: everything.

    Returns
    -------
    tuple
        The tail, and where the pixels of each complete page behind `after` begin, bytes.
    """
    with locked(path) as fd:
        file = ReadOnlyFile(path)
        try:
            if file.size() < len(HEADER):  # killed before it had a header
                return Tail(), ()
            tail, offsets = _look(TiffStructure(file), shape, after)
            (linked,) = LINK.unpack(file.read(tail.link_at, LINK.size))
            size = file.size()
        finally:
            file.close()
        if tail.pages and (linked or size > tail.end):
            try:
                write_at(fd, LINK.pack(0), tail.link_at)
                os.ftruncate(fd, tail.end)
                os.fsync(fd)
            except OSError as e:
                safe = f"{tail.pages} frames are complete in it"
                raise disk_trouble(e, f"{path} cannot be repaired", safe=safe) from e
    return tail, offsets


def _look(tiff: TiffStructure, shape: tuple[int, int] | None, after: PageWritten | None) -> tuple[Tail, Sequence[int]]:
    first = next(complete_pages(tiff), None)
    if first is None:
        return Tail(), ()
    page = tiff.page_format(first.ifd)
    if shape is not None and shape != (page.height, page.width):
        raise StackError(f"{tiff.file.path} holds frames of {page.width} × {page.height} px; it is left as it is")
    tail, begin = Tail(), 0
    if after is not None:
        tail = Tail(pages=after.index)
        begin = after.offset_bytes - len(directory(0, page.height, page.width, first=after.index == 0)[0])
        begin = max(begin, len(HEADER))
    offsets = array("Q")
    for ifd, end in complete_pages(tiff, begin):
        offsets.append(tiff.segments(ifd)[0][0])
        number = tiff.scalar(ifd, FRAME_NUMBER, tail.number + 1)
        tail = Tail(tail.pages + 1, ifd.next_at, max(tail.end, end), number)
    if after is not None and (not offsets or offsets.pop(0) != after.offset_bytes):
        raise StackError(f"{tiff.file.path} has no page {after.index} where it was written; it is left as it is")
    return tail, offsets
