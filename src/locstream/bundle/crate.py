"""Describes a folder of finished runs: what each file is, and what it was made from.

`ro-crate-metadata.json` is an RO-Crate 1.1 (Soiland-Reyes et al., Data Science 5, 97, 2022): JSON-LD that repositories
and people read without locstream. It has the SHA-256 of every file, and so `locstream verify` needs nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from locstream.bundle.files import CRATE, RunFiles
from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.results.lock import FileLock

Entity = dict[str, Any]

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "http://schema.org/sha256"}]
"""RO-Crate 1.1 has no word for a checksum; schema.org has."""
PROFILE = "https://w3id.org/ro/crate/1.1"
ROOT = "./"
RUN = "Collection"
"""A run among several in a folder: no folder of its own, which would be a Dataset."""
NO_LICENCE = "No licence was given: ask the authors before you use the data."
DAMAGED = ".damaged"
PATIENCE_S = 30.0
_LOCK = ".ro-crate.lock"


def file_id(name: str) -> str:
    """Return the identifier of a file of the folder: its name, from the folder on, as an address has it."""
    return quote(name)


def run_id(name: str, part: str = "") -> str:
    """Return the identifier of something of a run that is no file."""
    return f"#{quote(name)}/{part}"


def ref(entity: Entity | str) -> Entity:
    """Return a reference to an entity."""
    return {"@id": entity if isinstance(entity, str) else entity["@id"]}


def write_crate(files: RunFiles, about: Mapping[str, Any], entities: Iterable[Entity]) -> None:
    """Put a run into the description of its folder; what is said there of other runs stays.

    Parameters
    ----------
    files
        Names of the run.
    about
        Properties of the folder, where the run is the only one in it.
    entities
        Files and everything else of the run.

    Raises
    ------
    LocstreamError
        Another process does not come to an end with describing the folder, or the disk refuses.
    """
    with _lock(files):
        try:
            for left in files.folder.glob(f".{CRATE}.*.part"):
                left.unlink(missing_ok=True)
            ours = {entity["@id"]: entity for entity in entities}
            graph = {**_others(files), **ours}
            told = [_descriptor(), _root(files, about, graph), *graph.values()]
            content = {"@context": CONTEXT, "@graph": [_compact(entity) for entity in told]}
            with whole_file(files.crate, overwrite=True) as part:
                part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise LocstreamError(
                f"{files.crate} could not be written: {error.strerror or error}",
                safe="it changes no other file; frames and localizations are as they were",
                todo=f"make room, then `locstream recover {files.folder}`",
            ) from error


def read_crate(path: Path) -> dict[str, Entity]:
    """Return the entities of a crate by identifier.

    Raises
    ------
    LocstreamError
        The file is not there, or not an RO-Crate.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        graph = {entity["@id"]: entity for entity in content["@graph"]}
        if graph[ROOT]["@type"] != "Dataset":
            raise ValueError(graph[ROOT]["@type"])
    except OSError as error:
        raise LocstreamError(
            f"{path} cannot be read: {error.strerror}",
            todo="give the folder of a finished run; `locstream recover FOLDER` finishes one that was killed",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LocstreamError(f"{path} is not an RO-Crate: {error!r}", todo="restore the file from a copy") from error
    return graph


def file_entities(graph: Mapping[str, Entity]) -> dict[str, Entity]:
    """Return what a crate says of the folder's files, by name.

    Raises
    ------
    LocstreamError
        A part of the crate is described nowhere, or lies outside the folder.
    """
    found = {}
    parts = graph[ROOT].get("hasPart", [])
    for part in parts if isinstance(parts, list) else [parts]:
        name = unquote(part["@id"]) if isinstance(part, dict) and isinstance(part.get("@id"), str) else ""
        if not _is_inside(name) or part["@id"] not in graph:
            raise LocstreamError(f"the crate has a part that is no file of its folder: {part!r}")
        found[name] = graph[part["@id"]]
    return found


def _is_inside(name: str) -> bool:
    """Say whether a name leads to a file of the folder, or of a folder in it."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _lock(files: RunFiles) -> FileLock:
    """Hold the description; another run of the folder that ends just now needs it for milliseconds."""
    return FileLock(files.folder / _LOCK, files.crate, PATIENCE_S)


def _others(files: RunFiles) -> dict[str, Entity]:
    """Return what the crate says of other runs; one that cannot be read is kept aside."""
    if not files.crate.exists():
        return {}
    try:
        graph = read_crate(files.crate)
    except LocstreamError:
        files.crate.replace(files.crate.with_name(CRATE + DAMAGED))
        return {}
    ours = tuple(file_id(path.name) for path in files.finished)
    inside = f"{file_id(files.ome_zarr.name)}/"
    return {
        name: entity
        for name, entity in graph.items()
        if name not in {*ours, ROOT, CRATE} and not name.startswith((run_id(files.name), inside))
    }


def _descriptor() -> Entity:
    return {"@id": CRATE, "@type": "CreativeWork", "conformsTo": ref(PROFILE), "about": ref(ROOT)}


def _root(files: RunFiles, about: Mapping[str, Any], graph: Mapping[str, Entity]) -> Entity:
    runs = [name for name, entity in graph.items() if entity["@type"] == RUN]
    if len(runs) > 1:
        told = {"name": files.folder.resolve().name or "runs", "description": f"{len(runs)} runs of locstream."}
        about = {**{key: about[key] for key in ("datePublished", "license")}, **told}
    return {
        "@id": ROOT,
        "@type": "Dataset",
        **about,
        "hasPart": [ref(name) for name, entity in graph.items() if entity["@type"] == "File"],
        "mentions": [ref(name) for name, entity in graph.items() if entity["@type"] in ("CreateAction", RUN)],
    }


def _compact(entity: Entity) -> Entity:
    """Return an entity as RO-Crate wants it written: one value stands by itself, none is left out."""
    plain = {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in entity.items()}
    return {key: value for key, value in plain.items() if value != []}
