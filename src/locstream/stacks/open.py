"""Open whatever holds frames: the format is found by what is in the file, and what cannot be read is named."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from locstream.errors import StackError
from locstream.stacks.dax import is_dax, open_dax
from locstream.stacks.npy import is_npy, open_npy
from locstream.stacks.picasso_raw import is_picasso_raw, open_picasso_raw
from locstream.stacks.source import Stack
from locstream.stacks.tiff import open_tiff
from locstream.stacks.tiff_folder import open_tiff_folder, tiff_files
from locstream.stacks.tiff_structure import is_tiff

PLUGIN_GROUP = "locstream.stacks"
"""Entry point group in which another package offers a `StackFormat`."""

HEAD_BYTES = 512
"""How many bytes of the file a format sees to recognise it."""

_log = logging.getLogger(__name__)


class StackFormat(NamedTuple):
    """One format of stacks.

    Parameters
    ----------
    name
        For the user: "what it is (how it is called on disk)".
    recognises
        From the path and the first `HEAD_BYTES` bytes of the file (b"" of a folder): is it this format?
    open
        From the path to the open stack; raises `StackError` where it cannot be read.
    """

    name: str
    recognises: Callable[[Path, bytes], bool]
    open: Callable[[Path], Stack]


FORMATS = (
    StackFormat("TIFF stacks (.tif, .ome.tif, ImageJ, Micro-Manager)", lambda _, head: is_tiff(head), open_tiff),
    StackFormat(
        "folders of TIFF files, one a frame", lambda path, _: path.is_dir() and bool(tiff_files(path)), open_tiff_folder
    ),
    StackFormat(".npy arrays", lambda _, head: is_npy(head), open_npy),
    StackFormat(".dax with its .inf", lambda path, _: is_dax(path), open_dax),
    StackFormat("Picasso .raw with its .yaml", lambda path, _: is_picasso_raw(path), open_picasso_raw),
)
"""The formats that are read, in the order in which they are tried."""

_KNOWN_OTHERS = (
    (b"\xac\xed\x00\x05", "a serialised Java object"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"MATLAB", "a MATLAB file"),
    (b"ZISRAWFILE", "a Zeiss .czi file"),
    (b"\xda\xce\xbe\x0a", "a Nikon .nd2 file"),
    (b"\x70\x00\x00\x00", "a Leica .lif file"),
    (b"RIFF", "an AVI film"),
    (b"%PDF", "a PDF document"),
)


def open_stack(path: Path) -> Stack:
    """Open a file or a folder as a stack of frames.

    Parameters
    ----------
    path
        A file of one of the `FORMATS`, a folder with one TIFF file for each frame, or whatever a
        plug-in of the entry point group ``locstream.stacks`` recognises.

    Returns
    -------
    Stack
        Frames of shape (rows, columns), uint16, ADU. `info.warnings` says what in the input does not
        agree with itself; every frame that is complete is read.

    Raises
    ------
    StackError
        There is nothing at `path`, it is of no format that can be read, or it holds no frame.
    """
    head = _head(path)
    for stack_format in FORMATS:
        if stack_format.recognises(path, head):
            return stack_format.open(path)
    plugins, broken = _plugins()
    for stack_format in plugins:
        if stack_format.recognises(path, head):
            return stack_format.open(path)
    names = [stack_format.name for stack_format in (*FORMATS, *plugins)]
    raise StackError(
        f"{path} is no stack of frames: it is {_what_it_is(path, head)}" + "".join(f"\n  {b}" for b in broken),
        todo="what can be read: " + "; ".join(names),
    )


def _head(path: Path) -> bytes:
    """Return the first bytes of a file, b"" of a folder."""
    try:
        if path.is_dir():
            return b""
        if not path.exists():
            parent = next((p for p in path.parents if p.exists()), path)
            raise StackError(f"there is nothing at {path}", todo=f"check the name; {parent} is there")
        if not path.is_file():
            raise StackError(f"{path} is neither a file nor a folder")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as e:
        raise StackError(f"{path} cannot be opened: {e.strerror}") from e
    if not head:
        raise StackError(f"{path} is empty", todo="has it been copied to its end?")
    return head


def _plugins() -> tuple[list[StackFormat], list[str]]:
    """Return the formats of other packages, and a sentence for each that is broken (also logged)."""
    formats: list[StackFormat] = []
    broken: list[str] = []
    for point in entry_points(group=PLUGIN_GROUP):
        try:
            loaded = point.load()
        except Exception as e:  # noqa: BLE001 - another package's code may raise anything; the user is told, and opens other stacks
            broken.append(f"the plug-in {point.name} ({point.value}) cannot be loaded: {type(e).__name__}: {e}")
            continue
        if isinstance(loaded, StackFormat):
            formats.append(loaded)
        else:
            broken.append(f"the plug-in {point.name} ({point.value}) is no StackFormat but {type(loaded).__name__}")
    for sentence in broken:
        _log.warning(sentence)
    return formats, broken


def _what_it_is(path: Path, head: bytes) -> str:
    if path.is_dir():
        return _what_a_folder_holds(path)
    for magic, name in _KNOWN_OTHERS:
        if head.startswith(magic):
            return name
    try:
        line = head[: HEAD_BYTES - 4].decode("utf-8").splitlines()[0].strip()  # a cut character may end the head
    except (UnicodeDecodeError, IndexError):
        line = ""
    if line and line.isprintable():
        return f"text that begins with {line[:60]!r}"
    return f"of an unknown format (it begins with the bytes {head[:8].hex(' ')})"


def _what_a_folder_holds(path: Path) -> str:
    with_frames = sorted(p.name for p in path.iterdir() if p.is_dir() and tiff_files(p))
    if with_frames:
        return f"a folder without frames of its own; {', '.join(with_frames[:5])} in it hold some: open one of them"
    kinds = Counter(p.suffix or "no extension" for p in path.iterdir() if p.is_file())
    found = ", ".join(f"{n} × {kind}" for kind, n in kinds.most_common(5)) or "nothing"
    return f"a folder without frames; it holds {found}"
