"""What the disk answers: which errors mean that it refused, in whose words, and waiting until it has everything."""

from __future__ import annotations

import os
import re
from pathlib import Path

REFUSALS = (OSError, RuntimeError)
"""What h5py raises where the disk refuses: RuntimeError from a flush, OSError elsewhere."""


def reason(error: Exception) -> str:
    """Return the operating system's own words, which h5py buries in a long text."""
    found = re.search(r"error message = '([^']+)'", str(error))
    return found[1] if found else str(error).splitlines()[0]


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the entries of a folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
