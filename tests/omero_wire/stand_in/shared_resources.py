"""SharedResources, and OMERO.tables on omero-py's own storage (`omero.hdfstorageV2`, as in `omero.tables.TableI`)."""

import threading
import time
from typing import Any

import omero
import omero.columns
from omero.rtypes import unwrap

from .disk import MANAGED
from .dispatch import Call, Service, served
from .files import RawFileStoreI
from .importing import ManagedRepositoryI
from .loading import Loading
from .store import Ref, Row

MIMETYPE = "OMERO.tables"


@served
class SharedResourcesI(Service, omero.grid.SharedResources):
    """The managed repository and the tables (omero-blitz, `SharedResourcesI`)."""

    def repositories(self, call: Call) -> Any:
        prx = self.session.add(ManagedRepositoryI(self.server, self.session), name=MANAGED)
        description = omero.model.OriginalFileI()
        description.setName(omero.rtypes.rstring(MANAGED))
        description.setPath(omero.rtypes.rstring("/"))
        description.setHash(omero.rtypes.rstring(self.server.uuid))
        proxy = omero.grid.ManagedRepositoryPrx.uncheckedCast(prx)
        return omero.grid.RepositoryMap(descriptions=[description], proxies=[proxy])

    def areTablesEnabled(self, call: Call) -> bool:
        return bool(self.server.calls.now().tables)

    def newTable(self, call: Call, repository: int, name: str) -> Any:
        """Return a new table, or None where the server has no tables service."""
        if not self.areTablesEnabled(call):
            return None
        caller = call.writing()
        caller.must_write_in_a_group()
        values = {"name": name, "path": name, "mimetype": MIMETYPE, "size": 0}
        details = {"owner": caller.user, "group": caller.group, "creation": caller.event, "update": caller.event}
        return self._table(self.server.store.insert("OriginalFile", values, **details))

    def openTable(self, call: Call, file: Any) -> Any:
        if not self.areTablesEnabled(call):
            return None
        row = self.server.store.require(Ref("OriginalFile", file.getId().getValue()))
        if not call.session.caller({"omero.group": "-1"}).may_read(row):
            raise omero.SecurityViolation(message=f"Cannot read OriginalFile:Id_{row.id}")
        return self._table(row)

    def _table(self, row: Row) -> Any:
        table = TableI(self.server, self.session, row)
        table.proxy = omero.grid.TablePrx.uncheckedCast(self.session.add(table))
        return table.proxy


@served
class TableI(Service, omero.grid.Table):
    """One table in an HDF5 file of PyTables (omero-py, `omero.tables.TableI`)."""

    def __init__(self, server: Any, session: Any, row: Row) -> None:
        from omero.hdfstorageV2 import HDFLIST

        super().__init__(server, session)
        self.proxy: Any = None
        self._ref = row.ref
        path = server.disk.path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._storage = HDFLIST.getOrCreate(str(path), self, False)
        self._stamp = time.time()
        self._lock = threading.RLock()
        session.resources.append(self)

    def getOriginalFile(self, call: Call) -> Any:
        loading = Loading(self.server.store, call.session.caller({"omero.group": "-1"}))
        made = loading.load(self.server.store.require(self._ref))
        loading.finish()
        return made

    def initialize(self, call: Call, columns: list[Any]) -> None:
        self._must_write(call)
        self._storage.initialize(columns)

    def addData(self, call: Call, columns: list[Any]) -> None:
        self._must_write(call)
        self._storage.append(columns)

    def getHeaders(self, call: Call) -> list[Any]:
        return list(self._storage.cols(None, call.current))

    def getNumberOfRows(self, call: Call) -> int:
        return int(self._storage.rows())

    def getWhereList(self, call: Call, condition: str, variables: Any, start: int, stop: int, step: int) -> list[int]:
        found = self._storage.getWhereList(
            self._stamp, condition, unwrap(variables), None, start, stop or None, step or None
        )
        return [int(number) for number in found]

    def readCoordinates(self, call: Call, rows: list[int]) -> Any:
        return self._storage.readCoordinates(self._stamp, rows, call.current)

    def read(self, call: Call, columns: list[int], start: int, stop: int) -> Any:
        return self._storage.read(self._stamp, columns, start, None if start == stop == 0 else stop, call.current)

    def slice(self, call: Call, columns: list[int], rows: list[int]) -> Any:
        return self._storage.slice(self._stamp, columns, rows, call.current)

    def getMetadata(self, call: Call, key: str) -> Any:
        return self._storage.get_meta_map().get(key)

    def getAllMetadata(self, call: Call) -> dict[str, Any]:
        return dict(self._storage.get_meta_map())

    def setMetadata(self, call: Call, key: str, value: Any) -> None:
        self._must_write(call)
        self._storage.add_meta_map({key: value})

    def setAllMetadata(self, call: Call, values: dict[str, Any]) -> None:
        self._must_write(call)
        self._storage.add_meta_map(values, replace=True)

    def close(self, call: Call) -> None:
        """Close it; size and checksum of its file are written then."""
        modified = self._storage is not None and self._storage.modified()
        self.release()
        if modified:
            row = self.server.store.require(self._ref)
            raw = RawFileStoreI(self.server, self.session)
            raw.open(row, writable=True)
            raw.save(call)
            raw.release()
        self.session.remove(self.proxy.ice_getIdentity())

    def release(self) -> None:
        """Let go of the file."""
        if self._storage is not None:
            self._storage.decr(self)
            self.session.resources.remove(self)
        self._storage = None

    def _must_write(self, call: Call) -> None:
        if not call.caller().may_change(self.server.store.require(self._ref)):
            raise omero.SecurityViolation(message=f"Current user cannot write to file {self._ref.id}")
