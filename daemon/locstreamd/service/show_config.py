"""Prints the effective configuration: every key, its value, where the value came from, what it means."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from locstream.settings import model_in
from locstreamd.service.config import FitSettings
from locstreamd.service.load_config import Loaded

COLUMN = 44


def show_config(loaded: Loaded) -> str:
    """Return the effective configuration as commented TOML that can be loaded again."""
    return "\n".join(_table(loaded.config, "", loaded.origins)) + "\n"


def _table(model: BaseModel, name: str, origins: Mapping[str, str]) -> Iterator[str]:
    tables: list[Iterator[str]] = []
    derived = model.derived if isinstance(model, FitSettings) else ()
    for key, field in type(model).model_fields.items():
        value = getattr(model, key)
        dotted = f"{name}.{key}" if name else key
        if isinstance(value, BaseModel):
            tables.append(_with_header(value, f"[{dotted}]", dotted, origins))
        elif isinstance(value, tuple) and value and all(isinstance(v, BaseModel) for v in value):
            tables += [_with_header(v, f"[[{dotted}]]", dotted, origins) for v in value]
        elif (absent := model_in(field.annotation)) is not None:
            header = f"[{dotted}]" if value is None else f"[[{dotted}]]"
            tables.append(_absent(absent, header, field.description))
        elif key in derived:
            yield from _comment(field.description)
            yield f"# {key} follows from astigmatism"
        else:
            yield from _entry(key, value, origins.get(dotted, _inherited(dotted, origins)), field.description)
    for table in tables:
        yield from table


def _with_header(model: BaseModel, header: str, dotted: str, origins: Mapping[str, str]) -> Iterator[str]:
    yield ""
    yield from _comment(type(model).__doc__)
    yield header
    yield from _table(model, dotted, origins)


def _absent(model: type[BaseModel], header: str, description: str | None) -> Iterator[str]:
    """Give a table that is not there as comments, with the defaults it would have."""
    yield ""
    yield from _comment(description)
    yield f"# {header}"
    for key, field in model.model_fields.items():
        for line in _comment(field.description):
            yield f"#   {line}"
        if field.is_required():
            yield f"#   {key} = …  (required)"
        elif field.default is None or field.default == ():
            yield f"#   {key} is not set"
        else:
            yield f"#   {key} = {_toml(field.get_default(call_default_factory=True))}"


def _inherited(dotted: str, origins: Mapping[str, str]) -> str:
    """Return where a table that was given as a whole (an array, an override) came from."""
    parts = dotted.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        if (origin := origins.get(".".join(parts[:depth]))) is not None:
            return origin
    return "default"


def _entry(key: str, value: object, origin: str, description: str | None) -> Iterator[str]:
    yield from _comment(description)
    if value is None or value == ():
        yield f"# {key} is not set"
    else:
        line = f"{key} = {_toml(value)}"
        yield f"{line:<{COLUMN}} # {origin}"


def _comment(text: str | None) -> Iterator[str]:
    for line in textwrap.wrap(" ".join((text or "").split()), 100, break_on_hyphens=False):
        yield f"# {line}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False, default=str)
