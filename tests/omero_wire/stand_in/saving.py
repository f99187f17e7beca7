"""Graphs of objects into rows, by the rules of omero-server's `UpdateImpl` and `MergeEventListener`.

What is unloaded is a reference, what is loaded and has no id is new, what has one is changed where it differs. An
enumeration without an id is the one with its value. Collections that are absent stay as they are, and nothing is
removed by leaving it out of one.
"""

from typing import Any

import omero
from omero.rtypes import rint, rlong

from .access import Caller
from .loading import Loading
from .model import Kind, kind_of
from .store import Ref, Row, Store
from .values import plain


class Saving:
    """One call's graph. All of it is saved or nothing."""

    def __init__(self, store: Store, caller: Caller) -> None:
        self._store = store
        self._caller = caller
        self._seen: dict[int, tuple[Any, Ref]] = {}
        self._new: list[tuple[Any, Ref]] = []

    def save(self, *things: Any) -> list[Ref]:
        """Save objects with everything that hangs on them; each gets its id, version and details.

        Raises
        ------
        omero.ValidationException
            A field is empty that may not be, a link is there already, or an object is not there.
        omero.OptimisticLockException
            Somebody else has changed the object since it was loaded.
        omero.SecurityViolation
            The caller may not.
        """
        self._caller.must_write_in_a_group()
        with self._store.transaction():
            refs = [self._visit(thing) for thing in things]
            for thing, ref in self._new:
                self._check(thing, self._store.require(ref))
            for thing, ref in self._seen.values():
                self._answer(thing, ref)
        return refs

    def _visit(self, thing: Any) -> Ref:
        if thing is None:
            raise omero.ApiUsageException(message="Argument to save cannot be null.")
        if id(thing) in self._seen:
            return self._seen[id(thing)][1]
        kind = kind_of(thing)
        if thing.getId() is not None:
            row = self._store.require(Ref(kind.root, thing.getId().getValue()))
            if not self._caller.may_read(row):
                raise omero.SecurityViolation(message=f"Cannot read {kind.java}:Id_{row.id}")
            if thing.isLoaded() and not kind.is_enumeration:
                self._seen[id(thing)] = (thing, row.ref)
                self._change(thing, row)
            return row.ref
        if not thing.isLoaded():
            raise omero.ValidationException(message=f"unloaded {kind.java} without an id")
        if kind.is_enumeration:
            return self._enumeration(kind, plain(thing.getValue()))
        return self._add(thing, kind)

    def _enumeration(self, kind: Kind, value: str) -> Ref:
        row = self._store.find(kind.name, value=value)
        if row is None:  # only an administrator may add one (`BasicACLVoter.allowCreation`)
            raise omero.SecurityViolation(message=f"{kind.java} has no value {value!r}, and only admins add values")
        return row.ref

    def _add(self, thing: Any, kind: Kind) -> Ref:
        c = self._caller
        if kind.is_global and not c.admin:
            raise omero.SecurityViolation(message=f"only admins may make a {kind.java}")
        self._check_details(thing, kind)
        row = self._store.insert(kind.name, {}, owner=c.user, group=c.group, creation=c.event, update=c.event)
        self._seen[id(thing)] = (thing, row.ref)
        self._new.append((thing, row.ref))
        self._store.change(row, self._values(thing, kind))
        self._collections(thing, kind)
        return row.ref

    def _check_details(self, thing: Any, kind: Kind) -> None:
        """Refuse a new object that somebody else shall own (`OmeroInterceptor.newTransientDetails`)."""
        details = thing._details
        if details is None:
            return
        if details.externalInfo is not None:
            raise omero.InternalException(message="the stand-in keeps no ExternalInfo")
        for given, own in ((details.owner, self._caller.user), (details.group, self._caller.group)):
            if given is not None and given.getId().getValue() != own:
                raise omero.SecurityViolation(
                    message=f"You are not authorized to set the {type(given).__name__[:-1]} for {kind.java}"
                )

    def _change(self, thing: Any, row: Row) -> None:
        kind = row.model
        version = getattr(thing, "_version", None)
        if hasattr(thing, "_version") and version is None:
            raise omero.ValidationException(message=f"{kind.java}:Id_{row.id} has an id but no version")
        values = self._values(thing, kind)
        changed = {k: v for k, v in values.items() if row[k] != v}
        if changed:
            if version is not None and version.getValue() != row.version:
                raise omero.OptimisticLockException(
                    message=f"Row was updated or deleted by another transaction: [{kind.java}#{row.id}]"
                )
            self._must_change(row)
            self._store.change(row, changed, self._caller.event)
        self._collections(thing, kind)

    def _must_change(self, row: Row) -> None:
        if not self._caller.may_change(row) or (not row.model.is_global and row.group != self._caller.group):
            raise omero.SecurityViolation(message=f"Updating {row.model.java}:Id_{row.id} not allowed")

    def _values(self, thing: Any, kind: Kind) -> dict[str, Any]:
        values = {}
        for field in kind.fields:
            value = thing.__dict__[f"_{field}"]
            values[field] = self._visit(value) if hasattr(value, "getDetails") else plain(value)
        return values

    def _collections(self, thing: Any, kind: Kind) -> None:
        for field in kind.collections:
            if thing.__dict__[f"_{field}Loaded"]:
                for element in thing.__dict__[f"_{field}Seq"]:
                    if element is not None:
                        self._visit(element)

    def _check(self, thing: Any, row: Row) -> None:
        for field, may_be_empty in row.model.fields.items():
            if not may_be_empty and row[field] is None:  # `ServiceHandler`: PropertyValueException becomes this
                raise omero.ValidationException(
                    message=f"not-null property references a null or transient value: {row.model.java}.{field}"
                )
        if row.model.is_link:
            self._check_link(row)

    def _check_link(self, row: Row) -> None:
        """Refuse a link that is there already, or that the caller may not make (`BasicACLVoter.allowAnnotate` …)."""
        parent, child = self._store.require(row["parent"]), self._store.require(row["child"])
        twin = [r for r in self._store.referring(parent.ref, row.kind, "parent") if r["child"] == child.ref]
        if any(r.id != row.id and r.owner == row.owner for r in twin):
            raise omero.ValidationException(  # the unique key (parent, child, owner_id) of every link table
                message=f"could not insert: [{row.model.java}]; ConstraintViolationException: parent, child, owner_id"
            )
        for one in (parent, child):
            if not one.model.is_global and one.group != row.group:
                raise omero.SecurityViolation(message=f"MIXED GROUP: {one.model.java}:Id_{one.id} is in another group")
        if row.kind.endswith("AnnotationLink"):
            allowed = self._caller.may_annotate(parent)
        else:
            allowed = self._caller.may_change(parent) and self._caller.may_change(child)
        if not allowed:
            raise omero.SecurityViolation(
                message=f"Cannot link {parent.model.java}:Id_{parent.id} and {child.model.java}:Id_{child.id}"
            )

    def _answer(self, thing: Any, ref: Ref) -> None:
        row = self._store.require(ref)
        thing._id = rlong(row.id)
        if hasattr(thing, "_version"):
            thing._version = rint(row.version)
        loading = Loading(self._store, self._caller)
        loaded = loading.load(row)
        loading.finish()
        thing._details = loaded._details
