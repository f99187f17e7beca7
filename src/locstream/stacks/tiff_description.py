"""What the first page of a TIFF file says of the stack, in whichever dialect it was written."""

from __future__ import annotations

import struct

from locstream.stacks import tiff_structure as tags
from locstream.stacks.description import Description
from locstream.stacks.imagej import describe_imagej, is_imagej
from locstream.stacks.micromanager import describe_micromanager, json_object
from locstream.stacks.ome_description import describe_ome, is_ome
from locstream.stacks.tiff_structure import Ifd, TiffStructure, TornChainError

_MM_FRAME = 51123  # JSON of the frame
_MM_SUMMARY_AT, _MM_SUMMARY_MARK = 32, 2355492
_METAMORPH_PLANES = 33629  # has one entry for each plane


def describe_tiff(tiff: TiffStructure, first: Ifd) -> Description:
    """Return what the first page of a TIFF file says of the stack.

    Raises
    ------
    StackError
        The description is of something that is no stack of frames.
    """
    text = tiff.text(first, tags.IMAGE_DESCRIPTION)
    software = tiff.text(first, tags.SOFTWARE)
    rest = Description(dialect="TIFF", details={"Software": software} if software else {})
    if (summary := _micromanager_summary(tiff)) or _MM_FRAME in first.tags:
        rest = describe_micromanager(summary, json_object(tiff.text(first, _MM_FRAME))).completed_by(rest)
    if is_ome(text):
        return describe_ome(text, tiff.file.path.name).completed_by(rest)
    if is_imagej(text):
        return describe_imagej(text, _pixels_per_unit(tiff, first)).completed_by(rest)
    if text.startswith('{"shape"'):
        return Description(axes=_tifffile_axes(text)).completed_by(rest)
    if _METAMORPH_PLANES in first.tags:
        planes = first.tags[_METAMORPH_PLANES].length
        return Description(dialect="MetaMorph stack", axes={"planes": planes}).completed_by(rest)
    return rest


def pixels_without_pages(tiff: TiffStructure, first: Ifd) -> bool:
    """Say whether the file is of a kind that holds many frames under its one page, all pixels in one piece.

    ImageJ writes stacks above 4 GB so, tifffile on demand, and MetaMorph always.
    """
    text = tiff.text(first, tags.IMAGE_DESCRIPTION)
    return is_imagej(text) or '"truncated": true' in text or _METAMORPH_PLANES in first.tags


def _micromanager_summary(tiff: TiffStructure) -> dict[str, object]:
    """Return the summary that Micro-Manager puts between the header and the first page, {} without one."""
    head = tiff.file.read(_MM_SUMMARY_AT, 8)
    if tiff.big or len(head) < 8:
        return {}
    mark, length = struct.unpack(tiff.byteorder + "II", head)
    if mark != _MM_SUMMARY_MARK or length > tiff.file.size():
        return {}
    return json_object(tiff.file.read(_MM_SUMMARY_AT + 8, length).decode("utf-8", "replace"))


def _pixels_per_unit(tiff: TiffStructure, first: Ifd) -> float | None:
    tag = first.tags.get(tags.X_RESOLUTION)
    try:
        numerator, denominator = tiff.values(tag)[:2] if tag is not None else (0, 1)
    except (TornChainError, ValueError):
        return None
    return numerator / denominator if denominator else None


def _tifffile_axes(text: str) -> dict[str, int]:
    shape = json_object(text).get("shape")
    lengths = shape[:-2] if isinstance(shape, list) else []
    return {f"axis {i}": n for i, n in enumerate(lengths) if isinstance(n, int)}
