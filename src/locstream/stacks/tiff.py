"""TIFF stacks: plain, OME-TIFF, ImageJ, Micro-Manager and MetaMorph, classic and BigTIFF, of either byte order.

The pages that are really in the file decide what is read. What the descriptions announce is held
against them, and a disagreement is said, because files are cut short, renamed and split.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile

from locstream.errors import StackError
from locstream.stacks import tiff_structure as tags
from locstream.stacks.description import Description, count_disagreement
from locstream.stacks.frames_in_file import PIXEL_TYPES, FramesInFile, JoinedStacks, ReadOnlyFile, check_index
from locstream.stacks.source import Image, SourceInfo, Stack
from locstream.stacks.tiff_description import describe_tiff
from locstream.stacks.tiff_pages import Pages, find_frames
from locstream.stacks.tiff_structure import Ifd, NoFrameError, PageFormat, TiffStructure, TornChainError

_WHITE_IS_ZERO = 0
_COLOUR = {2, 5, 6, 8, 32803}  # RGB, CMYK, YCbCr, CIELab, colour filter array
_IMAGE_DEPTH = 32997
_LONGEST_SIDE = 65_536  # px; what is beyond these two comes of damage, and unpacking it would take forever
_TIGHTEST_PACKING = 10_000  # bytes from one; a black frame is packed a thousand times
_SAMPLE_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}
_DECODING_ERRORS = (
    # everything that a decoder has been seen to raise on damaged pages; ArithmeticError: strips of no rows
    tifffile.TiffFileError, ArithmeticError, AttributeError, ImportError, LookupError, MemoryError, OSError,
    RuntimeError, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


def open_tiff(path: Path) -> Stack:
    """Open a TIFF file as a stack of frames.

    Parameters
    ----------
    path
        The file; any one of the files where an OME-TIFF is spread over several.

    Returns
    -------
    Stack
        Frames of shape (rows, columns), uint16, ADU; 8-bit pixels are widened, not scaled.

    Raises
    ------
    StackError
        The pixels are no unsigned 8- or 16-bit grey values, the pages differ in shape, there is more
        than one axis beside rows and columns, or there is no complete frame.
    """
    with contextlib.ExitStack() as unless_opened:
        file = ReadOnlyFile(path)
        unless_opened.callback(file.close)
        tiff = TiffStructure(file)
        first, page = first_page(tiff)
        description = describe_tiff(tiff, first)
        announced = description.announced_frames(path.name)
        warnings = _oddities(tiff, first, description)
        if description.files:
            return _open_set(path, page, description, announced, warnings)
        pages = find_frames(tiff, first, page, announced)
        frames = len(pages.offsets)
        if not frames:
            raise NoFrameError(f"{path.name} holds no complete frame: {pages.torn}")
        warnings += count_disagreement(path.name, announced=announced, complete=frames, torn=pages.torn)
        warnings += _unnamed_continuation(path)
        info = description.source_info(width=page.width, height=page.height, frames=frames, warnings=warnings)
        stack = _stack_of(tiff, page, pages, info)
        unless_opened.pop_all()
    return stack


def first_page(tiff: TiffStructure) -> tuple[Ifd, PageFormat]:
    """Return the first page of a TIFF file and what it is like.

    Raises
    ------
    NoFrameError
        There is no page, or none that can be true.
    StackError
        Its pixels are no grey values of unsigned 8 or 16 bits.
    """
    name = tiff.file.path.name
    if not tiff.first_ifd():
        raise NoFrameError(f"{name} is a TIFF file without a page")
    try:
        first = tiff.read_ifd(tiff.first_ifd())
        page = tiff.page_format(first)
        photometric = tiff.scalar(first, tags.PHOTOMETRIC, 1)
        depth = tiff.scalar(first, _IMAGE_DEPTH, 1)
    except TornChainError as e:
        raise NoFrameError(f"{name} holds no complete frame: {e}") from e
    if page.samples != 1 or photometric in _COLOUR:
        raise StackError(
            f"{name} is a colour image ({page.samples} samples a pixel), not the frames of a camera",
            todo="save the one channel that shows the molecules as a grey stack",
        )
    if page.sample_format != 1 or page.bits not in (8, 16):
        kind = _SAMPLE_KINDS.get(page.sample_format, "numbers of an unknown kind")
        raise StackError(
            f"the pixels of {name} are {page.bits}-bit {kind}; the counts of a camera are unsigned, 8 or 16 bits",
            todo="use the camera's own file; a stack that has been processed cannot be calibrated any more",
        )
    if depth > 1:
        raise StackError(f"{name} holds volumes, not frames", todo="save it with one page for each frame")
    sides_fit = 0 < page.width <= _LONGEST_SIDE and 0 < page.height <= _LONGEST_SIDE
    if not sides_fit or page.frame_bytes > _TIGHTEST_PACKING * tiff.file.size():
        raise NoFrameError(
            f"{name} says its frames are {page.width} × {page.height} px, which its {tiff.file.size():,} bytes "
            "cannot hold: it is damaged"
        )
    return first, page


def _oddities(tiff: TiffStructure, first: Ifd, description: Description) -> tuple[str, ...]:
    name = tiff.file.path.name
    sentences: tuple[str, ...] = ()
    if tiff.scalar(first, tags.PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        sentences += (f"{name} says that 0 is white; its numbers are read as they are",)
    if (channels := description.axes.get("channels", 1)) > 1:
        sentences += (f"{name} calls its {channels} frames channels; they are read as time",)
    return sentences


def _stack_of(tiff: TiffStructure, page: PageFormat, pages: Pages, info: SourceInfo) -> Stack:
    if not pages.plain:
        tiff.file.close()
        return DecodedTiff(tiff.file.path, info)
    dtype = PIXEL_TYPES["u1" if page.bits == 8 else f"{tiff.byteorder}u2"]
    return FramesInFile(tiff.file, info, pages.offsets, dtype)


def _open_set(
    path: Path, page: PageFormat, description: Description, announced: int | None, warnings: tuple[str, ...]
) -> Stack:
    """Open an OME-TIFF that is spread over several files beside each other."""
    parts: list[Stack] = []
    with contextlib.ExitStack() as unless_opened:
        for name in description.files:
            if not path.with_name(name).exists():
                warnings += (f"{name}, one of the {len(description.files)} files of the stack, is missing",)
                continue
            file = ReadOnlyFile(path.with_name(name))
            unless_opened.callback(file.close)
            tiff = TiffStructure(file)
            pages = find_frames(tiff, first_page(tiff)[0], page, None)
            warnings += count_disagreement(name, announced=None, complete=len(pages.offsets), torn=pages.torn)
            if pages.offsets:
                info = Description().source_info(width=page.width, height=page.height, frames=len(pages.offsets))
                parts.append(_stack_of(tiff, page, pages, info))
                unless_opened.callback(parts[-1].close)
        if not parts:
            raise StackError(f"none of the files {', '.join(description.files)} holds a complete frame")
        unless_opened.pop_all()
    frames = sum(len(part) for part in parts)
    warnings += count_disagreement(path.name, announced=announced, complete=frames)
    info = description.source_info(width=page.width, height=page.height, frames=frames, warnings=warnings)
    return JoinedStacks(path, parts, replace(info, details={**info.details, "Files": ", ".join(description.files)}))


def _unnamed_continuation(path: Path) -> tuple[str, ...]:
    """Say that Micro-Manager went on in a second file, which the first does not know of when it was cut short."""
    match = re.fullmatch(r"(.*_(?:MM|NDTiff)Stack.*?)((?:\.ome)?\.tiff?)", path.name)
    second = path.with_name(f"{match[1]}_1{match[2]}") if match else None
    if second is None or not second.exists():
        return ()
    return (f"the acquisition goes on in {second.name}, which {path.name} does not name: open that by itself",)


class DecodedTiff:
    """A `Stack` of TIFF pages that have to be unpacked: compressed, tiled, or in scattered strips.

    Parameters
    ----------
    path
        The file.
    info
        What is known of the frames.

    Raises
    ------
    StackError
        The first frame cannot be decoded.
    """

    def __init__(self, path: Path, info: SourceInfo) -> None:
        self._path = path
        self._info = info
        try:
            self._tiff = tifffile.TiffFile(path)
        except _DECODING_ERRORS as e:
            raise StackError(f"{path.name} cannot be read: {e}") from e
        try:
            self.read(0)
        except StackError:
            self.close()
            raise

    @property
    def info(self) -> SourceInfo:
        """Shape, number of frames and what the file says of the camera."""
        return self._info

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._info.frames or 0

    def read(self, index: int) -> Image:
        """Return frame `index` as a fresh array. Raises `StackError` where it cannot be decoded."""
        check_index(index, len(self), self._path)
        if self._tiff.filehandle.closed:
            raise StackError(f"{self._path.name} has been closed already")
        try:
            pixels = self._tiff.pages[index].asarray().reshape(self._info.height, self._info.width)
        except _DECODING_ERRORS as e:
            raise StackError(
                f"frame {index} of {self._path.name} cannot be unpacked: {e}",
                todo="save the stack uncompressed, or install the package imagecodecs",
            ) from e
        return np.array(pixels, np.uint16, order="C")

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._tiff.close()
