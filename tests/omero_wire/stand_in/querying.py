"""IQuery and IUpdate (omero-server, `QueryImpl` and `UpdateImpl`)."""

from typing import Any

import omero
from omero.rtypes import unwrap

from .dispatch import Call, Service, served
from .hql import Evaluation
from .loading import Loading
from .model import kind_called, kinds
from .saving import Saving
from .store import Ref, Row


@served
class QueryI(Service, omero.api.IQuery):
    """Finds what the caller may read."""

    def get(self, call: Call, name: str, number: int) -> Any:
        found = self.find(call, name, number)
        if found is None:
            raise omero.ValidationException(message=f"The requested object ({name},{number}) is not available.")
        return found

    def find(self, call: Call, name: str, number: int) -> Any:
        kind = _kind(name)
        root = next(k.root for k in kinds().values() if kind in k.lineage)
        row = self.server.store.get(Ref(root, number))
        if row is None or kind not in row.model.lineage or not call.caller().may_read(row):
            return None
        return self._loaded(call, [row])[0]

    def findAll(self, call: Call, name: str, page: Any) -> list[Any]:
        rows = [row for row in self.server.store.all(_kind(name)) if call.caller().may_read(row)]
        start = (unwrap(page.offset) if page is not None else None) or 0
        limit = unwrap(page.limit) if page is not None else None
        return self._loaded(call, rows[start : None if limit is None else start + limit])

    def findAllByQuery(self, call: Call, text: str, parameters: Any) -> list[Any]:
        return Evaluation(self.server.store, call.caller(), parameters).objects(text)

    def findByQuery(self, call: Call, text: str, parameters: Any) -> Any:
        found = Evaluation(self.server.store, call.caller(), parameters).objects(text)
        if any(other is not found[0] for other in found):
            raise omero.ApiUsageException(message=f"Query named:\n\t{text}\nhas returned more than one Object")
        return found[0] if found else None

    def projection(self, call: Call, text: str, parameters: Any) -> list[list[Any]]:
        return Evaluation(self.server.store, call.caller(), parameters).projection(text)

    def findAllByString(self, call: Call, name: str, field: str, value: str, exact: bool, page: Any) -> list[Any]:
        if not exact or page is not None:
            raise omero.InternalException(message="the stand-in finds by the exact string only, without a filter")
        rows = [r for r in self.server.store.all(_kind(name)) if call.caller().may_read(r) and r[field] == value]
        return self._loaded(call, rows)

    def _loaded(self, call: Call, rows: list[Row]) -> list[Any]:
        loading = Loading(self.server.store, call.caller())
        made = [loading.load(row) for row in rows]
        loading.finish()
        return made


@served
class UpdateI(Service, omero.api.IUpdate):
    """Saves graphs; each call is one transaction."""

    def saveObject(self, call: Call, thing: Any) -> None:
        self._save(call, [thing])

    def saveCollection(self, call: Call, things: list[Any]) -> None:
        self._save(call, things)

    def saveArray(self, call: Call, things: list[Any]) -> None:
        self._save(call, things)

    def saveAndReturnObject(self, call: Call, thing: Any) -> Any:
        self._save(call, [thing])
        return thing

    def saveAndReturnArray(self, call: Call, things: list[Any]) -> list[Any]:
        self._save(call, things)
        return things

    def saveAndReturnIds(self, call: Call, things: list[Any]) -> list[int]:
        return [ref.id for ref in self._save(call, things)]

    def deleteObject(self, call: Call, thing: Any) -> None:
        """Delete one row; whatever refers to it stops that, as the database's foreign keys would."""
        if thing is None:
            return
        if thing.getId() is None:
            raise omero.ApiUsageException(message="Non-managed IObject entity cannot be deleted. Must have an id.")
        caller, store = call.writing(), self.server.store
        row = store.require(Ref(kinds()[type(thing).__name__[:-1]].root, thing.getId().getValue()))
        if not caller.may_change(row):
            raise omero.SecurityViolation(message=f"Deleting {row.model.java}:Id_{row.id} not allowed")
        if users := store.users(row.ref):
            raise omero.ValidationException(
                message=f"could not delete: [{row.model.java}#{row.id}]: {users[0][0].kind}.{users[0][1]} refers to it"
            )
        store.remove(row.ref)

    def _save(self, call: Call, things: list[Any]) -> list[Ref]:
        return Saving(self.server.store, call.writing()).save(*things)


def _kind(name: str) -> str:
    kind = kind_called(name)
    if kind is None:
        raise omero.ApiUsageException(message=f"Not an IObject type: {name}")
    return kind
