"""Make the environment in which another program reads our files.

    python tests/peer/make_environment.py picasso

installs exactly the versions of requirements/peer-NAME.txt into build/peers/NAME: other programs cannot share
locstream's own environment, because they need other versions of the same libraries. An environment that was made
from the same file is taken as it is. Needs an interpreter with pip.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build" / "peers"


def requirements(name: str) -> Path:
    """Return the file that lists a peer's exact versions."""
    return ROOT / "requirements" / f"peer-{name}.txt"


def python_of(name: str) -> Path | None:
    """Return the interpreter of a peer's environment, or None where there is none of these versions."""
    stamp = PEERS / name / "ready"
    if not stamp.exists() or stamp.read_text() != _wanted(name):
        return None
    return PEERS / name / "bin" / "python"


def make(name: str) -> Path:
    """Make a peer's environment where it is not there; return its interpreter.

    Raises
    ------
    subprocess.CalledProcessError
        pip could not install it.
    """
    ready = python_of(name)
    if ready is not None:
        return ready
    folder = PEERS / name
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=False, symlinks=True)  # pip need not be in it; Debian's python3 could not put it there
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--only-binary=:all:", "--requirement", str(requirements(name))], check=True)
    (folder / "ready").write_text(_wanted(name))
    return python


def _wanted(name: str) -> str:
    return hashlib.sha256(sys.version.encode() + requirements(name).read_bytes()).hexdigest()


if __name__ == "__main__":
    print(make(sys.argv[1]))
