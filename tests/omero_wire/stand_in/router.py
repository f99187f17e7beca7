"""Glacier2's router and the session manager behind it (omero-blitz, `SessionManagerI`, `PermissionsVerifierI`).

There is no router process: the server itself answers to its name, and a client without a client proxy sends every
call to the same endpoint.
"""

import time
from typing import Any

import Glacier2
import omero

from .dispatch import Call, Service, served
from .service_factory import ServiceFactoryI
from .sessions import Session

CLIENT, GROUP = "omero.client.uuid", "omero.group"


@served
class RouterI(Service, Glacier2.Router):
    """Lets users in by password, and anybody who knows the key of a session into that session."""

    def createSession(self, call: Call, user: str, password: str) -> Any:
        session = self._joined(user) or self._logged_in(call, user, password)
        client = call.context.get(CLIENT, "")
        session.clients += 1
        session.last_s = time.monotonic()
        self.server.clients[call.current.con.toString()] = session
        factory = ServiceFactoryI(self.server, session)
        prx = session.add(factory, name=session.uuid, category=f"session-{client}")
        return omero.api.ServiceFactoryPrx.uncheckedCast(prx)

    def getServerProxy(self, call: Call) -> Any:
        return self.server.router

    def getClientProxy(self, call: Call) -> Any:
        return None

    def getCategoryForClient(self, call: Call) -> str:
        return "client"

    def addProxies(self, call: Call, proxies: list[Any]) -> list[Any]:
        return []

    def refreshSession(self, call: Call) -> None:
        self._session_of(call)

    def destroySession(self, call: Call) -> None:
        session = self._session_of(call)
        del self.server.clients[call.current.con.toString()]
        session.clients -= 1
        if session.close_on_destroy and session.clients <= 0:
            session.close()

    def getSessionTimeout(self, call: Call) -> int:
        return 600

    def getACMTimeout(self, call: Call) -> int:
        return 0

    def _joined(self, key: str) -> Session | None:
        """Return the live session with a key; one that was idle too long is not alive any more."""
        session = self.server.sessions.get(key)
        if session is None:
            return None
        try:
            session.touch("join", {})
        except omero.SessionTimeoutException:
            return None
        return session

    def _logged_in(self, call: Call, user: str, password: str) -> Session:
        accounts = self.server.accounts
        if accounts.passwords.get(user) != password or not password:
            raise Glacier2.PermissionDeniedException("Password check failed")
        number = accounts.users[user]
        group = accounts.members[number][0]
        if asked := call.context.get(GROUP):
            wanted = accounts.group(asked)
            if wanted is None:
                raise omero.WrappedCreateSessionException(
                    reason=f"No such group: {asked}", type="ome.conditions.ApiUsageException", backOff=-1
                )
            if wanted in accounts.members[number]:  # else every call that names it will be refused
                group = wanted
        return self.server.open_session(number, group, self.server.calls.now().idle_timeout_s)

    def _session_of(self, call: Call) -> Session:
        session = self.server.clients.get(call.current.con.toString())
        if session is None or session.closed:
            raise Glacier2.SessionNotExistException
        return session
