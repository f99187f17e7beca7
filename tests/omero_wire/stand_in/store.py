"""What the server keeps: rows of plain values, told apart by kind and id, changed in transactions.

A row holds what one table row of OMERO's database would: values, and references to other rows. The objects of the
model are made from rows when a client asks (loading.py) and taken apart into rows when one is saved (saving.py).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import omero

from .model import Kind, kinds


class Ref(NamedTuple):
    """A row of another table: `root` is the name of the table."""

    root: str
    id: int


class Quantity(NamedTuple):
    """A number with its unit, such as LengthI 0.1 MICROMETER."""

    cls: str
    value: float
    unit: str


class Pair(NamedTuple):
    """An element of the value of a MapAnnotation."""

    name: str
    value: str


@dataclass
class Row:
    """One object. `values` has every field of its kind that is not empty; `version` counts its changes from 0."""

    kind: str
    id: int
    values: dict[str, Any]
    version: int = 0
    owner: int = 0
    group: int = 0
    creation: int = 0
    update: int = 0

    @property
    def model(self) -> Kind:
        """The kind, with its fields."""
        return kinds()[self.kind]

    @property
    def ref(self) -> Ref:
        """What other rows refer to it by."""
        return Ref(self.model.root, self.id)

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)


@dataclass
class Store:
    """All rows. Ids count from 1 in each table, as the server's sequences do, and are never used again."""

    tables: dict[str, dict[int, Row]] = field(default_factory=lambda: defaultdict(dict))
    _last: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _users: dict[tuple[Ref, str, str], set[Ref]] = field(default_factory=lambda: defaultdict(set))
    _undo: list[tuple[Ref, Row | None]] | None = None
    committed: Callable[[list[tuple[Ref, Row | None]]], None] = lambda changes: None
    """Told of every transaction: the rows it changed, as they are now."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make every change inside or none: an exception takes them back (not the ids, as in PostgreSQL)."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        try:
            yield
        except BaseException:
            for ref, before in reversed(self._undo):
                self._put(ref, before)
            raise
        else:
            changed = dict.fromkeys(ref for ref, _ in self._undo)
            self.committed([(ref, self.get(ref)) for ref in changed])
        finally:
            self._undo = None

    def first_id(self, root: str, number: int) -> None:
        """Let the ids of an empty table begin with another number than 1."""
        self._last[root] = number - 1

    def replay(self, changes: list[tuple[Ref, Row | None]]) -> None:
        """Make the changes of a transaction of before; no id that it used is given out again."""
        for ref, row in changes:
            self._put(ref, row)
            self._last[ref.root] = max(self._last[ref.root], ref.id)

    def insert(self, kind: str, values: dict[str, Any], **details: int) -> Row:
        """Add a row under the next id of its table."""
        root = kinds()[kind].root
        self._last[root] += 1
        row = Row(kind, self._last[root], {k: v for k, v in values.items() if v is not None}, **details)
        self._change(row.ref, row)
        return row

    def change(self, row: Row, values: dict[str, Any], update: int | None = None) -> Row:
        """Replace values of a row; where `update` is the event of a change, its version counts on."""
        merged = {k: v for k, v in {**row.values, **values}.items() if v is not None}
        made = replace(row, values=merged)
        if update is not None:
            made.version, made.update = row.version + 1, update
        self._change(row.ref, made)
        return made

    def remove(self, ref: Ref) -> None:
        """Take a row away. Whoever refers to it must be gone before."""
        self._change(ref, None)

    def get(self, ref: Ref | None) -> Row | None:
        """Return the row, or None where there is none."""
        return None if ref is None else self.tables[ref.root].get(ref.id)

    def require(self, ref: Ref) -> Row:
        """Return the row.

        Raises
        ------
        omero.ValidationException
            There is none (`ServiceHandler`: HibernateObjectRetrievalFailureException becomes this).
        """
        row = self.get(ref)
        if row is None:
            raise omero.ValidationException(message=f"No row with the given identifier exists: [{ref.root}#{ref.id}]")
        return row

    def all(self, kind: str) -> list[Row]:
        """Return the rows that are of a kind, in the order of their ids."""
        root = next((k.root for k in kinds().values() if kind in k.lineage), kind)
        return [row for _, row in sorted(self.tables[root].items()) if kind in row.model.lineage]

    def referring(self, to: Ref, kind: str, by: str) -> list[Row]:
        """Return the rows of one kind whose field `by` is a row, in the order of their ids."""
        root = next(k.root for k in kinds().values() if kind in k.lineage)
        rows = (self.get(ref) for ref in sorted(self._users[to, root, by]))
        return [row for row in rows if row is not None and kind in row.model.lineage]

    def users(self, to: Ref) -> list[tuple[Row, str]]:
        """Return every row that refers to one, with the name of the field."""
        found = [(self.get(r), by) for (target, _, by), refs in self._users.items() if target == to for r in refs]
        return [(row, by) for row, by in found if row is not None]

    def find(self, kind: str, **values: Any) -> Row | None:
        """Return the first row of a kind with these values, or None."""
        return next((r for r in self.all(kind) if all(r[k] == v for k, v in values.items())), None)

    def _change(self, ref: Ref, row: Row | None) -> None:
        if self._undo is None:
            with self.transaction():
                self._change(ref, row)
            return
        self._undo.append((ref, self.get(ref)))
        self._put(ref, row)

    def _put(self, ref: Ref, row: Row | None) -> None:
        before = self.tables[ref.root].pop(ref.id, None)
        for old in self._references(before):
            self._users[old[0], ref.root, old[1]].discard(ref)
        if row is not None:
            self.tables[ref.root][ref.id] = row
            for new in self._references(row):
                self._users[new[0], ref.root, new[1]].add(ref)

    @staticmethod
    def _references(row: Row | None) -> list[tuple[Ref, str]]:
        return [] if row is None else [(v, k) for k, v in row.values.items() if isinstance(v, Ref)]
