"""Finds OMERO's client library: in this Python, or where `locstream omero install` has put it.

omero-py and Ice are GPL and never part of locstream: only the uploader's process and the commands that talk to OMERO
load them, and what they load stays in that process.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import sysconfig
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.kernel_cache import cache_home

ICE = "zeroc-ice==3.6.5"
OMERO = "omero-py==5.23.0"
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
NEEDED = ("Ice", "omero")
VARIABLE = "LOCSTREAM_OMERO"
"""Environment variable that may name another environment of the same Python in which omero-py is installed."""
SHIM = Path(__file__).with_name("iceshim")


def environment() -> Path:
    """Return the environment that has the library, or is to have it: of `VARIABLE`, else our own."""
    given = os.environ.get(VARIABLE, "")
    return Path(given) if given else cache_home() / f"omero-client-{TAG}"


def wanted(requirements: Sequence[str] = (OMERO,)) -> str:
    """Return what an environment with these packages must have been made from."""
    shim = b"".join(path.read_bytes() for path in sorted(SHIM.iterdir()))
    return hashlib.sha256("\n".join((sys.version, ICE, *requirements)).encode() + shim).hexdigest()


def is_made(folder: Path, requirements: Sequence[str] = (OMERO,)) -> bool:
    """Say whether an environment is there, made for this Python and with these packages."""
    stamp = folder / "ready"
    return stamp.exists() and stamp.read_text() == wanted(requirements)


def is_ready() -> bool:
    """Say whether the environment is there and made for this Python; one that was named is taken at its word."""
    if os.environ.get(VARIABLE):
        return (packages(environment()) / "omero").is_dir()
    return is_made(environment())


def packages(folder: Path) -> Path:
    """Return where an environment keeps its packages."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))


def is_importable() -> bool:
    """Say whether the library would be found; nothing is loaded."""
    return all(find_spec(name) is not None for name in NEEDED) or is_ready()


def use() -> None:
    """Load the library into this process.

    What locstream itself uses comes first on the path: only what it has not comes from the environment.

    Raises
    ------
    LocstreamError
        The library is nowhere to be found.
    """
    if not all(find_spec(name) is not None for name in NEEDED):
        _find()
    with warnings.catch_warnings():  # it announces its own deprecated parts
        warnings.simplefilter("ignore")
        importlib.import_module("omero.clients")


def _find() -> None:
    if not is_ready():
        raise LocstreamError(
            "OMERO's client library (omero-py with Ice 3.6) is not installed",
            safe="what is queued stays queued",
            todo="`locstream omero install` makes it once (minutes), then `locstream upload retry`",
        )
    sys.path.append(str(packages(environment())))
