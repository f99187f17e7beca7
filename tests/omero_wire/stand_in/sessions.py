"""Sessions: who is in, in which group, since when, and what ends with them (omero-server, `SessionManagerImpl`)."""

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import Ice
import omero

from .access import Caller

if TYPE_CHECKING:
    from .server import Server

QUIET = "quietly"


@dataclass
class Session:
    """One login, which several clients may have joined by its key."""

    server: "Server"
    user: int
    group: int
    idle_timeout_s: float
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    row: int = 0
    last_s: float = field(default_factory=time.monotonic)
    closed: bool = False
    close_on_destroy: bool = True
    clients: int = 0
    servants: dict[str, Any] = field(default_factory=dict)
    resources: list[Any] = field(default_factory=list)

    def touch(self, operation: str, context: dict[str, str]) -> None:
        """Count a call as a sign of life.

        Raises
        ------
        omero.RemovedSessionException
            It was closed.
        omero.SessionTimeoutException
            Nobody has called for longer than it may be idle.
        """
        if self.closed:
            raise omero.RemovedSessionException(message=f"No session with uuid: {self.uuid}")
        now = time.monotonic()
        limit = min(self.idle_timeout_s, self.server.calls.conditions.idle_timeout_s)
        if now - self.last_s > limit:
            idle = now - self.last_s
            self.close()
            raise omero.SessionTimeoutException(
                message=f"Session (id={self.row}, uuid={self.uuid}) has expired due to inactivity of {idle:.1f} s"
            )
        if QUIET not in context:
            self.last_s = now

    def caller(self, context: dict[str, str], event: bool = False) -> Caller:
        """Return the user's view in the group that a call's context or else the session names.

        Raises
        ------
        omero.SecurityViolation
            The user is not in that group (`BasicSecuritySystem.loadEventContext`).
        """
        accounts = self.server.accounts
        admin = accounts.groups["system"] in accounts.members[self.user]
        group = self.group
        if unknown := context.keys() & {"omero.user", "omero.share"}:
            raise omero.InternalException(message=f"the stand-in does not know {', '.join(unknown)} in a context")
        if asked := context.get("omero.group"):
            found = accounts.group(asked)
            if found is None:
                raise omero.ApiUsageException(message=f"No such group: {asked}")
            group = found
        if group != -1 and not admin and group not in accounts.members[self.user]:
            raise omero.SecurityViolation(message=f"User {self.user} is not a member of group {group} and cannot login")
        number = self.server.event(self, group) if event and group != -1 else 0
        return Caller(
            user=self.user,
            group=group,
            member=frozenset(accounts.members[self.user]),
            leader=accounts.leaders[self.user],
            modes=accounts.modes,
            admin=admin,
            event=number,
        )

    def add(self, servant: Any, name: str = "", category: str = "") -> Any:
        """Put a servant on the wire that lives as long as the session; return its proxy."""
        identity = Ice.Identity(name or str(uuid.uuid4()), category or f"session-{self.uuid}")
        key = f"{identity.category}/{identity.name}"
        if key not in self.servants:
            self.servants[key] = identity
            self.server.adapter.add(servant, identity)
        return self.server.adapter.createProxy(identity)

    def remove(self, identity: Any) -> None:
        """Take one servant off the wire."""
        if self.servants.pop(f"{identity.category}/{identity.name}", None) is not None:
            self.server.adapter.remove(identity)

    def close(self) -> None:
        """End it for every client: its servants are no longer there (`SessionManagerI.reapSession`)."""
        self.closed = True
        self.server.sessions.pop(self.uuid, None)
        for connection in [c for c, session in self.server.clients.items() if session is self]:
            del self.server.clients[connection]
        for resource in list(self.resources):
            resource.release()
        for identity in self.servants.values():
            self.server.adapter.remove(identity)
        self.servants.clear()
