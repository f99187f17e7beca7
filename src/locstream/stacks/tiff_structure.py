"""The skeleton of a TIFF file: header, chain of image file directories (IFDs), tags.

Only what stacks of frames need, and nothing is trusted: an offset that leads out of the file ends
the chain with `TornChainError` instead of an invented page. Classic TIFF and BigTIFF, both byte orders
(TIFF 6.0, Adobe 1992; the BigTIFF proposal, 2007).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from locstream.errors import StackError
from locstream.stacks.frames_in_file import ReadOnlyFile

ByteOrder = Literal["<", ">"]

IMAGE_WIDTH = 256
IMAGE_LENGTH = 257
BITS_PER_SAMPLE = 258
COMPRESSION = 259
PHOTOMETRIC = 262
IMAGE_DESCRIPTION = 270
STRIP_OFFSETS = 273
SAMPLES_PER_PIXEL = 277
ROWS_PER_STRIP = 278
STRIP_BYTE_COUNTS = 279
X_RESOLUTION = 282
Y_RESOLUTION = 283
RESOLUTION_UNIT = 296
SOFTWARE = 305
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325
SAMPLE_FORMAT = 339

ASCII, SHORT, LONG, RATIONAL, LONG8 = 2, 3, 4, 5, 16

# only integers are ever read here: text counts as bytes and a floating-point number as the integer of its bits
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_PAIRS = {5, 10}  # a RATIONAL is two integers

_FIRST_GUESS = 512  # bytes; holds the directory of an ordinary page, so that one read is enough
_MOST_TAGS = 4096


class TornChainError(Exception):
    """The chain of pages leads to a place that holds no page."""


class NoFrameError(StackError):
    """A TIFF file is empty, torn within its first frame, or no TIFF file at all."""


class Tag(NamedTuple):
    """One entry of a directory: type, number of values, and the value itself or the offset where it lies."""

    dtype: int
    length: int
    inline: bytes


class Ifd(NamedTuple):
    """One image file directory.

    Parameters
    ----------
    offset
        Where it begins, bytes.
    tags
        Tag code to entry; of a code that comes twice the first.
    next_at
        Where the offset of the next directory is stored.
    next_ifd
        The offset of the next directory, 0 at the end of the chain.
    """

    offset: int
    tags: dict[int, Tag]
    next_at: int
    next_ifd: int


class PageFormat(NamedTuple):
    """What must be the same in all pages of a stack."""

    width: int
    height: int
    bits: int
    samples: int
    sample_format: int
    compression: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of the uncompressed pixels of a page."""
        return self.width * self.height * self.samples * self.bits // 8


class TiffStructure:
    """The pages of an open TIFF file.

    Parameters
    ----------
    file
        The open file.

    Raises
    ------
    NoFrameError
        The file does not begin as a TIFF file does.
    """

    def __init__(self, file: ReadOnlyFile) -> None:
        self.file = file
        head = file.read(0, 16)
        self.byteorder: ByteOrder = "<" if head[:2] == b"II" else ">"
        if not is_tiff(head):
            raise NoFrameError(f"{file.path.name} is not a TIFF file")
        self.big = head[2:4] in (b"+\0", b"\0+")
        order = self.byteorder
        self._count_format = order + ("Q" if self.big else "H")
        self._entry_format = order + ("HHQ8s" if self.big else "HHI4s")
        self._offset_format = order + ("Q" if self.big else "I")
        self._count_size = struct.calcsize(self._count_format)
        self._entry_size = struct.calcsize(self._entry_format)
        self._offset_size = struct.calcsize(self._offset_format)
        self.first_at = 8 if self.big else 4

    def first_ifd(self) -> int:
        """Return the offset of the first directory, 0 where the file has no page yet."""
        return self._unpack_offset(self.file.read(self.first_at, self._offset_size))

    def chain(self, begin: int = 0) -> Iterator[Ifd]:
        """Give the directories of the main chain in order, from the one at byte `begin` on, 0 for the first.

        Raises
        ------
        TornChainError
            After the last directory that can be read, where the chain leads out of the file, to
            something that is no directory, or back to where it has been.
        """
        seen: set[int] = set()
        offset = begin or self.first_ifd()
        while offset:
            if offset in seen:
                raise TornChainError(f"the chain of pages comes back to byte {offset:,}")
            seen.add(offset)
            ifd = self.read_ifd(offset)
            yield ifd
            offset = ifd.next_ifd

    def read_ifd(self, offset: int) -> Ifd:
        """Return the directory at byte `offset`. Raises `TornChainError` where there is none."""
        data = self.file.read(offset, _FIRST_GUESS)
        if len(data) < self._count_size:
            raise TornChainError(f"the file ends before byte {offset:,}")
        (count,) = struct.unpack_from(self._count_format, data)
        if not 0 < count <= _MOST_TAGS:
            raise TornChainError(f"there is no page at byte {offset:,}")
        entries_end = self._count_size + count * self._entry_size
        if len(data) < entries_end + self._offset_size:
            data = self.file.read(offset, entries_end + self._offset_size)
            if len(data) < entries_end + self._offset_size:
                raise TornChainError(f"the file ends within the page at byte {offset:,}")
        tags: dict[int, Tag] = {}
        entries = struct.iter_unpack(self._entry_format, data[self._count_size : entries_end])
        for code, dtype, value_count, inline in entries:
            tags.setdefault(code, Tag(dtype, value_count, inline))
        next_ifd = self._unpack_offset(data[entries_end : entries_end + self._offset_size])
        return Ifd(offset, tags, offset + entries_end, next_ifd)

    def entry_at(self, ifd: Ifd, code: int) -> int:
        """Return where the directory entry of tag `code` begins, bytes."""
        # in the file's own order: `tags` keeps it, and no directory of ours has a code twice
        return ifd.offset + self._count_size + list(ifd.tags).index(code) * self._entry_size

    def data_at(self, tag: Tag) -> tuple[int, int]:
        """Return where the value of `tag` lies if it is stored apart, and its length, bytes; (0, length) if not."""
        length = self._value_bytes(tag)
        return (0 if length <= self._offset_size else self._unpack_offset(tag.inline)), length

    def values(self, tag: Tag) -> tuple[int, ...]:
        """Return the integers of a tag, two for each RATIONAL. Raises `TornChainError` where the file lacks them."""
        if tag.length == 1 and tag.dtype == SHORT:  # nearly every tag of a page: spare them the detour over numpy
            return struct.unpack_from(self.byteorder + "H", tag.inline)
        if tag.length == 1 and tag.dtype == LONG:
            return struct.unpack_from(self.byteorder + "I", tag.inline)
        if tag.length == 1 and tag.dtype == LONG8 and self.big:
            return struct.unpack_from(self.byteorder + "Q", tag.inline)
        kind = np.dtype(f"{self.byteorder}u{_WIDTHS.get(tag.dtype, 1)}")
        return tuple(np.frombuffer(self.value_bytes(tag), kind).tolist())

    def value_bytes(self, tag: Tag) -> bytes:
        """Return the value of a tag as it lies in the file. Raises `TornChainError` where the file ends before."""
        start, length = self.data_at(tag)
        if not start:
            return tag.inline[:length]
        if start + length > self.file.size():
            raise TornChainError(f"the file ends within a value at byte {start:,}")
        return self.file.read(start, length)

    def scalar(self, ifd: Ifd, code: int, default: int) -> int:
        """Return the first integer of tag `code`, or `default` where the page has no such tag."""
        tag = ifd.tags.get(code)
        return self.values(tag)[0] if tag is not None and tag.length else default

    def text(self, ifd: Ifd, code: int) -> str:
        """Return an ASCII tag as text (UTF-8 is accepted), "" where the page has none or it is cut short."""
        tag = ifd.tags.get(code)
        if tag is None:
            return ""
        try:
            return self.value_bytes(tag).partition(b"\0")[0].decode("utf-8", "replace").strip()
        except TornChainError:
            return ""

    def page_format(self, ifd: Ifd) -> PageFormat:
        """Return shape and pixel type of a page."""
        return PageFormat(
            self.scalar(ifd, IMAGE_WIDTH, 0),
            self.scalar(ifd, IMAGE_LENGTH, 0),
            self.scalar(ifd, BITS_PER_SAMPLE, 1),
            self.scalar(ifd, SAMPLES_PER_PIXEL, 1),
            self.scalar(ifd, SAMPLE_FORMAT, 1),
            self.scalar(ifd, COMPRESSION, 1),
        )

    def segments(self, ifd: Ifd) -> list[tuple[int, int]]:
        """Return (offset, bytes) of each strip or tile of a page, in order."""
        offsets = ifd.tags.get(STRIP_OFFSETS) or ifd.tags.get(TILE_OFFSETS)
        if offsets is None:
            return []
        counts = ifd.tags.get(STRIP_BYTE_COUNTS) or ifd.tags.get(TILE_BYTE_COUNTS)
        places = self.values(offsets)
        if counts is None:  # allowed only for one uncompressed strip, whose length follows from the shape
            return [(places[0], self.page_format(ifd).frame_bytes)]
        return list(zip(places, self.values(counts), strict=False))

    def _value_bytes(self, tag: Tag) -> int:
        return tag.length * _WIDTHS.get(tag.dtype, 1) * (2 if tag.dtype in _PAIRS else 1)

    def _unpack_offset(self, data: bytes) -> int:
        if len(data) < self._offset_size:
            return 0
        return int(struct.unpack_from(self._offset_format, data)[0])


def is_tiff(head: bytes) -> bool:
    """Say whether the first bytes of a file are those of a TIFF or BigTIFF file."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
