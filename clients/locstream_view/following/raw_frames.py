"""Camera frames of a run: from the raw stack that it records, or from the stack that it replays."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from locstream.bundle.files import RunFiles
from locstream.errors import StackError
from locstream.stacks.frames_in_file import PIXEL_TYPES, ReadOnlyFile
from locstream.stacks.live_page import FRAME_NUMBER, HEADER, complete_pages
from locstream.stacks.open import open_stack
from locstream.stacks.place import stack_file
from locstream.stacks.source import Frame, Image, Stack
from locstream.stacks.tiff_structure import Ifd, TiffStructure
from locstream_view.following.run_files import open_results


class FramesOfRun(Protocol):
    """Frames that were taken already; used from one thread."""

    def newest(self, upto: int) -> Frame | None:
        """Return the newest complete frame whose number is at most `upto`; None where there is none.

        Raises
        ------
        StackError
            The stack cannot be read.
        """

    def close(self) -> None:
        """Close the file. Safe to call twice."""


class Opened(NamedTuple):
    """The frames of a run; or None, and why there are none to be shown."""

    frames: FramesOfRun | None
    why: str


def open_frames(files: RunFiles | None) -> Opened:
    """Return the camera frames of a run.

    Parameters
    ----------
    files
        Its files; None where they are on another computer.

    Raises
    ------
    StackError
        The stack that is replayed or was fitted cannot be opened.
    """
    if files is None:
        return Opened(None, "camera frames: not available here; they are on the acquiring computer")
    if files.live_stack.exists() or files.stack.exists():
        return Opened(RecordedFrames(files), "")
    stack = _stack_of_before(files)
    if stack is None:
        return Opened(None, "camera frames: no raw stack beside the results; recording is off, or it lies elsewhere")
    if not stack.exists():
        return Opened(None, f"camera frames: the stack that was fitted is not there any more ({stack})")
    return Opened(StackFrames(open_stack(stack)), "")


def _stack_of_before(files: RunFiles) -> Path | None:
    """Return the stack that is replayed or was fitted, as the results say; None where frames come from a camera."""
    reader = open_results(files)
    if reader is None:
        return None
    with reader:
        return stack_file(reader.header.source, files.folder)


class StackFrames:
    """Frames of a stack that was there before: its n-th is frame n.

    Parameters
    ----------
    stack
        Belongs to this from now on.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def newest(self, upto: int) -> Frame | None:
        """See `FramesOfRun`."""
        number = min(upto, len(self._stack) - 1)
        return Frame(number, 0.0, self._stack.read(number)) if number >= 0 else None

    def close(self) -> None:
        """Close the stack. Safe to call twice."""
        self._stack.close()


class RecordedFrames:
    """Frames of a raw stack of locstream, also while it grows: found by following the chain of pages from its end.

    Parameters
    ----------
    files
        The files of the run.
    """

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self._file: ReadOnlyFile | None = None
        self._at = 0
        self._number = -1

    def newest(self, upto: int) -> Frame | None:
        """See `FramesOfRun`.

        Raises
        ------
        StackError
            The stack cannot be read, or locstream did not record it.
        """
        if self._file is None and not self._open():
            return None
        assert self._file is not None
        if self._file.size() <= len(HEADER):
            return None
        if self._number > upto:
            self._at, self._number = 0, -1
        tiff = TiffStructure(self._file)
        found: Ifd | None = None
        for ifd, _ in complete_pages(tiff, self._at):
            number = tiff.scalar(ifd, FRAME_NUMBER, -1)
            if number > upto:
                break
            found, self._at, self._number = ifd, ifd.offset, number
        if found is None:
            return None
        return Frame(self._number, 0.0, self._pixels(tiff, found))

    def _open(self) -> bool:
        for path in (self._files.live_stack, self._files.stack):
            if path.exists():
                self._file = ReadOnlyFile(path)
                self._at, self._number = 0, -1
                return True
        return False

    def _pixels(self, tiff: TiffStructure, ifd: Ifd) -> Image:
        page, segments = tiff.page_format(ifd), tiff.segments(ifd)
        if page.bits != 16 or len(segments) != 1:
            raise StackError(f"{tiff.file.path} is not a raw stack of locstream")
        dtype = PIXEL_TYPES["<u2" if tiff.byteorder == "<" else ">u2"]
        return tiff.file.read_image(segments[0][0], page.height, page.width, dtype)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
