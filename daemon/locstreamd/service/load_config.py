"""Reads a configuration and remembers where each value came from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from locstream.errors import ConfigError
from locstream.settings import Settings, what_is_wrong
from locstreamd.service.config import Config


class Loaded(NamedTuple):
    """A configuration and the origin of each value that is not a default, by dotted key."""

    config: Config
    origins: dict[str, str]


def load_config(path: Path | None, overrides: Mapping[str, object] | None = None) -> Loaded:
    """Read a TOML file and lay values from the command line over it.

    Parameters
    ----------
    path
        The file, or None for defaults only.
    overrides
        Values by dotted key, such as ``{"acquisition.name": "cell4"}``; they win over the file.

    Raises
    ------
    ConfigError
        No such file, not TOML, an unknown key (the nearest valid one is named), a value out of range.
    """
    document = {} if path is None else read_toml(path)
    origins = dict.fromkeys((key for key, _ in dotted(document)), str(path))
    for key, value in (overrides or {}).items():
        _set(document, key, value)
        origins = {k: o for k, o in origins.items() if not k.startswith(f"{key}.")}
        origins[key] = "command line"
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        source = "the command line" if path is None else str(path)
        sentences = "\n  ".join(what_is_wrong(error, Config))
        raise ConfigError(
            f"the configuration from {source} is not valid:\n  {sentences}",
            safe="nothing was started",
            todo="correct it; `locstream config show` prints every key with its value",
        ) from error
    return Loaded(_with_paths_from(config, path), origins)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file. Raises `ConfigError` where it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"the configuration {path} cannot be read: {error.strerror}", todo="check the path; config/ holds examples"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} is not TOML: {error}") from error


def _with_paths_from(config: Config, path: Path | None) -> Config:
    """Make relative paths of input files count from the configuration's own folder."""
    if path is None:
        return config
    base = path.resolve().parent
    update: dict[str, object] = {}
    if config.micromanager is not None:
        update["micromanager"] = _rebased(config.micromanager, base)
    if config.fit.astigmatism is not None:
        update["fit"] = _rebased(config.fit, base)
    return config.model_copy(update={**update, "camera": tuple(_rebased(c, base) for c in config.camera)})


def _rebased(settings: Settings, base: Path) -> Settings:
    names = type(settings).model_fields
    paths = {n: base / v.expanduser() for n in names if isinstance(v := getattr(settings, n), Path)}
    return settings.model_copy(update=paths)


def dotted(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the values of a document, each with its dotted key."""
    found = []
    for key, value in document.items():
        name = f"{prefix}{key}"
        found += dotted(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return found


def _set(document: dict[str, Any], key: str, value: object) -> None:
    *tables, last = key.split(".")
    for table in tables:
        document = document.setdefault(table, {})
        if not isinstance(document, dict):
            raise ConfigError(f"[{table}] must be a table of settings, and is {document!r}", safe="nothing was started")
    document[last] = value
