"""Frames that lie uncompressed in a file, each fetched with one positioned read."""

from __future__ import annotations

import bisect
import itertools
import os
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from locstream.errors import StackError
from locstream.stacks.description import Description, count_disagreement
from locstream.stacks.source import Image, SourceInfo, Stack

PixelType = np.dtype[np.uint8] | np.dtype[np.uint16]
"""How pixels lie on disk: uint8 or uint16 of either byte order."""

PIXEL_TYPES: dict[str, PixelType] = {
    "<u2": np.dtype("<u2"),
    ">u2": np.dtype(">u2"),
    "u1": np.dtype("u1"),
}

_LAST_OFFSET = 2**63 - 1  # a damaged file may point beyond what any file can be


class ReadOnlyFile:
    """A file that is read at given positions; it has no position of its own, so readers never disturb each other.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    StackError
        The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise StackError(f"{path} cannot be opened: {e.strerror}") from e
        self._close = weakref.finalize(self, os.close, self._fd)  # also where the last user forgets to

    def size(self) -> int:
        """Return the present length of the file, bytes."""
        return os.fstat(self._open_fd()).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from byte `offset`; fewer only at the end of the file."""
        buffer = bytearray(count)
        got = self._fill(memoryview(buffer), offset)
        return bytes(buffer[:got])

    def read_image(self, offset: int, height: int, width: int, dtype: PixelType) -> Image:
        """Return the frame whose pixels begin at byte `offset`.

        Raises
        ------
        StackError
            The file ends within the frame, or cannot be read.
        """
        pixels = np.empty((height, width), dtype)
        raw = pixels.view(np.uint8).reshape(-1)
        got = self._fill(raw.data, offset)
        if got < raw.nbytes:
            raise StackError(
                f"{self.path.name} ends within the frame at byte {offset:,}: {got:,} of {raw.nbytes:,} bytes are there",
                todo="has the file been shortened or not been copied to its end?",
            )
        return np.ascontiguousarray(pixels, np.uint16)

    def _open_fd(self) -> int:
        if not self._close.alive:
            raise StackError(f"{self.path.name} has been closed already")
        return self._fd

    def _fill(self, buffer: memoryview, offset: int) -> int:
        fd, got = self._open_fd(), 0
        try:
            while got < len(buffer) and offset + got <= _LAST_OFFSET:
                count = os.preadv(fd, [buffer[got:]], offset + got)
                if count == 0:
                    break
                got += count
        except OSError as e:
            raise StackError(f"{self.path} cannot be read at byte {offset + got:,}: {e.strerror}") from e
        return got

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._close()


class FramesInFile:
    """A `Stack` of uncompressed frames at known places in one file.

    Parameters
    ----------
    file
        The open file; it belongs to the stack from here on.
    info
        What is known of the frames; `frames` is the number of offsets.
    offsets
        Where the pixels of each frame begin, bytes from the start of the file.
    dtype
        How the pixels lie on disk.
    """

    def __init__(self, file: ReadOnlyFile, info: SourceInfo, offsets: Sequence[int], dtype: PixelType) -> None:
        self._file = file
        self._info = info
        self._offsets = offsets
        self._dtype = dtype

    @property
    def info(self) -> SourceInfo:
        """Shape, number of frames and what the file says of the camera."""
        return self._info

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._offsets)

    def read(self, index: int) -> Image:
        """Return frame `index` as a fresh array of shape (rows, columns), uint16, ADU.

        Raises
        ------
        StackError
            There is no such frame, or the file has changed and ends within it.
        """
        check_index(index, len(self._offsets), self._file.path)
        return self._file.read_image(self._offsets[index], self._info.height, self._info.width, self._dtype)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._file.close()


class JoinedStacks:
    """A `Stack` whose frames continue from one file to the next.

    Parameters
    ----------
    path
        The file that names the others.
    parts
        The stacks in order, of one frame shape.
    info
        What is known of all of them together.
    """

    def __init__(self, path: Path, parts: Sequence[Stack], info: SourceInfo) -> None:
        self._path = path
        self._parts = parts
        self._info = info
        self._ends = list(itertools.accumulate(len(part) for part in parts))

    @property
    def info(self) -> SourceInfo:
        """Shape, number of frames and what the files say of the camera."""
        return self._info

    def __len__(self) -> int:
        """Return the number of frames in all files together."""
        return self._ends[-1]

    def read(self, index: int) -> Image:
        """Return frame `index`, counted through all files. Raises `StackError` where it cannot be read."""
        check_index(index, len(self), self._path)
        part = bisect.bisect_right(self._ends, index)
        first = self._ends[part - 1] if part else 0
        return self._parts[part].read(index - first)

    def close(self) -> None:
        """Close every file. Safe to call twice."""
        for part in self._parts:
            part.close()


def check_index(index: int, frames: int, path: Path) -> None:
    """Raise `StackError` unless the stack at `path` has a frame `index`, 0 … `frames` - 1."""
    if not 0 <= index < frames:
        raise StackError(f"{path.name} has no frame {index}: it holds {frames} frames, 0 … {frames - 1}")


def frames_that_fit(file: ReadOnlyFile, start: int, frame_bytes: int) -> tuple[int, int]:
    """Count the frames that lie one after the other from byte `start` to the end of the file.

    Returns
    -------
    tuple
        The number of complete frames, and the bytes left over of one that is not.
    """
    return divmod(max(0, file.size() - start), frame_bytes)


def open_raw_frames(
    path: Path,
    description: Description,
    *,
    height: int,
    width: int,
    dtype: PixelType,
    announced: int,
    announced_by: str = "",
    start: int = 0,
) -> FramesInFile:
    """Open a file that is nothing but frames, one after the other. Every complete frame is read.

    Parameters
    ----------
    path
        The file with the pixels.
    description
        What its header says.
    height, width
        Shape of a frame, px.
    dtype
        How the pixels lie on disk.
    announced
        The number of frames in the header.
    announced_by
        Name of the header, where it is a file of its own.
    start
        Where the first frame begins, bytes.

    Raises
    ------
    StackError
        The file cannot be opened or holds no complete frame.
    """
    file = ReadOnlyFile(path)
    frame_bytes = height * width * dtype.itemsize
    frames, rest = frames_that_fit(file, start, frame_bytes)
    if not frames:
        file.close()
        raise StackError(
            f"{path.name} holds no complete frame: one of {width} × {height} px takes {frame_bytes:,} bytes, "
            f"the file has {rest:,}",
        )
    torn = f"of frame {frames} only {rest:,} of {frame_bytes:,} bytes are there" if rest else ""
    warnings = count_disagreement(path.name, announced=announced, complete=frames, torn=torn, announced_by=announced_by)
    info = description.source_info(width=width, height=height, frames=frames, warnings=warnings)
    return FramesInFile(file, info, range(start, start + frames * frame_bytes, frame_bytes), dtype)
