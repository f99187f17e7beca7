"""How a page of a live stack lies on disk: a directory, and behind it the pixels in one piece.

Little-endian BigTIFF. Everything is aligned so that the link to the next page, and the entry of the
description, lie inside one page of memory: a write of either happens at once or not at all.

Each page says which frame it is in two private tags of its own directory, so that number and time are there
whenever the pixels are: ``FRAME_NUMBER``, and ``FRAME_TIME``, ns since the epoch (UTC), 0 where it is not known.
Both are LONG8, a type that every reader of BigTIFF knows and passes over.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from locstream import __version__
from locstream.errors import StackError
from locstream.stacks import tiff_structure as tags
from locstream.stacks.tiff_structure import ASCII, LONG, LONG8, RATIONAL, SHORT, Ifd, TiffStructure, TornChainError

FRAME_NUMBER = 65_110
"""Private tag: the number of the frame, from 0; a number that no page has was dropped by the camera."""

FRAME_TIME = 65_111
"""Private tag: the time of the frame, ns since the epoch (UTC); 0 where it is not known."""

HEADER = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)
"""The first bytes of the file; it has no page yet."""

FIRST_LINK_AT = 8
"""Where the offset of the first page is stored, bytes."""

LINK = struct.Struct("<Q")
"""How the offset of a page is stored."""

_ALIGNMENT = 16
_SOFTWARE = "locstream"
_DESCRIPTION = b"locstream live stack: one page a frame\0"
_ONE = 1 | 1 << 32  # the RATIONAL 1/1
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PageWritten:
    """Where a frame lies.

    Parameters
    ----------
    index
        Page of the file, from 0.
    offset_bytes
        Where its pixels begin, for `locstream.stacks.live.read_page`.
    """

    index: int
    offset_bytes: int


class CompletePage(NamedTuple):
    """A page that is all there: its directory, and where everything it needs ends, bytes."""

    ifd: Ifd
    end: int


def aligned(offset: int) -> int:
    """Return the first place at or behind `offset` where a page, its pixels or a text may begin."""
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def check_ours(tiff: TiffStructure, first: Ifd) -> None:
    """Raise `StackError` unless the first page is one that a live stack begins with."""
    if not (tiff.big and tiff.byteorder == "<" and tiff.text(first, tags.SOFTWARE).startswith(_SOFTWARE)):
        raise StackError(f"{tiff.file.path} was not recorded by locstream; it is left as it is")


def complete_pages(tiff: TiffStructure, begin: int = 0) -> Iterator[CompletePage]:
    """Give the pages that are all there, in order, up to the first that is not.

    Parameters
    ----------
    tiff
        The stack; it may grow meanwhile, what is new then need not be seen.
    begin
        Where the directory of the first page to give begins, bytes; 0 for the first of the file.

    Raises
    ------
    StackError
        The file was not recorded by locstream.
    """
    size = tiff.file.size()
    with contextlib.suppress(TornChainError):
        for count, ifd in enumerate(tiff.chain(begin)):
            parts = [(ifd.next_at, LINK.size), *tiff.segments(ifd), *(tiff.data_at(tag) for tag in ifd.tags.values())]
            end = max(start + length for start, length in parts if start)
            if end > size:
                return
            if not (count or begin):
                check_ours(tiff, ifd)
            yield CompletePage(ifd, end)


def to_ns(time_s: float) -> int:
    """Return a time as it is stored: ns since the epoch, 0 where it is not known (NaN, or before the epoch)."""
    if not 0 <= time_s < 2**63 / _NS:
        return 0
    whole = math.floor(time_s)
    return whole * _NS + round((time_s - whole) * _NS)  # in two parts: their product would not be exact


def from_ns(time_ns: int) -> float:
    """Return a stored time, s since the epoch, to the bit as it was given (from 1971 on); NaN where not known."""
    return time_ns / _NS if time_ns else math.nan


def directory(at: int, height: int, width: int, *, first: bool, number: int = 0, time_ns: int = 0) -> tuple[bytes, int]:
    """Return the directory of a page that begins at byte `at`, and where its link to the next page is.

    The pixels follow on the directory. The number of entries is even, which keeps the link aligned.

    Parameters
    ----------
    at
        Where the page begins, bytes; a multiple of 16.
    height, width
        Shape of the frame, px.
    first
        Whether it is the first page, which says what the file is.
    number, time_ns
        Which frame it is; see `FRAME_NUMBER` and `FRAME_TIME`.
    """
    software = f"{_SOFTWARE} {__version__}\0".encode("ascii") if first else b""
    description = _DESCRIPTION if first else b""
    entries = 18 if first else 16
    next_at = at + 8 + 20 * entries
    description_at = next_at + 8
    software_at = description_at + len(description)
    pixels_at = aligned(software_at + len(software))
    fields = [
        (254, LONG, 1, 0),
        (tags.IMAGE_WIDTH, LONG, 1, width),
        (tags.IMAGE_LENGTH, LONG, 1, height),
        (tags.BITS_PER_SAMPLE, SHORT, 1, 16),
        (tags.COMPRESSION, SHORT, 1, 1),
        (tags.PHOTOMETRIC, SHORT, 1, 1),
        *([(tags.IMAGE_DESCRIPTION, ASCII, len(description), description_at)] if first else []),
        (tags.STRIP_OFFSETS, LONG8, 1, pixels_at),
        (tags.SAMPLES_PER_PIXEL, SHORT, 1, 1),
        (tags.ROWS_PER_STRIP, LONG, 1, height),
        (tags.STRIP_BYTE_COUNTS, LONG8, 1, height * width * 2),
        (tags.X_RESOLUTION, RATIONAL, 1, _ONE),
        (tags.Y_RESOLUTION, RATIONAL, 1, _ONE),
        (tags.RESOLUTION_UNIT, SHORT, 1, 1),
        *([(tags.SOFTWARE, ASCII, len(software), software_at)] if first else []),
        (tags.SAMPLE_FORMAT, SHORT, 1, 1),
        (FRAME_NUMBER, LONG8, 1, number),
        (FRAME_TIME, LONG8, 1, time_ns),
    ]
    packed = b"".join(struct.pack("<HHQQ", *field) for field in fields)
    directory = struct.pack("<Q", entries) + packed + bytes(8) + description + software
    return directory.ljust(pixels_at - at, b"\0"), next_at
