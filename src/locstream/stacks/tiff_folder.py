"""A folder with one TIFF file for each frame: Micro-Manager's separate images, or any numbered files."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from locstream.errors import StackError
from locstream.stacks.description import Description, count_disagreement
from locstream.stacks.frames_in_file import ReadOnlyFile, check_index
from locstream.stacks.micromanager import describe_micromanager, json_object
from locstream.stacks.source import Image, SourceInfo, Stack
from locstream.stacks.tiff import first_page, open_tiff
from locstream.stacks.tiff_description import describe_tiff
from locstream.stacks.tiff_pages import find_frames
from locstream.stacks.tiff_structure import NoFrameError, PageFormat, TiffStructure

_NUMBER = re.compile(r"\d+")
_MM_FRAME_KEYS = r"(?:FrameKey-\d+-\d+-\d+|Metadata-[^\"]*)"
_MOST_NAMED = 5
_ONE_SERIES = "put the frames of one channel and one position into a folder of their own"


class _File(NamedTuple):
    number: int
    path: Path


def tiff_files(folder: Path) -> list[Path]:
    """Return the TIFF files directly in a folder, by name; hidden files are no frames.

    Raises
    ------
    StackError
        The folder cannot be listed.
    """
    try:
        names = list(folder.iterdir())
    except OSError as e:
        raise StackError(f"{folder} cannot be read: {e.strerror}") from e
    return sorted(p for p in names if p.suffix.lower() in (".tif", ".tiff") and not p.name.startswith("."))


def open_tiff_folder(folder: Path) -> Stack:
    """Open a folder of single-frame TIFF files as a stack, in the order of the numbers in their names.

    A frame's index is its place in that order. Numbers that are missing and files that are cut short
    leave no gap in the index; they are named in the warnings.

    Parameters
    ----------
    folder
        The folder. Micro-Manager's metadata.txt is used as far as it goes.

    Raises
    ------
    StackError
        The names are of several series (channels, positions), the frames differ in shape, or no file
        holds a frame.
    """
    files = _numbered(folder)
    good: list[Path] = []
    bad: list[str] = []
    page: PageFormat | None = None
    own = Description()
    for file in files:
        try:
            here, described = _only_page(file.path)
        except NoFrameError as e:
            bad.append(e.what)
            continue
        if page is None:
            page, own = here, described
        if (here.width, here.height, here.bits) != (page.width, page.height, page.bits):
            raise StackError(
                f"{file.path.name} is {here.width} × {here.height} px of {here.bits} bit, the frames before it are "
                f"{page.width} × {page.height} px of {page.bits} bit; all frames must be alike",
                todo="keep one movie only in the folder",
            )
        good.append(file.path)
    if page is None:
        raise StackError(f"none of the {len(files)} TIFF files in {folder} holds a frame: {bad[0]}")
    description = _with_metadata(folder, good[0], own)
    announced = max(description.axes.values(), default=None)
    warnings = _left_out(bad) + _gaps(folder, files)
    warnings += count_disagreement(folder.name, announced=announced, complete=len(good), announced_by="its metadata")
    info = description.source_info(width=page.width, height=page.height, frames=len(good), warnings=warnings)
    return FolderStack(folder, good, info)


class FolderStack:
    """A `Stack` with one TIFF file for each frame; a file is opened for the time it is read.

    Parameters
    ----------
    folder
        The folder, for messages.
    paths
        The file of each frame.
    info
        What is known of the frames.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], info: SourceInfo) -> None:
        self._folder = folder
        self._paths = paths
        self._info = info

    @property
    def info(self) -> SourceInfo:
        """Shape, number of frames and what the files say of the camera."""
        return self._info

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._paths)

    def read(self, index: int) -> Image:
        """Return frame `index` as a fresh array. Raises `StackError` where its file has gone or changed."""
        check_index(index, len(self._paths), self._folder)
        frame = open_tiff(self._paths[index])
        try:
            image = frame.read(0)
        finally:
            frame.close()
        if image.shape != (self._info.height, self._info.width):
            raise StackError(f"{self._paths[index].name} has changed its shape since the folder was opened")
        return image

    def close(self) -> None:
        """Do nothing: no file is kept open."""


def _numbered(folder: Path) -> list[_File]:
    """Return the files of the one series in a folder, sorted by the number that counts its frames.

    All names must be alike but for their numbers. One number may vary, or several of which each is
    different in every file (a count and a time stamp, say); the first of them is the frame number. A
    number that varies but comes again tells channels, planes or positions apart.
    """
    paths = tiff_files(folder)
    if not paths:
        raise StackError(f"{folder} holds no TIFF file")
    series = Counter(_NUMBER.sub("#", path.stem) for path in paths)
    if len(series) > 1:
        found = ", ".join(f"{name} ({count} files)" for name, count in series.most_common(_MOST_NAMED))
        raise StackError(f"{folder.name} holds {len(series)} series of images: {found}", todo=_ONE_SERIES)
    rows = [[int(number) for number in _NUMBER.findall(path.stem)] for path in paths]
    columns = [column for column in zip(*rows, strict=True) if len(set(column)) > 1]
    if any(len(set(column)) < len(paths) for column in columns) or (len(paths) > 1 and not columns):
        raise StackError(
            f"the names in {folder.name}, {paths[0].name} … {paths[-1].name}, count more than frames: they are of "
            f"several channels, planes or positions",
            todo=_ONE_SERIES,
        )
    numbers = columns[0] if columns else (0,)
    return sorted(_File(number, path) for number, path in zip(numbers, paths, strict=True))


def _only_page(path: Path) -> tuple[PageFormat, Description]:
    """Return what the one frame in a file is like, and what the file says of it.

    Raises
    ------
    NoFrameError
        There is no complete frame.
    StackError
        There are several, or it is no grey image.
    """
    file = ReadOnlyFile(path)
    try:
        tiff = TiffStructure(file)
        first, page = first_page(tiff)
        description = describe_tiff(tiff, first)
        pages = find_frames(tiff, first, page, description.announced_frames(path.name))
    finally:
        file.close()
    if not pages.offsets:
        raise NoFrameError(f"{path.name} holds no complete frame: {pages.torn}")
    if len(pages.offsets) > 1:
        raise StackError(
            f"{path.name} holds {len(pages.offsets)} frames; a folder of frames has one in each file",
            todo=f"open {path.name} itself",
        )
    return page, description


def _with_metadata(folder: Path, first: Path, own: Description) -> Description:
    """Return what Micro-Manager's metadata file and the first image say; the axes only of the former."""
    notes = sorted(folder.glob("*metadata.txt"))
    text = notes[0].read_text("utf-8", "replace") if notes else ""
    noted = describe_micromanager(json_object(text, "Summary"), json_object(text, _MM_FRAME_KEYS))
    both = noted.completed_by(own)
    details = {**both.details, "First file": first.name}
    return replace(both, dialect="folder of TIFF files", axes=noted.axes, details=details)


def _left_out(bad: Sequence[str]) -> tuple[str, ...]:
    if not bad:
        return ()
    named = "; ".join(bad[:_MOST_NAMED]) + (" …" if len(bad) > _MOST_NAMED else "")
    return (f"files without a complete frame are left out ({len(bad)}): {named}",)


def _gaps(folder: Path, files: Sequence[_File]) -> tuple[str, ...]:
    """Say which numbers are missing; numbers that go up in even steps miss none."""
    numbers = [file.number for file in files]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    step = math.gcd(*steps)
    gaps = [(a, b) for a, b in itertools.pairwise(numbers) if b - a > step]
    missing = sum((b - a) // step - 1 for a, b in gaps)
    if not missing:
        return ()
    named = ", ".join(str(a + step) if b - a == 2 * step else f"{a + step} … {b - step}" for a, b in gaps[:_MOST_NAMED])
    more = " and more" if len(gaps) > _MOST_NAMED else ""
    return (f"{folder.name} has no frame numbered {named}{more} ({missing} missing); the others are read in order",)
