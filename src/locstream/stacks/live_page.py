"""How a page of a live stack lies on disk: a directory, and behind it the pixels in one piece.

Little-endian BigTIFF. Everything is aligned so that the link to the next page, and the entry of the
description, lie inside one page of memory: a write of either happens at once or not at all.
"""

from __future__ import annotations

import struct

from locstream import __version__
from locstream.errors import StackError
from locstream.stacks import tiff_structure as tags
from locstream.stacks.tiff_structure import ASCII, LONG, LONG8, RATIONAL, SHORT, Ifd, TiffStructure

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


def aligned(offset: int) -> int:
    """Return the first place at or behind `offset` where a page, its pixels or a text may begin."""
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def check_ours(tiff: TiffStructure, first: Ifd) -> None:
    """Raise `StackError` unless the first page is one that a live stack begins with."""
    if not (tiff.big and tiff.byteorder == "<" and tiff.text(first, tags.SOFTWARE).startswith(_SOFTWARE)):
        raise StackError(f"{tiff.file.path} was not recorded by locstream; it is left as it is")


def directory(at: int, height: int, width: int, *, first: bool) -> tuple[bytes, int]:
    """Return the directory of a page that begins at byte `at`, and where its link to the next page is.

    The pixels follow on the directory. The number of entries is even, which keeps the link aligned.
    """
    software = f"{_SOFTWARE} {__version__}\0".encode("ascii") if first else b""
    description = _DESCRIPTION if first else b""
    entries = 16 if first else 14
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
    ]
    packed = b"".join(struct.pack("<HHQQ", *field) for field in fields)
    directory = struct.pack("<Q", entries) + packed + bytes(8) + description + software
    return directory.ljust(pixels_at - at, b"\0"), next_at
