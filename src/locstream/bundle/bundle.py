"""A finished run as it is handed on: its files, each held to its checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from locstream.bundle.checksum import sha256_of
from locstream.bundle.crate import RUN, Entity, file_entities, read_crate, run_id
from locstream.bundle.files import CRATE, RunFiles
from locstream.bundle.whole_stack import check_whole
from locstream.errors import LocstreamError


@dataclass(frozen=True)
class Bundle:
    """A finished run.

    Parameters
    ----------
    files
        Names of the run.
    uuid
        Identifier of the acquisition, the same wherever it is filed.
    sha256
        Checksum of each file by its name, from the folder on: that of a file in a folder has slashes.
    graph
        What the folder's crate says.
    """

    files: RunFiles
    uuid: str
    sha256: Mapping[str, str]
    graph: Mapping[str, Entity]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, the crate not among them."""
        return tuple(self.files.folder / name for name in self.sha256)

    @property
    def n_bytes(self) -> int:
        """What they have together, bytes."""
        return sum(path.stat().st_size for path in self.paths)

    def check(self) -> None:
        """Read every file and compare it with its checksum.

        Raises
        ------
        LocstreamError
            A file is missing or altered, or the raw stack is cut short: it is not to be handed on.
        """
        for path in self.paths:
            if not path.is_file() or sha256_of(path) != self.sha256[self.files.name_of(path)]:
                raise LocstreamError(
                    f"{path} is not as it was when the run was finished",
                    safe="it is not handed on, and left as it is",
                    todo=f"`locstream verify {self.files.folder}` names what is missing or altered",
                )
        if self.files.stack.name in self.sha256:
            check_whole(self.files.stack)


def open_bundles(folder: Path) -> tuple[Bundle, ...]:
    """Return the finished runs in a folder, by name.

    Parameters
    ----------
    folder
        Folders inside it are not looked into.

    Raises
    ------
    LocstreamError
        The folder has no description, or one that is not as locstream writes it.
    """
    folder = folder.resolve()
    graph = read_crate(folder / CRATE)
    described = file_entities(graph)
    runs = [entity for entity in graph.values() if entity.get("@type") == RUN]
    return tuple(sorted((_bundle(folder, run, described, graph) for run in runs), key=lambda found: found.files.name))


def _bundle(folder: Path, run: Entity, described: Mapping[str, Entity], graph: Mapping[str, Entity]) -> Bundle:
    try:
        name, uuid = unquote(run["@id"].strip("#/")), run["identifier"]
        names = [unquote(part) for part in _parts(run)]
        sha256 = {part: described[part]["sha256"] for part in names}
        if not name or Path(name).name != name or not isinstance(uuid, str):
            raise ValueError(name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LocstreamError(
            f"{folder / CRATE} does not describe the run {run.get('@id')!r} as locstream does: {error!r}",
            todo="restore the file from a copy",
        ) from error
    return Bundle(RunFiles(folder, name), uuid, sha256, graph)


def _parts(run: Entity) -> list[str]:
    """Return the identifiers of a run's files."""
    parts = run["hasPart"]
    return [part["@id"] for part in (parts if isinstance(parts, list) else [parts])]


def entities_of(bundle: Bundle) -> list[Entity]:
    """Return what the crate says of one run, and nothing of the others in its folder."""
    others: set[str] = set()
    for entity in bundle.graph.values():
        if entity.get("@type") == RUN and entity["@id"] != run_id(bundle.files.name):
            others |= set(_parts(entity))
            others |= {name for name in bundle.graph if name.startswith(entity["@id"])}
    left_out = {*others, "./", CRATE}
    return [entity for name, entity in bundle.graph.items() if name not in left_out]
