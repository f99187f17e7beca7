"""OMERO as a place where finished runs go: a `locstream.upload.filer.Filer`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from locstream.bundle.bundle import Bundle
from locstream.errors import ConfigError, LocstreamError
from locstream.omero import client_library
from locstream.omero.filing import Filing
from locstream.omero.preflight import examine
from locstream.omero.server import Open, Session
from locstream.omero.settings import OmeroSettings
from locstream.omero.trouble import QUEUED, SessionLostError
from locstream.settings import what_is_wrong
from locstream.upload.filer import Check, Progress, UnreachableError

KEEP_EVERY_S = 300.0
"""Half of the time after which a server ends an idle session."""
LOST_IN_A_ROW = 3
"""So many sessions that die without a byte sent make a server that cannot be reached."""


def open_working_session(settings: OmeroSettings) -> Session:
    """Open a session; the library is loaded here for the first time."""
    client_library.use()
    from locstream.omero.session import WorkingSession  # only now: it needs the library

    return WorkingSession(settings)


class OmeroFiler:
    """Files runs in OMERO; see `locstream.upload.filer.Filer`.

    The session stays open between runs, and is kept alive. One that dies is replaced, and the work goes on.

    Parameters
    ----------
    settings
        Which server, where in it, and what.
    open_session
        Opens a session.
    clock
        Seconds, of any origin.
    """

    def __init__(
        self,
        settings: OmeroSettings,
        open_session: Open = open_working_session,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._open, self._clock = settings, open_session, clock
        self._kept_s = float("-inf")
        self._session: Session | None = None
        self._arrived = 0

    def preflight(self) -> list[Check]:
        """Look at library, certificate, login, group, right to link, room and tables; nothing is changed."""
        return list(examine(self._settings, self._open))

    def idle(self) -> None:
        """Keep the session alive while nothing is to be filed, so that it is there when something is."""
        if self._clock() - self._kept_s < KEEP_EVERY_S:
            return
        self._kept_s = self._clock()
        try:
            self._live().keep()
        except LocstreamError:  # told when a run is to be filed, with what to do
            self.close()

    def file(self, bundle: Bundle, progress: Progress) -> str:
        """Do what is missing; return the address of both images in OMERO.web."""
        lost, furthest = 0, -1

        def told(what: str, done: int, total: int) -> None:
            self._arrived = done
            progress(what, done, total)

        while True:
            try:
                self._arrived = 0
                return Filing(self._live().server, bundle, self._settings, told).file()
            except SessionLostError as error:
                self.close()
                lost = 0 if self._arrived > furthest else lost + 1
                furthest = max(furthest, self._arrived)
                if lost >= LOST_IN_A_ROW:
                    raise UnreachableError(error.what, safe=error.safe, todo=error.todo) from error
            except OSError as error:
                raise LocstreamError(
                    f"{error.filename or bundle.files.folder} cannot be read: {error.strerror or error}",
                    safe=QUEUED,
                    todo=f"`locstream verify {bundle.files.folder}`, then `locstream upload retry`",
                ) from error
            except LocstreamError:
                self.close()
                raise

    def close(self) -> None:
        """End the session, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _live(self) -> Session:
        if self._session is None:
            self._session = self._open(self._settings)
        return self._session


def omero_filer(table: Mapping[str, Any]) -> OmeroFiler:
    """Return the filer for a table ``[omero]`` of the upload settings.

    Raises
    ------
    ConfigError
        The table is not valid.
    """
    return OmeroFiler(omero_settings(table))


def omero_settings(table: Mapping[str, Any]) -> OmeroSettings:
    """Return the settings in a table.

    Raises
    ------
    ConfigError
        It is not valid.
    """
    try:
        found = OmeroSettings.model_validate(table)
    except ValidationError as error:
        wrong = what_is_wrong(error, OmeroSettings, "omero")
        raise ConfigError(
            "the upload settings are not valid:\n  " + "\n  ".join(wrong),
            safe="what is queued stays queued",
            todo="correct [omero] in them; docs/omero.md has every key",
        ) from error
    for name in ("verify", "pinned"):
        path = getattr(found, name)
        if path not in ("", "system", None) and not path.expanduser().is_file():
            raise ConfigError(
                f"omero.{name}: there is no file {path}",
                safe="what is queued stays queued; nothing is sent without the check that was asked for",
                todo="correct it, or save the certificate with `locstream omero certificate`",
            )
    paths = {n: p.expanduser() for n in ("verify", "pinned") if not isinstance(p := getattr(found, n), str | None)}
    return found.model_copy(update=paths)
