"""Other programs' own readers, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from peer.make_environment import make, python_of


@pytest.fixture(scope="session")
def picasso_python() -> Path:
    """Return the interpreter that has Picasso; made here where CI=true, else the test is skipped without it."""
    python = python_of("picasso")
    if python is None and os.environ.get("CI") == "true":
        try:
            python = make("picasso")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"Picasso could not be installed here: {error}")
    if python is None:
        pytest.skip(
            "Picasso is not installed beside the project: `python tests/peer/make_environment.py picasso` "
            "does it (20 s on a good line, 0.7 GB)"
        )
    return python


def _made(name: str, what: str) -> Path:
    """Return a peer's interpreter where it was made before; else the test is skipped."""
    python = python_of(name)
    if python is None:
        pytest.skip(f"{what} is not installed beside the project: `python tests/peer/make_environment.py {name}`")
    return python


@pytest.fixture(scope="session")
def rocrate_python() -> Path:
    """Return the interpreter that has RO-Crate's reader and validator."""
    return _made("rocrate", "ro-crate-py")


@pytest.fixture(scope="session")
def pyme_python() -> Path:
    """Return the interpreter that has PYME."""
    return _made("pyme", "PYME")
