"""Refuses a raw stack that is cut short: other programs read one as a shorter film, without a word."""

from __future__ import annotations

import re
from pathlib import Path

from locstream.errors import StackError
from locstream.stacks.frames_in_file import ReadOnlyFile
from locstream.stacks.tiff_structure import IMAGE_DESCRIPTION, TiffStructure, TornChainError

_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")


def check_whole(path: Path) -> int:
    """Return the number of pages of an OME-TIFF, all of them whole.

    Only directories are read, no pixels; memory is some 60 bytes a page.

    Parameters
    ----------
    path
        The finished stack.

    Raises
    ------
    StackError
        The file ends within a page, or holds another number of pages than its OME-XML says.
    """
    file = ReadOnlyFile(path)
    try:
        return _check(path, TiffStructure(file))
    finally:
        file.close()


def _check(path: Path, tiff: TiffStructure) -> int:
    size, pages, announced = tiff.file.size(), 0, None
    try:
        for ifd in tiff.chain():
            if not pages:
                announced = _announced(tiff.text(ifd, IMAGE_DESCRIPTION))
            segments = tiff.segments(ifd)
            if not segments or any(offset + length > size for offset, length in segments):
                raise _refused(path, f"page {pages:,} is not in it as a whole")
            pages += 1
    except TornChainError as torn:
        raise _refused(path, f"{torn}, behind page {pages:,}") from torn
    if announced is None:
        raise _refused(path, "its first page has no OME-XML")
    if pages != announced:
        raise _refused(path, f"it holds {pages:,} pages, and its OME-XML says {announced:,}")
    return pages


def _announced(text: str) -> int | None:
    """Return how many planes OME-XML speaks of, None where the text is none."""
    found = _PIXELS.search(text)
    if found is None:
        return None
    planes = 1
    for axis in "ZCT":
        size = re.search(rf'\bSize{axis}="(\d+)"', found[0])
        if size is None:
            return None
        planes *= int(size[1])
    return planes


def _refused(path: Path, why: str) -> StackError:
    return StackError(
        f"the raw stack {path} is cut short: {why}",
        safe="the file is left as it is, and so are the localizations",
        todo="restore it from where it was copied; `locstream replay` reads the pages that are whole",
    )
