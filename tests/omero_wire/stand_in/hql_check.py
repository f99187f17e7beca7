"""Whether every name in a query is one of the model: found out from the text alone, whatever rows there are.

Hibernate does the same before it asks the database, so that a misspelt field is an error on an empty server, too.
"""

from typing import Any

from .hql_tree import Call, Case, HqlError, Path, Query
from .loading import DETAILS
from .model import Kind, kind_called, kinds, types_of
from .store import Pair, Quantity

UNITS = frozenset(("Length", "Time", "Frequency", "Power", "Pressure", "Temperature", "ElectricPotential"))
Types = dict[str, str]


def check(query: Query, outer: Types) -> None:
    """Check one query and the queries in it.

    Raises
    ------
    HqlError
        A name is not of the model, or no alias.
    """
    types = dict(outer)
    for source in query.sources:
        if source.path[0] in types:
            types[source.alias] = _element(types, source.path)
        elif source.joined:
            raise HqlError(f"a join must start at an alias, not at {source.path[0]!r}")
        else:
            kind = kind_called(".".join(source.path))
            if kind is None:
                raise HqlError(f"{'.'.join(source.path)} is not mapped")
            types[source.alias] = kind
        if source.condition is not None:
            _expression(source.condition, types)
    named = {name for _, name in query.select if name}
    for expression, _ in query.select:
        _expression(expression, types)
    for condition in (query.where, query.having):
        if condition is not None:
            _expression(condition, types)
    for expression in query.group + [e for e, _ in query.order]:
        if not (isinstance(expression, Path) and expression.names[0] in named and len(expression.names) == 1):
            _expression(expression, types)


def _expression(e: Any, types: Types) -> None:
    if isinstance(e, Path):
        follow(types, e.names)
    elif isinstance(e, Query):
        check(e, types)
    elif isinstance(e, Case):
        for part in [x for branch in e.branches for x in branch] + [e.otherwise]:
            _expression(part, types)
    elif isinstance(e, Call):
        collection = e.name in ("size", "is empty")
        for arg in e.args:
            if collection and isinstance(arg, Path):
                _element(types, arg.names)
            elif isinstance(arg, tuple):
                for one in arg:
                    _expression(one, types)
            else:
                _expression(arg, types)


def follow(types: Types, names: tuple[str, ...]) -> str:
    """Return the type that a path of single values leads to.

    Raises
    ------
    HqlError
        There is no such field, or one on the way is a collection.
    """
    path = names if names[0] in types else (_only(types, names), *names)
    at, before = types[path[0]], ""
    for i, name in enumerate(path[1:], 2):
        before, at = at, field(at, name)
        if at == "NamedValueList" or _is_collection(before, name):
            raise HqlError(f"illegal attempt to dereference the collection {'.'.join(path[:i])}: join it")
    return at


def _element(types: Types, path: tuple[str, ...]) -> str:
    """Return the type of what a join finds at the end of a path."""
    base = follow(types, path[:-1])
    found = field(base, path[-1])
    if found == "NamedValueList":
        return "NamedValue"
    if found not in _kind_names() and found != "Details":
        raise HqlError(f"{'.'.join(path)} cannot be joined: it is no object and no collection")
    return found


def field(of: str, name: str) -> str:
    """Return the type of one field of a type."""
    known: Types = {}
    if of == "Details":
        known = DETAILS
    elif of == "NamedValue":
        known = dict.fromkeys(Pair._fields, "RString")
    elif of in UNITS:
        known = dict.fromkeys(Quantity._fields[1:], "RString")
    elif of in _kind_names():
        known = {**types_of(of), "details": "Details", "class": "RString"}
    if name not in known:
        raise HqlError(f"could not resolve property: {name} of: {of}")
    return known[name]


def _is_collection(of: str, name: str) -> bool:
    return any(of in kind.lineage and name in kind.collections for kind in kinds().values())


def _kind_names() -> frozenset[str]:
    return frozenset(name for kind in _all_kinds() for name in kind.lineage)


def _all_kinds() -> list[Kind]:
    return list(kinds().values())


def _only(types: Types, names: tuple[str, ...]) -> str:
    anonymous = [alias for alias in types if alias.startswith("#")]
    if len(anonymous) != 1:
        raise HqlError(f"no alias {names[0]!r} for {'.'.join(names)}")
    return anonymous[0]
