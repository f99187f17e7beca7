"""The newest camera frame from the growing raw stack: found by following the chain of pages from where it ended."""

from __future__ import annotations

from locstream.bundle.files import RunFiles
from locstream.errors import StackError
from locstream.stacks.frames_in_file import PIXEL_TYPES, ReadOnlyFile
from locstream.stacks.live_page import FRAME_NUMBER, HEADER, complete_pages
from locstream.stacks.source import Frame, Image
from locstream.stacks.tiff_structure import Ifd, TiffStructure


class RawFrames:
    """Reads single frames of a raw stack of locstream, also while it grows; use it from one thread.

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
        """Return the newest complete frame whose number is at most `upto`; None where there is none.

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


def why_no_frames(files: RunFiles | None) -> str:
    """Return why there is no camera frame to be shown; "" where there should be one."""
    if files is None:
        return "camera frames: not available here; they are on the acquiring computer"
    if not files.live_stack.exists() and not files.stack.exists():
        return "camera frames: no raw stack beside the results (recording is off, or a stack is replayed)"
    return ""
