"""Make the environment in which the upload runs against OMERO's own client library.

    python tests/omero_wire/make_environment.py

omero-py needs Ice 3.6, which is published as source only and does not compile on Python 3.11 or newer as it is.
This builds it, unmodified, with the two headers of iceshim/ before Python's own (and on 3.12 or newer a two-line
`imp.py` beside it), and installs it with omero-py into an environment of its own in the user's cache folder: both are
GPL and never part of locstream. The wheel stays in the cache, so that only the first time takes minutes. Needs a C++
compiler and the headers of OpenSSL and bzip2 (Debian: g++ libssl-dev libbz2-dev).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "locstream"
ICE = "zeroc-ice==3.6.5"
OMERO = "omero-py==5.23.0"
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
ENVIRONMENT = CACHE / f"omero-{TAG}"


def python_of_environment() -> Path | None:
    """Return the interpreter of the environment, or None where there is none of these versions."""
    stamp = ENVIRONMENT / "ready"
    if not stamp.exists() or stamp.read_text() != _wanted():
        return None
    return ENVIRONMENT / "bin" / "python"


def ice_wheel() -> Path:
    """Return the wheel of Ice for this Python, built where it is not there yet.

    Raises
    ------
    subprocess.CalledProcessError
        It could not be fetched or built; what the compiler said stands above.
    """
    wheels = CACHE / f"ice-{TAG}"
    if built := sorted(wheels.glob("zeroc_ice-*.whl")):
        return built[-1]
    flags = "-O1 -g0 -DNDEBUG"
    build = {**os.environ, "CPPFLAGS": f"-I{HERE / 'iceshim'}", "CFLAGS": flags, "CXXFLAGS": flags}
    part = CACHE / f"ice-{TAG}.{os.getpid()}.part"
    subprocess.run([*_pip(), "wheel", "--quiet", "--no-deps", "--wheel-dir", part, ICE], check=True, env=build)
    shutil.rmtree(wheels, ignore_errors=True)
    part.rename(wheels)
    return next(wheels.glob("zeroc_ice-*.whl"))


def make() -> Path:
    """Make the environment where it is not there; return its interpreter.

    Raises
    ------
    subprocess.CalledProcessError
        Something could not be installed.
    """
    ready = python_of_environment()
    if ready is not None:
        return ready
    CACHE.mkdir(parents=True, exist_ok=True)
    wheel = ice_wheel()
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    venv.create(ENVIRONMENT, with_pip=False, symlinks=True)
    python = ENVIRONMENT / "bin" / "python"
    pip = [*_pip(), "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, wheel, OMERO], check=True)
    if sys.version_info >= (3, 12):
        site = Path(sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)}))
        (site / "imp.py").write_text("from types import ModuleType as new_module\n")
    (ENVIRONMENT / "ready").write_text(_wanted())
    return python


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip"]


def _wanted() -> str:
    return hashlib.sha256(sys.version.encode() + Path(__file__).read_bytes()).hexdigest()


if __name__ == "__main__":
    print(make())
