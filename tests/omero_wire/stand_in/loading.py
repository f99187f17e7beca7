"""Objects of the model from rows, loaded exactly as far as was asked: what Hibernate's session does for a query.

One `Loading` is one session: a row becomes one object however often it is found, a reference to a row that was loaded
is that object, and to any other an unloaded one with its id (omero-blitz, `IceMapper.map`). Collections are absent
unless they were fetched.
"""

from typing import Any

import omero
from omero.rtypes import rint

from .access import Caller
from .model import kinds
from .store import Ref, Row, Store
from .values import wrapped

DETAILS = {
    "owner": "Experimenter",
    "group": "ExperimenterGroup",
    "creationEvent": "Event",
    "updateEvent": "Event",
    "externalInfo": "ExternalInfo",
}


def detail(row: Row, name: str) -> Ref | None:
    """Return the row that a field of the details refers to."""
    if row.model.is_global or name == "externalInfo":  # nothing here has a link to another system
        return None
    number = {"owner": row.owner, "group": row.group, "creationEvent": row.creation, "updateEvent": row.update}[name]
    return Ref(DETAILS[name], number)


class Loading:
    """Makes objects for one answer. Call `finish` when everything that was asked for is loaded."""

    def __init__(self, store: Store, caller: Caller) -> None:
        self._store = store
        self._caller = caller
        self._objects: dict[Ref, Any] = {}

    def load(self, row: Row) -> Any:
        """Return the loaded object of a row."""
        if row.ref in self._objects:
            return self._objects[row.ref]
        made = self._objects[row.ref] = row.model.cls(row.id, True)
        made.unloadCollections()
        for field in row.model.fields:
            value = row[field]
            if not isinstance(value, Ref):
                made.__dict__[f"_{field}"] = wrapped(row.model, field, value)
        if hasattr(made, "_version"):
            made._version = rint(row.version)
        return made

    def fetch(self, row: Row, field: str, child: Row | None) -> None:
        """Load what a fetch join found behind a field of a row that is loaded."""
        parent = self.load(row)
        if child is not None:
            found = self.load(child)
        if field in row.model.collections:
            if not parent.__dict__[f"_{field}Loaded"]:
                parent.__dict__[f"_{field}Seq"], parent.__dict__[f"_{field}Loaded"] = [], True
            if child is not None and not any(found is other for other in parent.__dict__[f"_{field}Seq"]):
                parent.__dict__[f"_{field}Seq"].append(found)

    def finish(self) -> None:
        """Fill in the references and the details of everything that was loaded."""
        for ref, made in list(self._objects.items()):
            row = self._store.require(ref)
            for field in row.model.fields:
                if isinstance(row[field], Ref):
                    made.__dict__[f"_{field}"] = self.refer(row[field])
            made._details = self._details(row)

    def refer(self, ref: Ref | None) -> Any:
        """Return the object of a row, unloaded where it was not asked for."""
        if ref is None or (row := self._store.get(ref)) is None:
            return None
        return self._objects[ref] if ref in self._objects else kinds()[row.kind].cls(row.id, False)

    def _details(self, row: Row) -> Any:
        made = omero.model.DetailsI()
        mode = self._caller.modes[row.id] if row.kind == "ExperimenterGroup" else self._caller.modes.get(row.group)
        if mode is not None:
            made._permissions = omero.model.PermissionsI(mode)
            made._permissions._restrictions = self._caller.restrictions(row)
        if not row.model.is_global:
            for name in DETAILS:
                made.__dict__[f"_{name}"] = self.refer(detail(row, name))
        return made
