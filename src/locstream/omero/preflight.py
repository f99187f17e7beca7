"""Says before an experiment whether its upload will work."""

from __future__ import annotations

from collections.abc import Iterator

from locstream.errors import LocstreamError
from locstream.omero import client_library
from locstream.omero.server import About, Open, Server
from locstream.omero.settings import OmeroSettings
from locstream.upload.filer import Check

ROOM_BYTES = 20 * 10**9
"""Less room than that on a server is worth a word."""


def examine(settings: OmeroSettings, open_session: Open) -> Iterator[Check]:
    """Look at one thing after another; end where nothing further can be known.

    Parameters
    ----------
    settings
        Which server, and where in it.
    open_session
        Opens a session.
    """
    try:
        client_library.use()
    except LocstreamError as error:
        yield Check("library", False, error.what, error.todo)
        return
    yield Check("library", True, "OMERO's client library is installed")
    try:
        session = open_session(settings)
    except LocstreamError as error:
        yield Check("session", False, error.what, error.todo)
        return
    try:
        yield _certificate(settings)
        about = session.about()
        yield from _about(settings, about)
        yield _dataset(settings, session.server)
    except LocstreamError as error:
        yield Check("server", False, error.what, error.todo)
    finally:
        session.close()


def _certificate(settings: OmeroSettings) -> Check:
    if not settings.encrypted:
        return Check("certificate", True, f"{settings.host} is on this computer and not encrypted")
    if settings.verified:
        by = settings.pinned or settings.verify
        return Check("certificate", True, f"{settings.server} is who it should be, by {by}")
    return Check(
        "certificate",
        True,
        f"encrypted, but nobody checks that this is {settings.server}; see `locstream omero certificate`",
    )


def _about(settings: OmeroSettings, about: About) -> Iterator[Check]:
    yield Check("server", True, f"{settings.server}, OMERO {about.version}")
    yield Check("login", True, f"as {about.user}")
    yield Check("group", True, f"{about.group} ({about.permissions})")
    room = f"{about.free_bytes / 1e9:,.0f} GB free"
    enough = about.free_bytes >= ROOM_BYTES
    yield Check("room", enough, room, "" if enough else "ask the server's administrator for room")
    if settings.table:
        todo = "" if about.tables else "set `table = false`, or ask for OMERO.tables; the upload works without"
        yield Check("tables", about.tables, "are enabled" if about.tables else "are not enabled", todo)


def _dataset(settings: OmeroSettings, server: Server) -> Check:
    given = settings.existing_dataset
    if given is None:
        return Check("dataset", True, f"{settings.project} / {settings.dataset}, found or made")
    if server.may_link(given):
        return Check("dataset", True, f"images may be put into Dataset:{given}")
    return Check(
        "dataset",
        False,
        f"you may not put images into Dataset:{given}",
        "ask its owner for a group in which you may, or name a dataset of your own",
    )
