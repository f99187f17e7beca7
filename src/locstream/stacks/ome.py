"""Finish a live stack as an OME-TIFF, in place (Linkert et al., J. Cell Biol. 189:777, 2010)."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from locstream.errors import StackError
from locstream.stacks import tiff_structure as tags
from locstream.stacks.disk import disk_trouble, locked, write_at
from locstream.stacks.frames_in_file import ReadOnlyFile
from locstream.stacks.live_page import aligned, check_ours
from locstream.stacks.live_repair import repair_live_stack
from locstream.stacks.ome_xml import StackMetadata, ome_xml
from locstream.stacks.source import SourceInfo
from locstream.stacks.tiff import first_page
from locstream.stacks.tiff_structure import TiffStructure, TornChainError

__all__ = ["StackMetadata", "finalize_ome_tiff"]

_ENTRY_HEAD = 4  # bytes of a directory entry before the number of values and their offset


def finalize_ome_tiff(live: Path, final: Path, info: StackMetadata) -> None:
    """Turn a closed live stack into a valid OME-TIFF and give it its final name; no pixel is copied.

    At every moment one of the two names is a readable stack. Where this has been interrupted it can
    be called again.

    Parameters
    ----------
    live
        The file of `LiveStackWriter`, closed.
    final
        The new name, on the same disk. Readers look for ``.ome.tif`` at its end.
    info
        What to write into it.

    Raises
    ------
    StackError
        There is no frame, the stack is still being written or has another shape, `final` exists, or
        the disk failed. The frames are in `live` then.
    """
    if final.exists():
        raise StackError(f"{final} exists already and is not overwritten", safe=f"the frames are in {live}")
    pages = repair_live_stack(live)
    if not pages:
        raise StackError(f"{live} holds no frame to finish")
    _check_shape(live, info.source)
    _replace_description(live, ome_xml(info, pages))
    try:
        live.replace(final)
    except OSError as e:
        raise StackError(
            f"{live} cannot be renamed to {final}: {e.strerror}", safe=f"the finished stack is {live}"
        ) from e


def _check_shape(live: Path, source: SourceInfo) -> None:
    file = ReadOnlyFile(live)
    try:
        _, page = first_page(TiffStructure(file))
    finally:
        file.close()
    if (page.width, page.height) != (source.width, source.height):
        raise StackError(
            f"{live} holds frames of {page.width} × {page.height} px, its description says "
            f"{source.width} × {source.height} px"
        )


def _replace_description(path: Path, description: bytes) -> None:
    """Give the first page of a closed live stack another ImageDescription, without moving a pixel.

    The text is put behind the last page, waited for, and then linked by one write, so that a kill
    leaves the old description or the new one.
    """
    with locked(path) as fd:
        file = ReadOnlyFile(path)
        try:
            tiff = TiffStructure(file)
            first = next(tiff.chain())
            check_ours(tiff, first)
            entry_at = tiff.entry_at(first, tags.IMAGE_DESCRIPTION)
            text_at = aligned(file.size())
        except (StopIteration, TornChainError) as e:
            raise StackError(f"{path} holds no frame") from e
        finally:
            file.close()
        value = description + b"\0"
        try:
            write_at(fd, value, text_at)
            os.fsync(fd)
            write_at(fd, struct.pack("<QQ", len(value), text_at), entry_at + _ENTRY_HEAD)
            os.fsync(fd)
        except OSError as e:
            raise disk_trouble(e, f"{path} could not be finished", safe=f"every frame is in {path}") from e
