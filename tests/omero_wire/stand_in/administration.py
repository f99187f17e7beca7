"""IAdmin, IConfig, ISession and ITypes: who is who, what the server is, which sessions there are."""

import re
import time
from typing import Any

import omero
from omero.rtypes import rlong, rstring, rtime

from .dispatch import Call, Service, served
from .loading import Loading
from .model import kind_called, kind_of
from .sessions import Session
from .store import Ref

VERSION = "5.6.12"
DATABASE = "5.4"
MAX_IDLE_MS = 6_000_000
"""Longest idle time a user may ask for (`omero.sessions.max_user_time_to_idle`)."""


class _Loads(Service):
    def loaded(self, call: Call, ref: Ref, *fetches: str) -> Any:
        """Return one object with some of its collections, and what those link to."""
        store = self.server.store
        loading = Loading(store, call.session.caller({"omero.group": "-1"}))
        row = store.require(ref)
        made = loading.load(row)
        for field in fetches:
            collection = row.model.collections[field]
            loading.fetch(row, field, None)
            for element in store.referring(ref, collection.child, collection.back):
                loading.fetch(row, field, element)
                for other in ("parent", "child"):
                    loading.load(store.require(element[other]))
        loading.finish()
        return made


@served
class AdminI(_Loads, omero.api.IAdmin):
    """Questions about users and groups (omero-server, `AdminImpl`). Nothing here changes one."""

    def getEventContext(self, call: Call) -> Any:
        caller = call.caller()
        accounts, session = self.server.accounts, call.session
        group = caller.group if caller.group != -1 else session.group
        return omero.sys.EventContext(
            sessionId=session.row,
            sessionUuid=session.uuid,
            userId=session.user,
            userName=accounts.name_of(session.user),
            groupId=caller.group,
            groupName=accounts.group_name(group) if caller.group != -1 else "",
            isAdmin=caller.admin,
            adminPrivileges=[],
            eventId=-1,
            eventType="User",
            memberOfGroups=list(accounts.members[session.user]),
            leaderOfGroups=sorted(caller.leader),
            groupPermissions=omero.model.PermissionsI(accounts.modes[group]),
        )

    def canUpdate(self, call: Call, thing: Any) -> bool:
        row = self.server.store.require(Ref(kind_of(thing).root, thing.getId().getValue()))
        return call.session.caller({"omero.group": "-1"}).may_change(row)

    def getExperimenter(self, call: Call, number: int) -> Any:
        return self.loaded(call, Ref("Experimenter", number), "groupExperimenterMap")

    def lookupExperimenter(self, call: Call, name: str) -> Any:
        return self.getExperimenter(call, _known(self.server.accounts.users, name, "experimenter"))

    def lookupExperimenters(self, call: Call) -> list[Any]:
        return [self.getExperimenter(call, number) for number in self.server.accounts.users.values()]

    def getGroup(self, call: Call, number: int) -> Any:
        return self.loaded(call, Ref("ExperimenterGroup", number), "groupExperimenterMap")

    def lookupGroup(self, call: Call, name: str) -> Any:
        return self.getGroup(call, _known(self.server.accounts.groups, name, "group"))

    def lookupGroups(self, call: Call) -> list[Any]:
        return [self.getGroup(call, number) for number in self.server.accounts.modes]

    def getDefaultGroup(self, call: Call, user: int) -> Any:
        return self.loaded(call, Ref("ExperimenterGroup", self.server.accounts.members[user][0]))

    def containedGroups(self, call: Call, user: int) -> list[Any]:
        return [self.getGroup(call, g) for g in self.server.accounts.members[user]]

    def containedExperimenters(self, call: Call, group: int) -> list[Any]:
        members = self.server.accounts.members
        return [self.getExperimenter(call, user) for user, groups in members.items() if group in groups]

    def getMemberOfGroupIds(self, call: Call, user: Any) -> list[int]:
        return list(self.server.accounts.members[user.getId().getValue()])

    def getLeaderOfGroupIds(self, call: Call, user: Any) -> list[int]:
        return sorted(self.server.accounts.leaders[user.getId().getValue()])

    def getCurrentAdminPrivileges(self, call: Call) -> list[Any]:
        return []

    def getSecurityRoles(self, call: Call) -> Any:
        groups, users = self.server.accounts.groups, self.server.accounts.users
        return omero.sys.Roles(
            rootId=users["root"],
            rootName="root",
            systemGroupId=groups["system"],
            systemGroupName="system",
            userGroupId=groups["user"],
            userGroupName="user",
            guestId=users["guest"],
            guestName="guest",
            guestGroupId=groups["guest"],
            guestGroupName="guest",
        )


@served
class ConfigI(Service, omero.api.IConfig):
    """What the server is (omero-server, `ConfigImpl`)."""

    def getVersion(self, call: Call) -> str:
        return VERSION

    def getConfigValue(self, call: Call, key: str) -> str:
        return self.server.configuration().get(key, "")

    def getConfigValues(self, call: Call, pattern: str) -> dict[str, str]:
        return {k: v for k, v in self.server.configuration().items() if re.fullmatch(pattern, k)}

    def getClientConfigValues(self, call: Call) -> dict[str, str]:
        return {k: v for k, v in self.server.configuration().items() if k.startswith("omero.client.")}

    def getClientConfigDefaults(self, call: Call) -> dict[str, str]:
        return {}

    def getDatabaseUuid(self, call: Call) -> str:
        return self.server.uuid

    def getServerTime(self, call: Call) -> Any:
        return rtime(int(time.time() * 1000))

    def getDatabaseTime(self, call: Call) -> Any:
        return rtime(int(time.time() * 1000))


@served
class RepositoryInfoI(Service, omero.api.IRepositoryInfo):
    """Room on the disk (omero-server, `RepositoryInfoImpl`), as the faults limit it."""

    def getFreeSpaceInKilobytes(self, call: Call) -> int:
        return self.server.disk.free(self.server.calls.now()) // 1024

    def getUsedSpaceInKilobytes(self, call: Call) -> int:
        return self.server.disk.used // 1024

    def getUsageFraction(self, call: Call) -> float:
        used = self.server.disk.used
        return used / max(used + self.server.disk.free(self.server.calls.now()), 1)


@served
class SessionServiceI(_Loads, omero.api.ISession):
    """Sessions as objects (omero-server, `SessionBean`)."""

    def getSession(self, call: Call, key: str) -> Any:
        session = self._found(call, key)
        made = self.loaded(call, Ref("Session", session.row))
        made._timeToIdle = rlong(int(session.idle_timeout_s * 1000))
        return made

    def closeSession(self, call: Call, thing: Any) -> int:
        """End a session for everybody; return how many clients are left, -2 where it was not there."""
        uuid = thing.getUuid().getValue()
        session = self.server.sessions.get(uuid)
        if session is None:
            return -2
        self._found(call, uuid)
        session.close()
        return 0

    def createUserSession(self, call: Call, to_live_ms: int, to_idle_ms: int, group: str) -> Any:
        """Make another session of the same user, such as a token for later (`SessionBean.createUserSession`)."""
        if to_idle_ms > MAX_IDLE_MS:
            raise omero.SecurityViolation(message=f"can't set timeToIdle to {to_idle_ms}; max is {MAX_IDLE_MS}")
        accounts, own = self.server.accounts, call.session
        number = accounts.group(group) if group else own.group
        if number is None or number not in accounts.members[own.user]:
            raise omero.SecurityViolation(message=f"User {own.user} is not a member of group {group} and cannot login")
        session = self.server.open_session(own.user, number, (to_idle_ms or 600_000) / 1000)
        session.close_on_destroy = False
        return self.getSession(call, session.uuid)

    def getReferenceCount(self, call: Call, key: str) -> int:
        return self._found(call, key).clients

    def getMyOpenSessions(self, call: Call) -> list[Any]:
        mine = [s for s in self.server.sessions.values() if s.user == call.session.user]
        return [self.getSession(call, s.uuid) for s in mine]

    def _found(self, call: Call, key: str) -> Session:
        session = self.server.sessions.get(key)
        if session is None:
            raise omero.RemovedSessionException(message=f"No session with uuid: {key}")
        if session.user != call.session.user and not call.caller().admin:
            raise omero.SecurityViolation(message=f"Session {key} is somebody else's")
        return session


@served
class TypesI(Service, omero.api.ITypes):
    """Enumerations (omero-server, `TypesImpl`)."""

    def allEnumerations(self, call: Call, name: str) -> list[Any]:
        loading = Loading(self.server.store, call.caller())
        made = [loading.load(row) for row in self.server.store.all(str(kind_called(name)))]
        loading.finish()
        return made

    def getEnumeration(self, call: Call, name: str, value: str) -> Any:
        found = [e for e in self.allEnumerations(call, name) if e.value == rstring(value)]
        if not found:
            raise omero.ApiUsageException(message=f"An enum was not found with the value: {value}")
        return found[0]


def _known(known: dict[str, int], name: str, what: str) -> int:
    if name not in known:
        raise omero.ApiUsageException(message=f"No such {what}: {name}")
    return known[name]
