"""Files runs in a folder, on a network share say: every file is copied, read back and compared."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from locstream.bundle.bundle import Bundle, entities_of
from locstream.bundle.checksum import sha256_of
from locstream.bundle.crate import run_id, write_crate
from locstream.bundle.files import RunFiles
from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.upload.filer import Check, Progress, UnreachableError

BLOCK = 4 * 2**20
_FOR_GOOD = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR)


class FolderFiler:
    """Copies a run into ``FOLDER/NAME-UUID``; what is there already, and right, is not copied again.

    Parameters
    ----------
    folder
        Where the lab keeps its data. It must be there: a share that is not mounted is not filled in its place.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def preflight(self) -> list[Check]:
        """See that the folder is there and may be written."""
        there = self._folder.is_dir()
        may = there and os.access(self._folder, os.W_OK | os.X_OK)
        said = "can be written" if may else "cannot be written" if there else "is not there"
        return [Check("folder", may, f"{self._folder} {said}", "" if may else "mount it, or have it made writable")]

    def idle(self) -> None:
        """Nothing has to be kept alive."""

    def file(self, bundle: Bundle, progress: Progress) -> str:
        """Copy what is missing, then its description; see `locstream.upload.filer.Filer`."""
        if not self._folder.is_dir():
            raise UnreachableError(
                f"the folder {self._folder} is not there",
                safe=f"the run stays in {bundle.files.folder}",
                todo="mount it",
            )
        target = self._folder / f"{bundle.files.name}-{bundle.uuid}"
        try:
            target.mkdir(exist_ok=True)
            done, total = 0, bundle.n_bytes
            for path in bundle.paths:
                name = bundle.files.name_of(path)
                wanted = bundle.sha256[name]
                if not (target / name).exists() or sha256_of(target / name) != wanted:
                    (target / name).parent.mkdir(parents=True, exist_ok=True)
                    self._copy(path, target / name, wanted, partial(progress, name), done, total)
                done += path.stat().st_size
                progress(name, done, total)
            run = bundle.graph[run_id(bundle.files.name)]
            root = bundle.graph["./"]
            about = {"name": run["name"], "description": run["description"]}
            about |= {key: root[key] for key in ("datePublished", "license")}
            write_crate(RunFiles(target, bundle.files.name), about, entities_of(bundle))
        except OSError as error:
            raise _trouble(target, bundle, error) from error
        return target.as_uri()

    def _copy(
        self, source: Path, target: Path, sha256: str, progress: Callable[[int, int], None], done: int, total: int
    ) -> None:
        """Copy a file; it gets its name when what was read back is what was sent."""
        for left in target.parent.glob(f".{target.name}.*.part"):
            left.unlink(missing_ok=True)
        with whole_file(target, overwrite=True) as part:
            with source.open("rb") as file, part.open("wb") as copy:
                while block := file.read(BLOCK):
                    copy.write(block)
                    done += len(block)
                    progress(done, total)
            if sha256_of(part) != sha256:
                raise LocstreamError(
                    f"what arrived of {source.name} in {target.parent} is not what was sent",
                    safe=f"{source} is as it was; the copy was removed",
                    todo="have the disk of that folder checked, then `locstream upload retry`",
                )


def _trouble(target: Path, bundle: Bundle, error: OSError) -> LocstreamError:
    kind = LocstreamError if error.errno in _FOR_GOOD else UnreachableError
    return kind(
        f"{target} cannot be written: {error.strerror or error}",
        safe=f"the run stays in {bundle.files.folder}",
        todo="have the folder made writable, then `locstream upload retry`" if kind is LocstreamError else "",
    )
