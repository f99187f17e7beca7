"""Other programs' own readers, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from peer.make_environment import make, python_of


def _made(name: str, what: str, *, in_ci: bool = False) -> Path:
    """Return a peer's interpreter; a quick one is made now where CI=true, else the test is skipped without it."""
    python = python_of(name)
    if python is None and in_ci and os.environ.get("CI") == "true":
        try:
            python = make(name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{what} could not be installed here: {error}")
    if python is None:
        pytest.skip(f"{what} is not installed beside the project: `python tests/peer/make_environment.py {name}`")
    return python


@pytest.fixture(scope="session")
def picasso_python() -> Path:
    """Return the interpreter that has Picasso (20 s on a good line, 0.7 GB)."""
    return _made("picasso", "Picasso", in_ci=True)


@pytest.fixture(scope="session")
def rocrate_python() -> Path:
    """Return the interpreter that has RO-Crate's reader and validator."""
    return _made("rocrate", "ro-crate-py", in_ci=True)


@pytest.fixture(scope="session")
def pyme_python() -> Path:
    """Return the interpreter that has PYME."""
    return _made("pyme", "PYME")


@pytest.fixture(scope="session")
def bioformats_jar() -> Path:
    """Return Bio-Formats as one jar."""
    python = _made("bioformats", "Bio-Formats", in_ci=True)
    return next(python.parents[1].glob("lib/python3*/site-packages/bioformats/jars/bioformats_package.jar"))


@pytest.fixture(scope="session")
def atheris_python() -> Path:
    """Return the interpreter that has the fuzzer (35 MB)."""
    return _made("atheris", "atheris", in_ci=True)


@pytest.fixture(scope="session")
def napari_python() -> Path:
    """Return the interpreter that has napari."""
    return _made("napari", "napari")
