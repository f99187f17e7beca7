"""The value of an expression in one row of a query: SQL's logic of three values, paths, functions, subqueries."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from omero.rtypes import unwrap

from .hql_functions import PLAIN, identity, listed
from .hql_parse import AGGREGATES
from .hql_tree import Call, Case, HqlError, Literal, Param, Path, Query
from .loading import detail
from .store import Ref, Row, Store

Env = dict[str, Any]
"""What each alias is bound to in one row: a row of the store, an element of a map annotation's value, or None."""


class Values(ABC):
    """Works out expressions. Names were checked before (hql_check.py)."""

    def __init__(self, store: Store, named: dict[str, Any]) -> None:
        self.store = store
        self.named = named

    @abstractmethod
    def rows(self, query: Query, outer: Env) -> list[tuple[list[Any], Env]]:
        """Return the selected values of each row of a query inside another, with its bindings."""

    def holds(self, condition: Any, env: Env) -> bool:
        return self.value(condition, env) is True

    def value(self, e: Any, env: Env, group: list[Env] | None = None) -> Any:
        if isinstance(e, Literal):
            return e.value
        if isinstance(e, Param):
            return self._parameter(e.name)
        if isinstance(e, Path):
            return self.follow(env, e.names)
        if isinstance(e, Case):
            for when, then in e.branches:
                if self.value(when, env, group) is True:
                    return self.value(then, env, group)
            return self.value(e.otherwise, env, group)
        if isinstance(e, Query):
            rows = self.rows(e, env)
            if len(rows) > 1:
                raise HqlError("a subquery that is used as a value has more than one row")
            return rows[0][0][0] if rows else None
        if e.name in AGGREGATES and not (group is None and e.name in ("max", "min")):
            return self._aggregate(e, group)
        return self._call(e, env, group)

    def _parameter(self, name: str) -> Any:
        value = unwrap(self.named[name])
        for one in value if isinstance(value, list) else [value]:
            if hasattr(one, "getDetails"):
                raise HqlError(f"the stand-in compares no objects, only their ids: parameter {name}")
        return value

    def _aggregate(self, e: Call, group: list[Env] | None) -> Any:
        if group is None:
            raise HqlError(f"{e.name}() outside of a select or having clause")
        values = [v for v in (self.value(e.args[0], env) for env in group) if v is not None]
        if e.distinct:
            values = list({identity(v): v for v in values}.values())
        if e.name == "count":
            return len(values)
        if not values:
            return None
        total: dict[str, Callable[[Any], Any]] = {"max": max, "min": min, "sum": sum, "avg": lambda v: sum(v) / len(v)}
        return total[e.name](values)

    def _call(self, e: Call, env: Env, group: list[Env] | None) -> Any:
        name, args = e.name, e.args
        if name in ("and", "or"):
            return self._logic(name, args, env, group)
        if name == "exists":
            return bool(self._exists(args[0], env))
        if name in ("is empty", "size"):
            count = len(self._collection(args[0], env))
            return count == 0 if name == "is empty" else count
        if name == "in":
            return self._member(args, env, group)
        if name == "type":
            row = self.value(args[0], env, group)
            return row.kind if isinstance(row, Row) else None
        values = [self.value(a, env, group) for a in args]
        if name == "is null":
            return values[0] is None
        if name == "coalesce":
            return next((v for v in values if v is not None), None)
        if any(v is None for v in values):
            return None
        if name not in PLAIN:
            raise HqlError(f"the stand-in does not know {name}()")
        return PLAIN[name](*(identity(v) for v in values))

    def _logic(self, name: str, args: tuple[Any, ...], env: Env, group: list[Env] | None) -> bool | None:
        decisive = name == "or"
        unknown = False
        for arg in args:
            value = self.value(arg, env, group)
            if value is decisive:
                return bool(decisive)
            unknown |= value is None
        return None if unknown else not decisive

    def _exists(self, query: Query, env: Env) -> list[Any]:
        if not query.select:
            query.select = [(Literal(1), "")]
        return self.rows(query, env)

    def _member(self, args: tuple[Any, ...], env: Env, group: list[Env] | None) -> bool | None:
        value, among = args
        if isinstance(among, Query):
            values = [row[0][0] for row in self.rows(among, env)]
        elif isinstance(among, tuple):
            values = [v for a in among for v in listed(self.value(a, env, group))]
        else:
            values = listed(self.value(among, env, group))
        one = self.value(value, env, group)
        if one is None:
            return None
        if identity(one) in [identity(v) for v in values]:
            return True
        return None if None in values else False

    def _collection(self, path: Any, env: Env) -> list[Row]:
        owner = self.follow(env, path.names[:-1])
        if owner is None:
            return []
        collection = owner.model.collections[path.names[-1]]
        return self.store.referring(owner.ref, collection.child, collection.back)

    # -- paths ----------------------------------------------------------------------------------------------------

    def follow(self, env: Env, names: tuple[str, ...]) -> Any:
        """Return what a path leads to: a row, a value, or None where something on the way is empty."""
        if names[0] in env:
            value, rest = env[names[0]], names[1:]
        else:  # HQL lets the fields of the only element of the from clause stand alone
            value, rest = next(v for k, v in env.items() if k.startswith("#")), names
        details = False
        for name in rest:
            if details:
                value, details = self._resolved(detail(value, name)), False
            elif name == "details" and isinstance(value, Row):
                details = True
            elif value is not None:
                value = self._resolved(self._field(value, name))
        return value

    def _resolved(self, value: Any) -> Any:
        return self.store.get(value) if isinstance(value, Ref) else value

    def _field(self, value: Any, name: str) -> Any:
        if isinstance(value, Row):
            if name == "id":
                return value.id
            if name == "version":
                return value.version
            if name == "class":
                return value.kind
            return value[name]
        return getattr(value, name)
