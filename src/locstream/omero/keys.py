"""Where the key of a session comes from. Passwords are asked for, used once, and never kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.omero.settings import OmeroSettings
from locstream.upload.state import state_folder

VARIABLE = "LOCSTREAM_OMERO_KEY"
"""Environment variable that may hold a session key."""
_TOKEN = re.compile(r"(?P<key>[^@\s]+)@(?P<host>[^:\s]+)(?::(?P<port>\d+))?\s*")


@dataclass(frozen=True)
class SessionKey:
    """Opens a session that exists.

    Parameters
    ----------
    key
        The secret.
    source
        Where it was found, for people.
    """

    key: str
    source: str

    def __repr__(self) -> str:
        return f"SessionKey(from {self.source})"


def own_key_file(settings: OmeroSettings) -> Path:
    """Return where `locstream omero login` keeps the key for a server."""
    return state_folder() / "omero" / f"{quote(settings.server, safe='')}.key"


def save_key(settings: OmeroSettings, key: str) -> Path:
    """Keep a session key for this user alone; return the file.

    Raises
    ------
    LocstreamError
        The disk refuses.
    """
    path = own_key_file(settings)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(path, overwrite=True) as part:
            part.touch(mode=0o600)
            part.write_text(key + "\n", encoding="ascii")
    except OSError as error:
        raise LocstreamError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def session_keys(settings: OmeroSettings) -> Iterator[SessionKey]:
    """Give the keys that may open a session on the server, the best first; each is read when it is its turn.

    From the environment, from `locstream omero login`, from `omero login`, from `omero_user_token`.

    Parameters
    ----------
    settings
        Which server, and whose sessions where there are several.
    """
    if key := os.environ.get(VARIABLE, "").strip():
        yield SessionKey(key, VARIABLE)
    own = own_key_file(settings)
    if key := _text(own).strip():
        yield SessionKey(key, "`locstream omero login`")
    yield from (SessionKey(key, "`omero login`") for key in _of_omero_login(settings))
    found = _TOKEN.fullmatch(_text(Path.home() / ".omero_user_token" / "token"))
    if found is not None and found["host"] == settings.server:
        yield SessionKey(found["key"], "`omero_user_token`")


def _of_omero_login(settings: OmeroSettings) -> list[str]:
    """Return the keys in the store of the command `omero`, the one used last first."""
    base = os.environ.get("OMERO_USERDIR")
    store = os.environ.get("OMERO_SESSIONDIR") or (Path(base) if base else Path.home() / "omero") / "sessions"
    folders = {Path(store) / quote(name, safe="") for name in (settings.host, settings.server)}
    files = [path for folder in folders for path in folder.glob(f"{settings.user or '*'}/*")]
    keys = [path for path in files if path.is_file() and not path.name.startswith(".")]
    return [path.name for path in sorted(keys, key=lambda path: path.stat().st_mtime, reverse=True)]


def _text(path: Path) -> str:
    """Return what a small file holds; "" where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
