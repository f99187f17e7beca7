"""The Ice that is built here for OMERO's client library carries calls, data and errors over TCP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.peer
HERE = Path(__file__).parent


def test_calls_data_and_errors_cross_the_wire(omero_python: Path) -> None:
    done = subprocess.run([omero_python, HERE / "ping.py"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "same": True,
        "crossed": "no such place",
        "wrong": "stringToProxy expects a string for argument 'str'",
        "ice": "3.6.5",
        "image": "pores",
        "request": "RawAccessRequest",
        "python": list(sys.version_info[:2]),
    }
