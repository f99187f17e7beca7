"""Holds the files of a folder to what its `ro-crate-metadata.json` says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from locstream.bundle.checksum import sha256_of
from locstream.bundle.crate import file_entities, read_crate
from locstream.bundle.files import CRATE
from locstream.bundle.recovery import unfinished_runs
from locstream.bundle.whole_file import files_in
from locstream.bundle.whole_stack import check_whole
from locstream.errors import LocstreamError


@dataclass(frozen=True)
class Verified:
    """What was found.

    Parameters
    ----------
    whole
        Names of the files that are as they were.
    faults
        A sentence for every file that is missing, altered, cut short, not finished or not accounted for.
    """

    whole: tuple[str, ...]
    faults: tuple[str, ...]


def verify_folder(folder: Path, progress: Callable[[str], object] = lambda name: None) -> Verified:
    """Read every file of a folder of finished runs and compare it with its SHA-256. Nothing is changed.

    Parameters
    ----------
    folder
        The folder. Folders inside it belong to no run.
    progress
        Told the name of each file before it is read.

    Raises
    ------
    LocstreamError
        The folder has no description, or one that cannot be read.
    """
    described = file_entities(read_crate(folder / CRATE))
    whole, faults = [], []
    for name, entity in described.items():
        progress(name)
        fault = _fault(folder / name, entity.get("contentSize"), entity.get("sha256"))
        if fault is None:
            whole.append(name)
        else:
            faults.append(f"{name}: {fault}")
    faults += [f"{run.name}: is not finished; `locstream recover {folder}`" for run in unfinished_runs(folder)]
    faults += [f"{name}: is extra, no run made it" for name in _extra(folder, {*described, CRATE})]
    return Verified(tuple(whole), tuple(faults))


def _extra(folder: Path, known: set[str]) -> list[str]:
    """Return the names of what no run made: in the folder, and in the folders of which files are known."""
    folders = {PurePosixPath(name).parts[0] for name in known if "/" in name}
    there = [path for path in sorted(folder.iterdir()) if path.name not in folders]
    there += [path for name in sorted(folders) for path in files_in(folder / name)]
    return [name for path in there if (name := path.relative_to(folder).as_posix()) not in known]


def _fault(path: Path, size: object, sha256: object) -> str | None:
    if not isinstance(sha256, str):
        return "has no checksum in the crate"
    if not path.is_file():
        return "is missing"
    try:
        if str(there := path.stat().st_size) != size:
            return f"is altered: it has {there:,} bytes and had {size}"
        if sha256_of(path) != sha256:
            return "is altered: its content is another one, of the same size"
        if path.name.endswith(".ome.tif") and not path.name.endswith("_recon.ome.tif"):
            check_whole(path)
    except LocstreamError as error:
        return error.what
    return None
