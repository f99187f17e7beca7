"""Where the frames of a TIFF file lie, and how many of them are really there."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from locstream.errors import StackError
from locstream.stacks import tiff_structure as tags
from locstream.stacks.frames_in_file import frames_that_fit
from locstream.stacks.tiff_description import pixels_without_pages
from locstream.stacks.tiff_structure import Ifd, PageFormat, TiffStructure, TornChainError

UNCOMPRESSED = 1
_GAP = 16  # bytes that alignment may leave between the pixels and the pages behind them


@dataclass(frozen=True)
class Pages:
    """The complete frames at the head of a TIFF file.

    Parameters
    ----------
    offsets
        Where the pixels of each frame begin, bytes.
    plain
        True where the pixels of every frame lie uncompressed in one piece.
    torn
        How the frames end early, "" where they end properly.
    """

    offsets: Sequence[int]
    plain: bool
    torn: str = ""


def find_frames(tiff: TiffStructure, first: Ifd, page: PageFormat, announced: int | None) -> Pages:
    """Find the pixels of every complete frame.

    Parameters
    ----------
    tiff
        The file.
    first
        Its first page.
    page
        What every page must be like.
    announced
        The number of frames that the file announces, None where it does not.

    Raises
    ------
    StackError
        A page differs from the first.
    """
    pages = _follow_chain(tiff, page)
    if announced is None or len(pages.offsets) >= announced:
        return pages
    return _one_piece(tiff, first, page, pages, announced) or pages


def _follow_chain(tiff: TiffStructure, page: PageFormat) -> Pages:
    offsets, plain, torn = array("q"), page.compression == UNCOMPRESSED, ""
    size = tiff.file.size()
    try:
        for number, ifd in enumerate(tiff.chain()):
            here = tiff.page_format(ifd)
            if here != page:
                raise _unequal_pages(tiff.file.path.name, number, here, page)
            segments = tiff.segments(ifd)
            end = max((start + count for start, count in segments), default=0)
            if end > size:
                size = tiff.file.size()  # the file may have grown since
            if not segments or end > size:
                torn = f"the pixels of page {number} are not all there"
                break
            plain = plain and _is_plain(ifd, segments, page)
            offsets.append(segments[0][0])
    except TornChainError as e:
        torn = str(e)
    return Pages(offsets, plain, torn)


def _unequal_pages(name: str, number: int, here: PageFormat, first: PageFormat) -> StackError:
    def words(page: PageFormat) -> str:
        packed = "" if page.compression == UNCOMPRESSED else f", compression {page.compression}"
        return f"{page.width} × {page.height} px of {page.samples} × {page.bits} bit{packed}"

    return StackError(
        f"page {number} of {name} is {words(here)}, the first page is {words(first)}; all frames must be alike",
        todo="save the frames without thumbnails, overviews and other images",
    )


def _is_plain(ifd: Ifd, segments: list[tuple[int, int]], page: PageFormat) -> bool:
    if tags.STRIP_OFFSETS not in ifd.tags:
        return False
    gapless = all(start + count == follower for (start, count), (follower, _) in itertools.pairwise(segments))
    return gapless and sum(count for _, count in segments) >= page.frame_bytes


def _one_piece(tiff: TiffStructure, first: Ifd, page: PageFormat, pages: Pages, announced: int) -> Pages | None:
    """Return the frames of a file whose pixels all follow on the first page, None if it is not like that.

    Some files have one page only and promise more frames. In others the further pages stand behind
    the pixels (ImageJ, tifffile), and where such a file is cut short they are lost before any frame is.
    """
    start = _first_pixel(tiff, first)
    if start is None or page.compression != UNCOMPRESSED:
        return None
    size = page.frame_bytes
    if any(offset != start + i * size for i, offset in enumerate(pages.offsets)):
        return None
    behind_the_pixels = 0 <= first.next_ifd - (start + announced * size) <= _GAP
    if not (bool(pages.torn) and behind_the_pixels if first.next_ifd else pixels_without_pages(tiff, first)):
        return None
    complete = min(announced, frames_that_fit(tiff.file, start, size)[0])
    if complete <= len(pages.offsets):
        return None
    torn = f"it ends within frame {complete}" if complete < announced else ""
    return Pages(range(start, start + complete * size, size), plain=True, torn=torn)


def _first_pixel(tiff: TiffStructure, first: Ifd) -> int | None:
    tag = first.tags.get(tags.STRIP_OFFSETS)
    try:
        return tiff.values(tag)[0] if tag is not None and tag.length else None
    except TornChainError:
        return None
