"""Where running acquisitions are found: a private folder with one connection file each.

The folder has mode 0700 and the files 0600, so that who may read them is who may connect.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import msgspec
import psutil

from locstream.errors import LocstreamError, MessageError
from locstream.stream.private_folder import make_private
from locstream.stream.wire import MALFORMED

MAX_PATH_LENGTH = 88
"""A socket's whole path may have 107 bytes on Linux; ours add up to 17 to their folder's."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one running acquisition."""

    acquisition: str
    name: str
    pid: int
    started_s: float
    control: str
    """Endpoint of the control socket."""
    stream: str
    """Endpoint of the localization stream."""
    history: str = ""
    """Endpoint that answers `Fetch`; "" where that is the control socket."""


def runtime_folder() -> Path:
    """Return the private folder for sockets and connection files, made where it is missing.

    ``LOCSTREAM_RUNTIME_DIR`` names it; else ``XDG_RUNTIME_DIR/locstream``; else ``/tmp/locstream-UID``.

    Raises
    ------
    LocstreamError
        The folder belongs to somebody else or is open to others.
    """
    if given := os.environ.get("LOCSTREAM_RUNTIME_DIR"):
        folder = Path(given)
    elif xdg := os.environ.get("XDG_RUNTIME_DIR"):
        folder = Path(xdg) / "locstream"
    else:
        folder = Path(tempfile.gettempdir()) / f"locstream-{os.getuid()}"
    make_private(folder, "sockets", "LOCSTREAM_RUNTIME_DIR")
    if len(str(folder)) > MAX_PATH_LENGTH:
        raise LocstreamError(
            f"the folder for sockets {folder} has a path of {len(str(folder))} characters; a socket's path may have "
            f"{MAX_PATH_LENGTH} at most",
            todo="set LOCSTREAM_RUNTIME_DIR to a folder with a shorter path",
        )
    return folder


def publish_connection(connection: Connection) -> Path:
    """Write the connection file of an acquisition, mode 0600, and return its path."""
    path = runtime_folder() / f"{connection.acquisition}.json"
    draft = path.with_suffix(".tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(connection))
    draft.replace(path)
    return path


def running() -> list[Connection]:
    """Return the acquisitions that run now, newest first; files of dead ones are removed."""
    found: list[Connection] = []
    for path in runtime_folder().glob("*.json"):
        try:
            connection = msgspec.json.decode(path.read_bytes(), type=Connection)
        except FileNotFoundError:
            continue  # it ended between the listing and the reading
        except MALFORMED as error:
            raise MessageError(f"{path} is not a connection file: {error}", todo="remove it") from error
        if psutil.pid_exists(connection.pid):
            found.append(connection)
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            shutil.rmtree(path.parent / connection.acquisition[:8], ignore_errors=True)  # its sockets
    return sorted(found, key=lambda c: c.started_s, reverse=True)


def find(wanted: str | None, *, only: bool = False) -> Connection:
    """Return the acquisition of that name or id, or the newest where `wanted` is None.

    Parameters
    ----------
    wanted
        Name or id.
    only
        Without a name, refuse to choose among several.

    Raises
    ------
    LocstreamError
        Nothing of that name runs, or it is not clear which is meant; the message names what runs.
    """
    here = running()
    if wanted is None and only and len(here) > 1:
        raise LocstreamError(
            f"{len(here)} acquisitions are running: {', '.join(c.name for c in here)}", todo="say which one you mean"
        )
    for connection in here:
        if wanted is None or wanted in (connection.name, connection.acquisition):
            return connection
    names = ", ".join(c.name for c in here) or "nothing"
    subject = "no acquisition is running" if wanted is None else f"no acquisition named {wanted!r} is running"
    raise LocstreamError(
        f"{subject} for this user ({names} found in {runtime_folder()})",
        todo="start one, for example `locstream demo`, and try again",
    )
