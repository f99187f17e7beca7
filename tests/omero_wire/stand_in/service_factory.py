"""A client's way into its session: the services, one by one (omero-blitz, `ServiceFactoryI`, `SessionI`)."""

from typing import Any

import omero

from .administration import AdminI, ConfigI, RepositoryInfoI, SessionServiceI, TypesI
from .commands import submit
from .dispatch import Call, Service, served
from .files import RawFileStoreI
from .metadata import ContainerI, MetadataI, PixelsServiceI
from .pixels import RawPixelsStoreI
from .querying import QueryI, UpdateI
from .shared_resources import SharedResourcesI

STATELESS = {
    "getAdminService": (AdminI, omero.api.IAdminPrx),
    "getConfigService": (ConfigI, omero.api.IConfigPrx),
    "getContainerService": (ContainerI, omero.api.IContainerPrx),
    "getMetadataService": (MetadataI, omero.api.IMetadataPrx),
    "getPixelsService": (PixelsServiceI, omero.api.IPixelsPrx),
    "getQueryService": (QueryI, omero.api.IQueryPrx),
    "getRepositoryInfoService": (RepositoryInfoI, omero.api.IRepositoryInfoPrx),
    "getSessionService": (SessionServiceI, omero.api.ISessionPrx),
    "getTypesService": (TypesI, omero.api.ITypesPrx),
    "getUpdateService": (UpdateI, omero.api.IUpdatePrx),
}


def _getter(name: str) -> Any:
    servant, prx = STATELESS[name]

    def get(self: Service, call: Call) -> Any:
        return prx.uncheckedCast(self.session.add(servant(self.server, self.session), name=servant.__name__))

    return get


class _Stateless(Service):
    """One method for each service that keeps nothing between calls."""


for _name in STATELESS:
    setattr(_Stateless, _name, _getter(_name))


@served
class ServiceFactoryI(_Stateless, omero.api.ServiceFactory):
    """Hands out proxies; everything it handed out ends with the session."""

    def sharedResources(self, call: Call) -> Any:
        prx = self.session.add(SharedResourcesI(self.server, self.session), name="SharedResources")
        return omero.grid.SharedResourcesPrx.uncheckedCast(prx)

    def createRawFileStore(self, call: Call) -> Any:
        store = RawFileStoreI(self.server, self.session)
        store.proxy = self.session.add(store)
        return omero.api.RawFileStorePrx.uncheckedCast(store.proxy)

    def createRawPixelsStore(self, call: Call) -> Any:
        store = RawPixelsStoreI(self.server, self.session)
        store.proxy = self.session.add(store)
        return omero.api.RawPixelsStorePrx.uncheckedCast(store.proxy)

    def setCallback(self, call: Call, callback: Any) -> None:
        """Take the client's callback; nothing here calls it (heartbeats and shutdown notices)."""

    def closeOnDestroy(self, call: Call) -> None:
        self.session.close_on_destroy = True

    def detachOnDestroy(self, call: Call) -> None:
        self.session.close_on_destroy = False

    def keepAlive(self, call: Call, proxy: Any) -> bool:
        return proxy is None or self._is_there(proxy)

    def keepAllAlive(self, call: Call, proxies: list[Any]) -> int:
        """Return a bit for each proxy that is gone (`SessionI.keepAllAlive`)."""
        return sum(1 << i for i, proxy in enumerate(proxies) if proxy is None or not self._is_there(proxy))

    def activeServices(self, call: Call) -> list[str]:
        return sorted(self.session.servants)

    def getSecurityContexts(self, call: Call) -> list[Any]:
        groups = self.server.accounts.members[self.session.user]
        return [omero.model.ExperimenterGroupI(g, False) for g in groups]

    def setSecurityContext(self, call: Call, thing: Any) -> Any:
        """Change the session's group; return the one before (`SessionManagerImpl.setSecurityContext`)."""
        if not isinstance(thing, omero.model.ExperimenterGroup):
            raise omero.ApiUsageException(message=f"Unknown security context: {type(thing).__name__}")
        before, group = self.session.group, thing.getId().getValue()
        if any(getattr(servant, "stateful", False) for servant in self.session.resources):
            raise omero.SecurityViolation(message=f"{self.session.uuid} has active stateful services")
        if group not in self.server.accounts.members[self.session.user]:
            raise omero.SecurityViolation(
                message=f"User {self.session.user} is not a member of group {group} and cannot login"
            )
        self.session.group = group
        return omero.model.ExperimenterGroupI(before, False)

    def submit(self, call: Call, request: Any) -> Any:
        return submit(call, request)

    def destroy(self, call: Call) -> None:
        self.session.clients -= 1
        if self.session.close_on_destroy:
            self.session.close()

    def _is_there(self, proxy: Any) -> bool:
        identity = proxy.ice_getIdentity()
        return f"{identity.category}/{identity.name}" in self.session.servants
