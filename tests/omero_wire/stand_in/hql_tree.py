"""The tree of a query: what hql_parse.py makes of the text, and hql.py evaluates."""

from dataclasses import dataclass, field
from typing import Any


class HqlError(Exception):
    """The text is not a query that is understood here."""


@dataclass(frozen=True)
class Path:
    """An alias, and the fields that lead on from it."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Param:
    """A value that comes with the query."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A value in the text."""

    value: Any


@dataclass(frozen=True)
class Call:
    """A function or an aggregate, or an operator by its sign."""

    name: str
    args: tuple[Any, ...]
    distinct: bool = False


@dataclass(frozen=True)
class Case:
    """The first `then` whose `when` holds."""

    branches: tuple[tuple[Any, Any], ...]
    otherwise: Any


@dataclass(frozen=True)
class From:
    """One element of the from clause: a kind of object, or what a path from an earlier alias leads to."""

    path: tuple[str, ...]
    alias: str
    left: bool = False
    fetch: bool = False
    condition: Any = None
    joined: bool = True


@dataclass
class Query:
    """One statement."""

    select: list[tuple[Any, str]] = field(default_factory=list)
    distinct: bool = False
    as_map: bool = False
    sources: list[From] = field(default_factory=list)
    where: Any = None
    group: list[Any] = field(default_factory=list)
    having: Any = None
    order: list[tuple[Any, bool]] = field(default_factory=list)
    params: frozenset[str] = frozenset()
    """Names of the values that come with it; of the whole statement, in the outermost query only."""
