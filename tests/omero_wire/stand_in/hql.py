"""Queries of hql_parse.py, evaluated against the rows of the store with SQL's logic of three values.

A row of the result binds each alias of the from clause to a row, to an element of a map annotation's value, or to
nothing (left join). Only what the caller may read is found, as omero-server's Hibernate filters have it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import omero
from omero.rtypes import unwrap

from .access import Caller
from .hql_check import check
from .hql_functions import has_aggregate, identity, sortable
from .hql_parse import parse
from .hql_tree import From, HqlError, Path, Query
from .hql_values import Env, Values
from .loading import Loading
from .model import kind_called
from .store import Pair, Row, Store
from .values import projected, typed


@dataclass
class Found:
    """What one evaluation yields: the selected values of each row, with the bindings they came from."""

    query: Query
    rows: list[tuple[list[Any], Env]] = field(default_factory=list)


class Evaluation(Values):
    """One query of one caller."""

    def __init__(self, store: Store, caller: Caller, parameters: Any) -> None:
        super().__init__(store, dict(getattr(parameters, "map", None) or {}))
        self.caller = caller
        page = getattr(parameters, "theFilter", None)
        self.offset = unwrap(page.offset) if page is not None else None
        self.limit = unwrap(page.limit) if page is not None else None

    # -- answers --------------------------------------------------------------------------------------------------

    def objects(self, text: str) -> list[Any]:
        """Return the objects that a query of one entity finds (`IQuery.findAllByQuery`)."""
        found = self._run(text)
        if len(found.query.select) > 1 or found.query.as_map:
            raise omero.ApiUsageException(message=f"more than one column, use projection: {text!r}")
        loading = Loading(self.store, self.caller)
        for values, env in found.rows:
            if values[0] is not None and not isinstance(values[0], Row):
                raise omero.ApiUsageException(message=f"selects no objects, use projection: {text!r}")
            for source in found.query.sources:
                if source.fetch:
                    self._fetch(loading, source, env)
        rows = [values[0] for values, _ in found.rows]
        if found.query.distinct:
            rows = list({identity(row): row for row in rows}.values())
        made = [None if row is None else loading.load(row) for row in rows]
        loading.finish()
        return made

    def projection(self, text: str) -> list[list[Any]]:
        """Return the selected values as RTypes (`IQuery.projection`)."""
        found = self._run(text)
        loading = Loading(self.store, self.caller)
        answer = []
        for values, env in found.rows:
            line = [
                loading.load(v) if isinstance(v, Row) else self._typed(expression, env, v)
                for (expression, _), v in zip(found.query.select, values, strict=True)
            ]
            answer.append([projected(v) for v in line])
        loading.finish()
        if not found.query.as_map:
            return answer
        names = [name or str(i) for i, (_, name) in enumerate(found.query.select)]
        return [[omero.rtypes.rmap(dict(zip(names, line, strict=True)))] for line in answer]

    def _run(self, text: str) -> Found:
        try:
            query = parse(text)
            if not query.select:
                query.select = [(Path((s.alias,)), "") for s in query.sources if not s.fetch]
            check(query, {})
            if missing := query.params - self.named.keys():
                raise HqlError(f"Not all named parameters have been set: [{', '.join(sorted(missing))}] {text!r}")
            return Found(query, self._page(self.rows(query, {}), query))
        except HqlError as error:  # HibernateQueryException becomes this in omero-server's `ServiceHandler`
            raise omero.ApiUsageException(message=str(error)) from error

    def _page(self, rows: list[tuple[list[Any], Env]], query: Query) -> list[tuple[list[Any], Env]]:
        """Cut a page out: of the rows, or of the objects where collections are fetched (`QueryTranslatorImpl.list`)."""
        if self.offset is None and self.limit is None:
            return rows
        start = self.offset or 0
        stop = None if self.limit is None else start + self.limit
        if not self._fetches_collections(rows, query):
            return rows[start:stop]
        query.distinct = True
        order = list(dict.fromkeys(identity(v[0]) for v, _ in rows))[start:stop]
        return [(v, env) for v, env in rows if identity(v[0]) in order]

    def _fetches_collections(self, rows: list[tuple[list[Any], Env]], query: Query) -> bool:
        for source in query.sources:
            owners = (self.follow(env, source.path[:-1]) for _, env in rows) if source.fetch else ()
            if any(isinstance(owner, Row) and source.path[-1] in owner.model.collections for owner in owners):
                return True
        return False

    def _fetch(self, loading: Loading, source: From, env: Env) -> None:
        base, found = self.follow(env, source.path[:-1]), env[source.alias]
        if source.path[-2] == "details":
            if found is not None:
                loading.load(found)
        elif isinstance(base, Row):
            loading.fetch(base, source.path[-1], found)

    def _typed(self, expression: Any, env: Env, value: Any) -> Any:
        if isinstance(expression, Path) and len(expression.names) > 1 and not isinstance(value, Row):
            owner = self.follow(env, expression.names[:-1])
            if isinstance(owner, Row):
                return typed(owner.model, expression.names[-1], value)
        return value

    # -- clauses --------------------------------------------------------------------------------------------------

    def rows(self, query: Query, outer: Env) -> list[tuple[list[Any], Env]]:
        envs = [e for e in self._bindings(query.sources, outer) if query.where is None or self.holds(query.where, e)]
        aggregated = any(has_aggregate(e) for e, _ in query.select)
        if query.group or aggregated:
            rows = self._grouped(query, envs, outer)
        else:
            if query.order:
                envs = self._ordered(query, envs)
            rows = [([self.value(e, env) for e, _ in query.select], env) for env in envs]
        if query.distinct and not any(s.fetch for s in query.sources):  # with fetches, `objects` makes them distinct
            unique = {tuple(identity(v) for v in values): (values, env) for values, env in reversed(rows)}
            rows = list(reversed(unique.values()))
        return rows

    def _bindings(self, sources: list[From], env: Env) -> Iterator[Env]:
        if not sources:
            yield env
            return
        source, rest = sources[0], sources[1:]
        matched = False
        for value in self._candidates(source, env):
            bound = {**env, source.alias: value}
            if source.condition is not None and not self.holds(source.condition, bound):
                continue
            matched = True
            yield from self._bindings(rest, bound)
        if not matched and source.left:
            yield from self._bindings(rest, {**env, source.alias: None})

    def _candidates(self, source: From, env: Env) -> list[Any]:
        if source.path[0] not in env:
            kind = kind_called(".".join(source.path))
            return [row for row in self.store.all(str(kind)) if self.caller.may_read(row)]
        base = self.follow(env, source.path[:-1])
        if base is None:
            return []
        if source.path[-2] != "details" and isinstance(base, Row) and source.path[-1] in base.model.collections:
            collection = base.model.collections[source.path[-1]]
            rows = self.store.referring(base.ref, collection.child, collection.back)
            return [row for row in rows if self.caller.may_read(row)]
        value = self.follow(env, source.path)
        if isinstance(value, tuple) and value and all(isinstance(v, Pair) for v in value):
            return list(value)
        return [] if value is None else [value]

    def _grouped(self, query: Query, envs: list[Env], outer: Env) -> list[tuple[list[Any], Env]]:
        groups: dict[Any, list[Env]] = {}
        for env in envs:
            groups.setdefault(tuple(identity(self.value(g, env)) for g in query.group), []).append(env)
        if not query.group and not groups:
            groups[()] = []
        rows = []
        for members in groups.values():
            first = members[0] if members else {**outer, **{s.alias: None for s in query.sources}}
            if query.having is None or self.value(query.having, first, members) is True:
                keys = [sortable(self.value(e, first, members), desc) for e, desc in _order(query)]
                rows.append((keys, [self.value(e, first, members) for e, _ in query.select], first))
        if query.order:
            rows.sort(key=lambda row: row[0])
        return [(values, env) for _, values, env in rows]

    def _ordered(self, query: Query, envs: list[Env]) -> list[Env]:
        order = _order(query)
        return sorted(envs, key=lambda env: [sortable(self.value(e, env), descending) for e, descending in order])


def _order(query: Query) -> list[tuple[Any, bool]]:
    """Return what a query is ordered by, with names of selected values replaced by what they stand for."""
    named = {Path((name,)): expression for expression, name in query.select if name}
    return [(named.get(e, e) if isinstance(e, Path) else e, descending) for e, descending in query.order]
