"""Where the bytes of OriginalFiles lie, and their checksums."""

import hashlib
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import omero

from .faults import Conditions
from .store import Row

MANAGED = "ManagedRepository"
BLOCK = 1 << 20


class Disk:
    """The server's data folder: files without a repository by their id, those of the managed one by their path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used = 0
        (folder / "Files").mkdir(parents=True, exist_ok=True)
        (folder / MANAGED).mkdir(exist_ok=True)

    def clear(self) -> None:
        """Remove every file."""
        for name in ("Files", MANAGED):
            shutil.rmtree(self.folder / name)

    def path(self, file: Row) -> Path:
        """Return where a file lies (omero-server, `OriginalFilesService`; `PublicRepositoryI` for the managed ones)."""
        if file["repo"] is None:
            return self.folder / "Files" / str(file.id)
        return self.folder / MANAGED / f"{file['path']}{file['name']}"

    def free(self, conditions: Conditions) -> int:
        """Return how many bytes there is room for."""
        if conditions.disk_bytes is not None:
            return max(conditions.disk_bytes - self.used, 0)
        return shutil.disk_usage(self.folder).free

    def grow(self, n_bytes: int, conditions: Conditions) -> None:
        """Take room for more bytes.

        Raises
        ------
        omero.ResourceError
            There is none left (`RawFileBean.write` makes this of an IOException).
        """
        if conditions.disk_bytes is not None and self.used + n_bytes > conditions.disk_bytes:
            raise omero.ResourceError(message="No space left on device")
        self.used += n_bytes


def checksum(path: Path, algorithm: str) -> str:
    """Return the checksum of a file as the server writes it (omero-common, `ChecksumProviderFactoryImpl`)."""
    if algorithm == "File-Size-64":
        return f"{path.stat().st_size:016x}"
    simple: dict[str, Callable[[bytes, int], int]] = {"CRC-32": zlib.crc32, "Adler-32": zlib.adler32}
    if algorithm in simple:
        value = 0 if algorithm == "CRC-32" else 1
        for block in _blocks(path):
            value = simple[algorithm](block, value)
        return f"{value:08x}"
    name = {"SHA1-160": "sha1", "MD5-128": "md5"}.get(algorithm)
    if name is None:
        raise omero.InternalException(message=f"the stand-in has no checksum {algorithm}")
    digest = hashlib.new(name)
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
