"""Finds what hands runs on: to a folder, or to a place that another part or package has brought by an entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from locstream.errors import ConfigError
from locstream.upload.filer import Filer
from locstream.upload.folder_filer import FolderFiler
from locstream.upload.settings import UploadSettings

GROUP = "locstream.filers"
"""Entry point group of the functions that make a `Filer` from the table of their name in the upload settings."""


def places() -> dict[str, EntryPoint]:
    """Return the installed places by the names of their tables."""
    return {point.name: point for point in entry_points(group=GROUP)}


def filer_of(settings: UploadSettings) -> Filer:
    """Return what hands runs on.

    Raises
    ------
    ConfigError
        The settings name no place, more than one, or one that is not installed; or its table is not valid.
    """
    known = places()
    for name in settings.places:
        if name not in known:
            raise ConfigError(
                f"[{name}]: there is no such place; known: {', '.join(['folder', *sorted(known)])}",
                safe="what is queued stays queued",
            )
    wanted = [*(["folder"] if settings.folder is not None else []), *(f"[{name}]" for name in settings.places)]
    if len(wanted) != 1:
        raise ConfigError(
            f"runs go to one place, and the upload settings name {' and '.join(wanted) or 'none'}",
            safe="what is queued stays queued",
        )
    if settings.folder is not None:
        return FolderFiler(settings.folder)
    ((name, table),) = settings.places.items()
    make: Callable[[Mapping[str, Any]], Filer] = known[name].load()
    return make(table)
