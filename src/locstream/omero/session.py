"""Opens a session on an OMERO server with whatever key there is, and another one when it dies."""

from __future__ import annotations

from typing import Any

import omero

from locstream.errors import LocstreamError
from locstream.omero.connection import Connection
from locstream.omero.faults import told
from locstream.omero.ice_server import IceServer
from locstream.omero.keys import session_keys
from locstream.omero.server import About, Server
from locstream.omero.settings import OmeroSettings
from locstream.omero.trouble import QUEUED, SessionRefusedError

IDLE_MS = 600_000
"""A working session that nobody keeps alive ends after so long."""
EVERYBODY = "user"
"""The server's own group that every person is in; nothing is filed there."""
LONGEST_IDLE_MS = 6_000_000
"""The longest that a server grants by default (omero.sessions.max_user_time_to_idle)."""


class WorkingSession:
    """A session of our own in the group of the settings, opened by the user's.

    The user's session stays as it is, and is kept alive meanwhile. Ours may die (killed by an administrator, idle while
    the network was away) and is replaced by another one for as long as the user's lives.

    Parameters
    ----------
    settings
        Which server and group.

    Raises
    ------
    LocstreamError
        There is no session of the user's, none that lives, the group is not one of theirs, or the server cannot be
        reached.
    """

    def __init__(self, settings: OmeroSettings) -> None:
        self._login = _login(settings)
        try:
            key = _working_key(self._login, settings)
            self._work = Connection(settings, key, key, ends=True)
        except BaseException:
            self._login.close()
            raise
        try:
            self.server: Server = IceServer(self._work, settings)
        except BaseException:
            self.close()
            raise

    def about(self) -> About:
        """Say what an upload would meet."""
        session = self._work.session
        with told(self._work.host):
            context = session.getAdminService().getEventContext()
            return About(
                version=str(session.getConfigService().getVersion()),
                user=context.userName,
                group=context.groupName,
                permissions=str(context.groupPermissions),
                free_bytes=session.getRepositoryInfoService().getFreeSpaceInKilobytes() * 1024,
                tables=bool(session.sharedResources().areTablesEnabled()),
            )

    def keep(self) -> None:
        """Keep both sessions alive. Raises `SessionLostError` where one is gone."""
        with told(self._work.host):
            self._login.session.keepAlive(None)
            self._work.session.keepAlive(None)

    def close(self) -> None:
        """End our session and the connection of the user's."""
        self._work.close()
        self._login.close()


def _login(settings: OmeroSettings) -> Connection:
    """Join the first of the user's sessions that lives."""
    refused: list[str] = []
    for key in session_keys(settings):
        try:
            return Connection(settings, key.key, key.key)
        except SessionRefusedError:
            refused.append(key.source)
    if refused:
        raise SessionRefusedError(
            f"the session on {settings.server} from {' and from '.join(refused)} has ended",
            safe=QUEUED,
            todo="`locstream omero login`, then `locstream upload retry`",
        )
    raise SessionRefusedError(
        f"there is no session on {settings.server}: nobody has logged in",
        safe=QUEUED,
        todo="`locstream omero login` asks for the password once, and keeps only a key that ends by itself",
    )


def _working_key(login: Connection, settings: OmeroSettings) -> str:
    """Return the key of a new session in the group."""
    with told(login.host):
        admin = login.session.getAdminService()
        context = admin.getEventContext()
        group = settings.group or context.groupName
        try:
            number = admin.lookupGroup(group).id.val
        except omero.ApiUsageException as error:
            raise _not_a_member(settings, admin, context) from error
        if number not in context.memberOfGroups and not context.isAdmin:
            raise _not_a_member(settings, admin, context)
        made = login.session.getSessionService().createUserSession(0, IDLE_MS, group)
        return str(made.uuid.val)


def _not_a_member(settings: OmeroSettings, admin: Any, context: Any) -> LocstreamError:
    names = sorted({admin.getGroup(number).name.val for number in context.memberOfGroups} - {EVERYBODY})
    return LocstreamError(
        f"{context.userName} is not in the group {settings.group!r} of {settings.server}, but in {', '.join(names)}",
        safe=QUEUED,
        todo="correct `group` in upload.toml, or ask to be made a member",
    )


def lasting_key(settings: OmeroSettings, user: str, password: str) -> tuple[str, float]:
    """Log in by password and return a key, and after how many minutes without use it ends.

    Parameters
    ----------
    settings
        Which server.
    user, password
        As given by a person, just now; not kept.

    Raises
    ------
    LocstreamError
        The server cannot be reached, or refuses them.
    """
    connection = Connection(settings, user, password)
    try:
        with told(connection.host):
            service = connection.session.getSessionService()
            for idle_ms in (LONGEST_IDLE_MS, IDLE_MS):
                try:
                    made = service.createUserSession(0, idle_ms, settings.group or None)
                except omero.SecurityViolation:
                    continue  # this server grants less
                return str(made.uuid.val), made.timeToIdle.val / 60_000
            raise LocstreamError(f"{settings.server} grants no session that lasts")
    finally:
        connection.close()
