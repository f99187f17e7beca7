"""NumPy's .npy files of shape (frames, rows, columns)."""

from __future__ import annotations

from pathlib import Path

from numpy.lib import format as npy_format

from locstream.errors import StackError
from locstream.stacks.description import Description
from locstream.stacks.frames_in_file import PIXEL_TYPES, open_raw_frames
from locstream.stacks.source import Stack


def is_npy(head: bytes) -> bool:
    """Say whether the first bytes of a file are those of a .npy file."""
    return head.startswith(npy_format.MAGIC_PREFIX)


def open_npy(path: Path) -> Stack:
    """Open a .npy file as a stack; nothing in it is ever executed.

    Raises
    ------
    StackError
        It is not an array of uint16 or uint8 of shape (frames, rows, columns) in C order.
    """
    try:
        with path.open("rb") as file:
            read_header = {
                (1, 0): npy_format.read_array_header_1_0,
                (2, 0): npy_format.read_array_header_2_0,
            }[npy_format.read_magic(file)]
            shape, fortran, dtype = read_header(file)
            start = file.tell()
    except (OSError, ValueError, KeyError) as e:
        raise StackError(f"{path.name} is not a .npy file that can be read: {e}") from e
    kind = dtype.str.removeprefix("|")
    if kind not in PIXEL_TYPES or len(shape) != 3 or 0 in shape or fortran:
        layout = "Fortran" if fortran else "C"
        raise StackError(
            f"{path.name} holds {dtype} of shape {shape} in {layout} order",
            todo="save frames as uint16 of shape (frames, rows, columns): numpy.save(path, "
            "numpy.ascontiguousarray(frames, numpy.uint16))",
        )
    frames, height, width = shape
    return open_raw_frames(
        path,
        Description(dialect="npy"),
        height=height,
        width=width,
        dtype=PIXEL_TYPES[kind],
        announced=frames,
        start=start,
    )
