"""Functions and operators of HQL on plain values, and the order that PostgreSQL puts values into."""

import re
from collections.abc import Callable
from typing import Any

from .hql_parse import AGGREGATES
from .hql_tree import Call, Case
from .store import Row


def like(text: str, pattern: str) -> bool:
    parts = re.split("([%_])", pattern)
    return re.fullmatch("".join({"%": ".*", "_": "."}.get(p, re.escape(p)) for p in parts), text, re.DOTALL) is not None


PLAIN: dict[str, Callable[..., Any]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "not": lambda a: not a,
    "like": like,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "||": lambda a, b: f"{a}{b}",
    "concat": lambda *a: "".join(str(x) for x in a),
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "length": len,
    "str": str,
    "abs": abs,
    "max": max,
    "min": min,
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def identity(value: Any) -> Any:
    return value.ref.id if isinstance(value, Row) else value


def sortable(value: Any, descending: bool) -> Any:
    value = identity(value)
    key = (value is not None, value) if not isinstance(value, str) else (True, value)  # PostgreSQL: nulls are last
    return _Reversed(key) if descending else _Ascending(key)


class _Ascending:
    def __init__(self, key: tuple[bool, Any]) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ascending) and self.key == other.key

    def __lt__(self, other: "_Ascending") -> bool:
        if self.key[0] != other.key[0]:
            return self.key[0]
        return bool(self.key[0] and self.key[1] < other.key[1])


class _Reversed(_Ascending):
    def __lt__(self, other: "_Ascending") -> bool:
        return _Ascending(other.key) < _Ascending(self.key)


def has_aggregate(e: Any) -> bool:
    if isinstance(e, Case):
        return any(has_aggregate(x) for branch in e.branches for x in branch) or has_aggregate(e.otherwise)
    return isinstance(e, Call) and (e.name in AGGREGATES or any(has_aggregate(a) for a in e.args))
