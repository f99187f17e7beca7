"""Makes the environment with OMERO's client library, where Ice has to be compiled.

omero-py needs Ice 3.6, which is published as source only and does not compile on Python 3.11 or newer as it is. Here
it is built, unmodified, with the two headers of iceshim/ before Python's own (and on 3.12 or newer a two-line
`imp.py` beside it). The wheel stays in the cache, so that only the first time takes minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.kernel_cache import cache_home
from locstream.omero.client_library import (
    ICE,
    OMERO,
    SHIM,
    TAG,
    environment,
    is_made,
    is_ready,
    packages,
    wanted,
)

NEEDS = "a C++ compiler and the headers of Python, OpenSSL and bzip2 (Debian: g++ python3-dev libssl-dev libbz2-dev)"


def install(tell: Callable[[str], None] = lambda text: None) -> Path:
    """Make the environment with the library where it is not there; return its folder. See `make_environment`."""
    return environment() if is_ready() else make_environment(environment(), (OMERO,), tell)


def make_environment(
    folder: Path, requirements: Sequence[str], tell: Callable[[str], None] = lambda text: None
) -> Path:
    """Make an environment of this Python with Ice and what needs it, where it is not there; return its folder.

    Parameters
    ----------
    folder
        The environment; what is there of another version is replaced.
    requirements
        What pip is to install besides Ice.
    tell
        Told what takes time.

    Raises
    ------
    LocstreamError
        Something could not be fetched or built; what the compiler said stands above.
    """
    if is_made(folder, requirements):
        return folder
    try:
        cache_home().mkdir(parents=True, exist_ok=True)
        wheel = _ice_wheel(tell)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=False, symlinks=True)
        tell(f"installs {', '.join(requirements)} …")
        target = ["--python", str(folder / "bin" / "python"), "install", "--quiet"]
        _pip([*target, "--disable-pip-version-check", str(wheel), *requirements], dict(os.environ))
        if sys.version_info >= (3, 12):
            (packages(folder) / "imp.py").write_text("from types import ModuleType as new_module\n")
        (folder / "ready").write_text(wanted(requirements))
    except subprocess.CalledProcessError as error:
        raise LocstreamError(
            f"OMERO's client library could not be made: pip ended with status {error.returncode}",
            todo=f"it needs {NEEDS}, and a network; docs/omero.md names other ways",
        ) from error
    except OSError as error:
        raise LocstreamError(f"{cache_home()} cannot be written: {error.strerror or error}") from error
    return folder


def _ice_wheel(tell: Callable[[str], None]) -> Path:
    wheels = cache_home() / f"ice-{TAG}"
    if built := sorted(wheels.glob("zeroc_ice-*.whl")):
        return built[-1]
    tell(f"compiles {ICE}, which takes some minutes …")
    flags = "-O1 -g0 -DNDEBUG"
    build = {**os.environ, "CPPFLAGS": f"-I{SHIM}", "CFLAGS": flags, "CXXFLAGS": flags}
    part = cache_home() / f"ice-{TAG}.{os.getpid()}.part"
    _pip(["wheel", "--quiet", "--no-deps", "--wheel-dir", str(part), ICE], build)
    shutil.rmtree(wheels, ignore_errors=True)
    part.rename(wheels)
    return next(wheels.glob("zeroc_ice-*.whl"))


def _pip(arguments: list[str], variables: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True, env=variables)
