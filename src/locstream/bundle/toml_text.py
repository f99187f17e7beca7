"""Writes plain values as TOML, which Python's own library only reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(values: Mapping[str, Any]) -> str:
    """Return values as a TOML document.

    Parameters
    ----------
    values
        What JSON can hold. None, which TOML has not, is left out.
    """
    return "\n".join(_table(values, "")).lstrip("\n") + "\n"


def _table(values: Mapping[str, Any], name: str) -> Iterator[str]:
    """Give the lines of a table: what stands in it by itself first, as TOML wants it."""
    below = {key: value for key, value in values.items() if isinstance(value, Mapping) or _is_tables(value)}
    for key, value in values.items():
        if value is not None and key not in below:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in below.items():
        dotted = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(value, Mapping):
            yield from ("", f"[{dotted}]", *_table(value, dotted))
        else:
            for entry in value:
                yield from ("", f"[[{dotted}]]", *_table(entry, dotted))


def _is_tables(value: object) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(entry) for entry in value if entry is not None) + "]"
    raise TypeError(f"{value!r} has no form in TOML")


def _text(text: str) -> str:
    # a JSON string is a TOML string, but for the control character that JSON leaves as it is, and surrogates
    escaped = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return escaped.encode("utf-8", "replace").decode("utf-8")
