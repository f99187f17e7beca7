"""Where compiled kernels are kept: a folder of their own for each version of what they are made from.

numba looks at the file of a kernel alone to tell whether what it kept is still good, not at the kernels and types of
other files that it calls: after an upgrade it would run old code, or fail to load what names a type that is gone. A
folder named after all sources leaves nothing to guess. Nothing here imports numba, which reads its settings once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

SETTING = "NUMBA_CACHE_DIR"
KEPT = 5
"""Folders of other versions that stay, those used last: two installations may take turns."""
SOURCES = ("compiled.py", "fitting", "rendering", "localizations.py")
"""What kernels are made from, within the package."""


def choose_kernel_cache(version: str) -> Path | None:
    """Tell numba, in this process and those it starts, where to keep kernels; return the folder.

    What the user has set in ``NUMBA_CACHE_DIR`` stays. Without a folder that can be written to, or where numba was
    imported before, nothing is changed, and numba finds a place by itself: None.
    """
    if "numba" in sys.modules:
        return None
    try:
        folder = cache_home() / "numba" / f"{version}-{sources_digest()}"
        given = os.environ.get(SETTING)
        if given and Path(given).parent != folder.parent:  # else it is a choice of ours, in a process before this one
            return None
        is_new = not folder.exists()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(folder)  # when it was used last
    except (OSError, RuntimeError):  # read-only, or a user without a home
        return None
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    if is_new:
        forget_old(folder)
    os.environ[SETTING] = str(folder)
    return folder


def cache_home() -> Path:
    """Return the folder for what can be made again: systemd's CACHE_DIRECTORY, or the user's own.

    Raises
    ------
    RuntimeError
        The user has none.
    """
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0])
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "locstream"


def sources_digest(package: Path = Path(__file__).parent) -> str:
    """Return a short digest of all that kernels are made from."""
    digest = hashlib.sha256()
    for name in SOURCES:
        for path in sorted((package / name).glob("*.py")) or [package / name]:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def forget_old(newest: Path) -> None:
    """Remove the folders of other versions but for those used last."""
    others = [path for path in newest.parent.iterdir() if path.is_dir() and path != newest]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
