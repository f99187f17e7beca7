"""Fetches files from OMERO: the stack behind an image, or the localizations attached to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.kernel_cache import cache_home
from locstream.omero.server import FileOnServer, Server
from locstream.upload.filer import UnreachableError

BLOCK = 4 * 2**20
LOCALIZATIONS = "_locs.hdf5"
_IMAGE = re.compile(r"(?:Image:)?([1-9]\d*)")


def image_number(text: str) -> int:
    """Return the number in ``Image:12`` or ``12``.

    Raises
    ------
    LocstreamError
        It is neither.
    """
    found = _IMAGE.fullmatch(text)
    if found is None:
        raise LocstreamError(
            f"{text!r} names no image in OMERO", todo="for example Image:12; OMERO.web shows the number"
        )
    return int(found[1])


def fetch(
    server: Server, file: FileOnServer, folder: Path, progress: Callable[[str, int, int], None] = lambda *told: None
) -> Path:
    """Fetch a file into a folder, whole or not at all; return its path. One that is there already stays.

    Parameters
    ----------
    server
        A session.
    file
        Which file.
    folder
        Made where it is missing.
    progress
        Told its name, and how many bytes of how many have arrived.

    Raises
    ------
    UnreachableError
        What arrived is not what the server has.
    LocstreamError
        The disk refuses.
    """
    name = Path(file.name).name
    if name in ("", "..") or "\0" in name:
        raise LocstreamError(
            f"the file {file.name!r} on the server cannot have that name here", todo="download it by hand"
        )
    target = folder / name
    if target.exists():
        return target
    sha1, offset = hashlib.sha1(usedforsecurity=False), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as part, part.open("wb") as copy:
            while offset < file.size and (block := server.read(file.file, offset, min(BLOCK, file.size - offset))):
                copy.write(block)
                sha1.update(block)
                offset += len(block)
                progress(target.name, offset, file.size)
            if offset != file.size or (len(file.sha1) == sha1.digest_size * 2 and file.sha1 != sha1.hexdigest()):
                raise UnreachableError(f"what arrived of {target.name} is not what the server has", todo="try again")
    except OSError as error:
        raise LocstreamError(f"{target} cannot be written: {error.strerror or error}", todo="make room") from error
    return target


def stack_of(server: Server, image: int) -> FileOnServer:
    """Return the file that holds the frames of an image.

    Raises
    ------
    LocstreamError
        There is none, or there are several.
    """
    files = server.files_of(image)
    if len(files) != 1:
        raise LocstreamError(
            f"Image:{image} was imported from {len(files)} files, and one stack is needed",
            todo="download them, and `locstream fit` the folder" if files else "was it imported by OMERO 5 or newer?",
        )
    return files[0]


def localizations_of(server: Server, image: int) -> Path:
    """Fetch the newest localizations attached to an image into the user's cache; return their path.

    Raises
    ------
    LocstreamError
        There are none.
    """
    found = next((file for file in server.attachments_of(image) if file.name.endswith(LOCALIZATIONS)), None)
    if found is None:
        raise LocstreamError(
            f"no localizations are attached to Image:{image}",
            todo=f"`locstream omero process Image:{image}` makes them",
        )
    return fetch(server, found, cache_home() / "omero-files" / f"{found.file}-{found.sha1[:12]}")
