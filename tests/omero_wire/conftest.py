"""What the tests of the stand-in server share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_wire.fixtures import omero_certificates, omero_python, omero_server, omero_ssl_server
from omero_wire.probe import Probe
from omero_wire.stand_in_process import StandIn
from omero_wire.uploader import Uploader

__all__ = ["omero_certificates", "omero_python", "omero_server", "omero_ssl_server"]


@pytest.fixture(scope="session")
def _kept_probe(omero_python: Path) -> Iterator[Probe]:
    with Probe(omero_python) as made:
        yield made


@pytest.fixture
def probe(_kept_probe: Probe) -> Iterator[Probe]:
    """Return a process that speaks with a server, not logged in yet."""
    yield _kept_probe
    _kept_probe("logout_all")


@pytest.fixture
def ada(probe: Probe, omero_server: StandIn) -> Probe:
    """Return the probe, in which "ada" is logged in."""
    probe("login", "ada", omero_server.url, "ada", "secret")
    return probe


@pytest.fixture(scope="session")
def _kept_uploader(omero_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploader]:
    """Start a process for all tests: it takes seconds to load what it needs."""
    with Uploader(omero_python, tmp_path_factory.mktemp("home")) as uploader:
        yield uploader


@pytest.fixture
def uploader(_kept_uploader: Uploader) -> Uploader:
    """Return an uploader that is not logged in."""
    _kept_uploader.order("logout")
    return _kept_uploader


@pytest.fixture
def stack_file(tmp_path: Path) -> Path:
    """Return an OME-TIFF of 7 frames with pixel size and interval, as tifffile writes it."""
    frames = np.random.default_rng(3).integers(90, 4000, (7, 20, 30), dtype=np.uint16)
    path = tmp_path / "stack.ome.tif"
    metadata = {
        "axes": "TYX",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 100.0,
        "PhysicalSizeYUnit": "nm",
        "TimeIncrement": 0.02,
        "TimeIncrementUnit": "s",
        "Name": "of the file",
    }
    tifffile.imwrite(path, frames, ome=True, photometric="minisblack", metadata=metadata)
    return path
