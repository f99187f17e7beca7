"""Clearing the mark "open for writing" that a killed writer leaves in its file, and the end it may not have reached.

HDF5's own message suggests ``h5clear -s``, which cuts the file off where the superblock says it
ends: after a kill that has destroyed all data. Here the end is set to the file's real length first.

Superblock, versions 2 and 3 (HDF5 file format specification 3.0, II.A): byte 8 version, 9 size of
offsets, 11 consistency flags, 28–35 end of file, 44–47 Jenkins' lookup3 checksum of bytes 0–43.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from locstream.errors import ResultsError
from locstream.results.lock import WriterLock

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LENGTH = 48
_MASK = 0xFFFFFFFF


def repair(live: Path) -> bool:
    """Make a live file whose writer was killed open like any other. Rows and frames are not touched.

    Parameters
    ----------
    live
        ``NAME.live.h5``.

    Returns
    -------
    bool
        True where the file was changed; False where it had been closed as it should, or was repaired before.

    Raises
    ------
    FileInUseError
        Its writer lives.
    ResultsError
        It is no such file, or its superblock is damaged.
    """
    with WriterLock(live):
        return clear_flags(live)


def clear_flags(path: Path) -> bool:
    """Do what `repair` does; the caller holds the lock."""
    try:
        with path.open("r+b") as file:
            block = bytearray(file.read(_LENGTH))
            _check(path, block)
            length = os.fstat(file.fileno()).st_size
            (end,) = struct.unpack_from("<Q", block, 28)
            if block[11] == 0 and end <= length:
                return False
            block[11] = 0
            struct.pack_into("<Q", block, 28, length)
            struct.pack_into("<I", block, 44, lookup3(bytes(block[:44])))
            file.seek(0)
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
            return True
    except OSError as error:
        raise ResultsError(f"{path} cannot be repaired: {error.strerror}", safe="the file as it was") from error


def _check(path: Path, block: bytearray) -> None:
    if len(block) < _LENGTH or block[:8] != SIGNATURE:
        raise ResultsError(f"{path} is not an HDF5 file", todo="it was not written by locstream; leave it alone")
    if block[8] not in (2, 3) or block[9] != 8:
        raise ResultsError(f"{path} has an HDF5 superblock of version {block[8]}; locstream writes version 3")
    (stored,) = struct.unpack_from("<I", block, 44)
    if stored != lookup3(bytes(block[:44])):
        raise ResultsError(
            f"the superblock of {path} is damaged: its checksum is wrong",
            safe="the file as it is",
            todo="keep the file; the localizations can be fitted again from the stack",
        )


def lookup3(data: bytes) -> int:
    """Return Jenkins' hashlittle of `data`, initial value 0: the checksum of HDF5 metadata (lookup3.c, 2006)."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    blocks = max(len(data) - 1, 0) // 12  # the last one is mixed differently, even where it is full
    for position in range(0, 12 * blocks, 12):
        x, y, z = struct.unpack_from("<3I", data, position)
        a, b, c = _mix((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)
    tail = data[12 * blocks :]
    if not tail:
        return c
    x, y, z = struct.unpack("<3I", tail.ljust(12, b"\0"))
    return _final((a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK)


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _rotate(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, bits)) & _MASK
        a, b, c = b, c, a
    return b
