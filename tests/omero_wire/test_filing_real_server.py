"""The same against a real OMERO server, where one is named: OMERO_TEST_HOST, OMERO_TEST_USER, OMERO_TEST_PASS.

OMERO_TEST_GROUP names a group, OMERO_TEST_CA a file with the authority of its certificate. Projects named
locstream-test-… are left there to look at.
"""

from __future__ import annotations

import os
import re
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from finished_run import METADATA, finished
from locstream.bundle.bundle import open_bundles
from omero_wire.uploader import RefusedError, Uploader, people_find

HOST = os.environ.get("OMERO_TEST_HOST", "")
ADDRESS = HOST if "://" in HOST else f"ssl://{HOST}:4064"
USER, PASSWORD = os.environ.get("OMERO_TEST_USER", ""), os.environ.get("OMERO_TEST_PASS", "")
pytestmark = [
    pytest.mark.system,
    pytest.mark.peer,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not HOST, reason="no real OMERO server is named: OMERO_TEST_HOST, _USER, _PASS"),
]


@pytest.fixture
def settings() -> dict[str, Any]:
    found: dict[str, Any] = {"host": HOST, "project": f"locstream-test-{uuid.uuid4()}", "tags": ["locstream-test"]}
    found |= {"group": os.environ["OMERO_TEST_GROUP"]} if "OMERO_TEST_GROUP" in os.environ else {}
    return found | ({"verify": os.environ["OMERO_TEST_CA"]} if "OMERO_TEST_CA" in os.environ else {})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished(tmp_path / "run", metadata=METADATA).folder


def images_in(url: str) -> list[int]:
    return [int(number) for number in re.findall(r"image-(\d+)", url)]


def test_a_run_is_filed_once_and_found_by_everybody(
    settings: dict[str, Any], run: Path, omero_python: Path, tmp_path: Path
) -> None:
    with Uploader(omero_python, tmp_path / "home") as uploader:
        uploader.order("login", settings=settings, user=USER, password=PASSWORD)
        assert all(check["fine"] for check in uploader.order("preflight", settings=settings))
        name = str(uuid.uuid4())
        order = {"settings": settings, "folder": str(run), "uuid": name}
        url = uploader.order("file", **order)["url"]
        assert uploader.order("file", **order)["url"] == url
    raw, reconstruction = images_in(url)
    found = people_find(omero_python, ADDRESS, USER, PASSWORD, raw, tmp_path / "downloads")
    bundle = open_bundles(run)[0]
    assert (found["name"], found["size"], found["project"]) == ("run.ome.tif", [40, 32, 30], settings["project"])
    assert (found["pairs"]["Reconstruction"], found["back"]) == (f"Image:{reconstruction}", f"Image:{raw}")
    assert found["files"]["run_locs.hdf5"] == bundle.sha256["run_locs.hdf5"]
    assert sorted(found["files"]) == sorted(set(found["files"])), "each file once"


def test_killed_uploaders_leave_one_of_each(
    settings: dict[str, Any], run: Path, omero_python: Path, tmp_path: Path
) -> None:
    order = {"settings": settings, "folder": str(run), "uuid": str(uuid.uuid4())}
    with Uploader(omero_python, tmp_path / "home") as uploader:
        uploader.order("login", settings=settings, user=USER, password=PASSWORD)
    for number in range(10):
        with Uploader(omero_python, tmp_path / "home") as uploader:
            uploader.begin("file", **order)
            time.sleep(0.3 * number)  # another moment each time; none of them has to be met
            os.kill(uploader.pid, signal.SIGKILL)
    with Uploader(omero_python, tmp_path / "home") as uploader:
        url = uploader.order("file", **order)["url"]
        assert uploader.order("file", **order)["url"] == url
    found = people_find(omero_python, ADDRESS, USER, PASSWORD, images_in(url)[0], tmp_path / "downloads")
    assert sorted(found["files"]) == sorted(set(found["files"]))
    assert sorted(found["streamed"]) == sorted(found["files"])


def test_what_is_refused_is_told(settings: dict[str, Any], run: Path, omero_python: Path, tmp_path: Path) -> None:
    with Uploader(omero_python, tmp_path / "home") as uploader:
        with pytest.raises(RefusedError) as refused:
            uploader.order("login", settings=settings, user=USER, password="surely wrong")
        assert refused.value.kind == "SessionRefusedError"
        uploader.order("login", settings=settings, user=USER, password=PASSWORD)
        with pytest.raises(RefusedError, match="is not in the group"):
            uploader.order("file", settings={**settings, "group": "no-such-group"}, folder=str(run))
