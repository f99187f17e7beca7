"""The clients that people have, unmodified, against the stand-in: what it answers is what they can live with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from omero_wire.stand_in_process import StandIn

pytestmark = pytest.mark.peer
HERE = Path(__file__).parent
CLIENT = "openmicroscopy.org/omero/client/mapAnnotation"


@pytest.fixture
def recon_file(tmp_path: Path) -> Path:
    path = tmp_path / "stack_recon.ome.tif"
    tifffile.imwrite(path, np.ones((40, 60), np.float32), ome=True, photometric="minisblack", metadata={"axes": "YX"})
    return path


def run(python: Path, program: str, *args: object) -> dict[str, Any]:
    command = [str(python), "-W", "ignore", str(HERE / program), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_blitz_gateway(omero_python: Path, omero_server: StandIn, stack_file: Path, recon_file: Path) -> None:
    found = run(omero_python, "gateway_client.py", omero_server.url, stack_file, recon_file)
    refused = found.pop("annotated")
    assert refused.startswith("Cannot link ome.model.core.Image:Id_1")
    assert found == {
        "user": "bob",
        "group": "lab",
        "owner": "ada",
        "may": [False] * 4,
        "image": ["stack.ome.tif", 30, 20, 7, "uint16"],
        "pixel_um": 0.1,
        "parent": ["2026-11-21", "SMLM"],
        "pairs": {"marker": [["bundle", "5f1c"], ["role", "raw"]], CLIENT: [["Reconstruction", "Image:2"]]},
        "there": True,
        "back": [["Raw data", "Image:1"]],
        "map_by_id": [["Reconstruction", "Image:2"]],
        "file": ["locs.csv", 40000, True],
        "files": [3],
        "links": 3,
        "imported_files": ["stack.ome.tif"],
        "dataset": [1, 2],
        "by_name": [1],
        "page": [2],
        "children": [1, 2],
        "count": 2,
        "fileset": [1],
        "datasets": ["2026-11-21"],
        "projects": ["SMLM"],
        "everywhere": True,
        "nothing": True,
        "alive": True,
        "after_delete": [1],
        "wrong": False,
    }
    assert not omero_server.sessions()  # each client ended its own


def test_ezomero(omero_python: Path, omero_server: StandIn, stack_file: Path, recon_file: Path) -> None:
    found = run(omero_python, "ezomero_client.py", omero_server.url, stack_file, recon_file)
    assert found == {
        "image_ids": [1, 2],
        "projects": [1],
        "datasets": [1],
        "image": ["stack.ome.tif", True],
        "pixels": [[7, 1, 20, 30, 1], True],
        "plane": True,
        "there": True,
        "back": True,
        "kept": True,
        "changed": ["Raw data", "note"],
        "digest": True,
        "table": [1000, ["frame", "x_nm"], [0, 0.0]],
        "filter": True,
        "paths": ["/run/stack.ome.tif"],
        "user": True,
        "group": True,
    }
