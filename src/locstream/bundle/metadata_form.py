"""``locstream metadata``: the form in which the user says what only the user knows."""

from __future__ import annotations

import argparse
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from locstream.bundle.metadata import Metadata
from locstream.errors import ConfigError
from locstream.settings import what_is_wrong

HEAD = """\
# What only you know of an experiment; it is filed with the data. Fill in what you like and leave out the rest.
# `locstream run CONFIG.toml --metadata THIS_FILE` takes it for one run; what is the same on an instrument every day
# may stand in CONFIG.toml instead, under [metadata], [metadata.objective], [[metadata.laser]] and so on.
"""


def form() -> str:
    """Return an empty form as commented TOML, which is a valid one."""
    return "\n".join([HEAD, *_fields(Metadata)]) + "\n"


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what a filled-in form says.

    Raises
    ------
    ConfigError
        It cannot be read, is no TOML, has a key that is not known or a value that is not valid.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
        Metadata.model_validate(values)
    except OSError as error:
        raise ConfigError(
            f"the metadata {path} cannot be read: {error.strerror}", todo="`locstream metadata > FILE` makes a form"
        ) from error
    except ValidationError as error:
        wrong = what_is_wrong(error, Metadata)
        raise ConfigError(
            f"the metadata {path} is not valid:\n  " + "\n  ".join(wrong),
            safe="nothing was started",
            todo="correct it; `locstream metadata` prints every key",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the metadata {path} is not TOML: {error}", safe="nothing was started") from error
    return values


def command(arguments: Sequence[str]) -> int:
    """Print an empty form for sample, labelling, objective, lasers, people and licence; or check a filled-in one."""
    parser = argparse.ArgumentParser(prog="locstream metadata", description=command.__doc__)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a filled-in form (print an empty one)")
    given = parser.parse_args(arguments).file
    if given is None:
        print(form(), end="")
        return 0
    pairs = Metadata.model_validate(read_metadata(given)).pairs()
    for key, value in pairs.items():
        print(f"{key}: {value}")
    if not pairs:
        print(f"{given} is a valid form, and nothing is filled in yet")
    return 0


def _fields(model: type[BaseModel], mark: str = "") -> Iterator[str]:
    """Give the lines of a table, what is optional behind `mark`; tables in it follow."""
    tables: list[tuple[str, type[BaseModel], str]] = []
    for key, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            tables.append((f"[{key}]", kind, kind.__doc__ or ""))
        elif kind is not None and (inner := get_args(kind)) and isinstance(inner[0], type) and inner[-1] is Ellipsis:
            tables.append((f"# [[{key}]]", inner[0], field.description or ""))
        else:
            yield from _comment(field.description or "")
            yield f'{mark}{key} = ""' if field.default == "" and not mark else f"# {key} ="
    for header, table, meaning in tables:
        yield ""
        yield from _comment(meaning)
        yield header
        yield from _fields(table, "# " if header.startswith("#") else "")


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), 110, break_on_hyphens=False):
        yield f"# {line}"
