"""What is to be shown: a finished or growing file, an endpoint, or whatever runs on this computer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream.stream.endpoints import Endpoints, endpoints, endpoints_of
from locstream.stream.keys import ClientKeys
from locstream.stream.runtime import running
from locstream.upload.settings import default_settings_file

SERVICE = "serve"
"""Name under which the service of a computer is found."""
OMERO = "omero:"
"""Begins the name of an image in OMERO."""


@dataclass(frozen=True)
class FileTarget:
    """A results file, growing or finished."""

    path: Path

    @property
    def files(self) -> RunFiles:
        """The files of the same run, for the raw stack beside it."""
        name = self.path.name
        for end in (".live.h5", "_locs.hdf5"):
            name = name.removesuffix(end)
        return RunFiles(self.path.parent, name)


class Found(NamedTuple):
    """Where a stream is; `acquisition` is the id of a run that ends with its stream, "" of one that is not known."""

    endpoints: Endpoints
    acquisition: str = ""


@dataclass(frozen=True)
class LiveTarget:
    """A stream: of an endpoint, of an acquisition by its name, or of the newest here.

    Parameters
    ----------
    wanted
        Name or id; "" for the newest on this computer.
    endpoint
        Address of the stream where it was given; then nothing is looked for.
    control, history
        Its endpoints for orders, and for what was published before; they go with `endpoint`.
    keys
        For a server that asks for them.
    """

    wanted: str = ""
    endpoint: str = ""
    control: str | None = None
    history: str | None = None
    keys: ClientKeys | None = None

    def look(self) -> Found | None:
        """Return where the stream is that is wanted; None where nothing of that name runs now."""
        if self.endpoint:
            guarded = self.keys is not None
            return Found(endpoints(self.endpoint, self.control, self.history, guarded=guarded))
        for connection in running():
            if self.wanted in ("", connection.name, connection.acquisition):
                return Found(endpoints_of(connection), connection.acquisition)
        return None

    @property
    def words(self) -> str:
        """What is waited for."""
        if self.endpoint:
            return f"a stream at {self.endpoint}"
        return f"an acquisition named {self.wanted}" if self.wanted else "an acquisition on this computer"


Target = FileTarget | LiveTarget


def target_of(text: str) -> Target:
    """Return what a user means by the one argument of ``locstream view``.

    Parameters
    ----------
    text
        "" for the newest acquisition here; an endpoint such as ``tcp://microscope:5555``; a results file, or the
        folder of a run; ``omero:Image:12`` for the localizations attached to an image in OMERO; else the name of an
        acquisition, which may begin later.

    Raises
    ------
    LocstreamError
        A path was meant, and there is no results file.
    """
    if text.startswith(OMERO):
        return FileTarget(_from_omero(text.removeprefix(OMERO)))
    if "://" in text:
        return LiveTarget(endpoint=text)
    path = Path(text)
    if text and path.is_dir():
        return FileTarget(_results_in(path))
    if text and (path.is_file() or path.suffix in (".h5", ".hdf5") or "/" in text):
        if not path.is_file():
            raise LocstreamError(f"there is no file {path}", todo="check the name; a results file ends in _locs.hdf5")
        return FileTarget(path)
    return LiveTarget(wanted=text)


def _from_omero(image: str) -> Path:
    from locstream.omero.command import settings_of
    from locstream.omero.fetch import image_number, localizations_of
    from locstream.omero.filer import open_working_session

    number = image_number(image)
    session = open_working_session(settings_of(default_settings_file()))
    try:
        return localizations_of(session.server, number)
    finally:
        session.close()


def _results_in(folder: Path) -> Path:
    found = sorted([*folder.glob("*.live.h5"), *folder.glob("*_locs.hdf5")], key=lambda p: p.stat().st_mtime)
    if not found:
        raise LocstreamError(
            f"the folder {folder} holds no results file", todo="name a folder with a NAME_locs.hdf5, or the file itself"
        )
    return found[-1]
