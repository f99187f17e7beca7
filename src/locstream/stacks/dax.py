"""The Zhuang laboratory's .dax: bare frames, described in an .inf file beside it."""

from __future__ import annotations

import re
from pathlib import Path

from locstream.errors import StackError
from locstream.stacks.description import Description, whole
from locstream.stacks.frames_in_file import PIXEL_TYPES, open_raw_frames
from locstream.stacks.source import Stack

_LINE = re.compile(r"^\s*([^=]+?)\s*=\s*(.*?)\s*$", re.MULTILINE)
_PAIR = re.compile(r"(\d+)\s*x\s*(\d+)")


def is_dax(path: Path) -> bool:
    """Say whether this is a .dax file; its content is bare pixels and tells nothing."""
    return path.suffix.lower() == ".dax"


def open_dax(path: Path) -> Stack:
    """Open a .dax file by the .inf file beside it.

    The header gives the shape as width × height and positions on the sensor from 1. Every complete
    frame on disk is read, also where the header announces fewer.

    Raises
    ------
    StackError
        There is no .inf file, it does not say what is needed, or there is no complete frame.
    """
    header_path = path.with_suffix(".inf")
    header = _read_header(path, header_path)
    shape = _PAIR.fullmatch(header.get("frame dimensions", ""))
    width, height = (int(shape[1]), int(shape[2])) if shape else (0, 0)
    frames = whole(header.get("number of frames"))
    kind = header.get("data type", "")
    order = ">" if "big endian" in kind else "<" if "little endian" in kind else ""
    if not width or not height or frames is None or not order or not kind.startswith("16 bit"):
        raise StackError(
            f"{header_path.name} must give 'frame dimensions', 'number of frames' and a 'data type' of 16 bit, "
            f"big or little endian; it gives {header.get('frame dimensions')!r}, "
            f"{header.get('number of frames')!r} and {kind!r}",
            todo="correct the lines by hand; they are plain text: frame dimensions = 256 x 256",
        )
    description = _describe(header, header_path.name, width, height)
    return open_raw_frames(
        path,
        description,
        height=height,
        width=width,
        dtype=PIXEL_TYPES[f"{order}u2"],
        announced=frames,
        announced_by=header_path.name,
    )


def _read_header(path: Path, header_path: Path) -> dict[str, str]:
    try:
        text = header_path.read_text("utf-8", "replace")
    except OSError as e:
        raise StackError(
            f"{path.name} holds bare pixels, and {header_path.name}, which describes them, is not to be had: "
            f"{e.strerror}",
            todo=f"copy {header_path.name}, which the camera program wrote beside it, into the same folder",
        ) from e
    return {key.lower(): value for key, value in _LINE.findall(text)}


def _describe(header: dict[str, str], name: str, width: int, height: int) -> Description:
    x, y = whole(header.get("x_start")), whole(header.get("y_start"))
    binning = _PAIR.fullmatch(header.get("binning", ""))
    across, down = (int(binning[1]), int(binning[2])) if binning else (1, 1)
    return Description(
        dialect="dax",
        roi_x=None if x is None else x - 1,
        roi_y=None if y is None else y - 1,
        details={key: value for key, value in header.items() if value},
        warnings=_region_disagreement(header, name, "x", width * across)
        + _region_disagreement(header, name, "y", height * down),
    )


def _region_disagreement(header: dict[str, str], name: str, axis: str, length: int) -> tuple[str, ...]:
    """Say that the region on the sensor has another size than the frames: width and height may be swapped."""
    start, end = whole(header.get(f"{axis}_start")), whole(header.get(f"{axis}_end"))
    if start is None or end is None or end - start + 1 == length:
        return ()
    return (f"{name} gives frames {length} px long in {axis} but a region from {axis} = {start} to {end}",)
