"""Runs are filed in OMERO over the real wire, and whatever is cut off on the way, the outcome is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finished_run import ALSO, METADATA, finished
from omero_wire.stand_in_process import StandIn
from omero_wire.uploader import RefusedError, Uploader

pytestmark = [pytest.mark.system, pytest.mark.peer]
SHORT = 53
"""The reduced form cuts at every so manyeth call."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("omero") / "run", metadata=METADATA, bundle=ALSO).folder


def settings(server: StandIn, **changes: Any) -> dict[str, Any]:
    return {"host": server.url, "group": "lab", "tags": ["dSTORM"], "table": True, **changes}


def login(uploader: Uploader, server: StandIn, user: str = "ada") -> None:
    uploader.order("login", settings=settings(server), user=user, password="secret")


def test_a_run_is_filed_once(uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    login(uploader, omero_server)
    first = uploader.order("file", settings=settings(omero_server), folder=str(run))
    assert first["url"].endswith("/webclient/?show=image-1|image-2")
    census = omero_server.census()
    again = uploader.order("file", settings=settings(omero_server), folder=str(run))
    assert again["url"] == first["url"]
    assert omero_server.census() == census
    done = [now for _, now, _ in first["told"]]
    assert done == sorted(done)
    assert done[-1] == first["told"][-1][2]
    assert any(": the server " in what for what, _, _ in first["told"]), "the server's steps are told"


class Matrix:
    """Cuts filings of one run at one call after another, each on an empty server."""

    def __init__(self, uploader: Uploader, server: StandIn, run: Path) -> None:
        self.uploader, self.server = uploader, server
        self._order = {"settings": settings(server), "folder": str(run)}
        self.cuts = self.refusals = 0
        self.census = self.filed()
        self.calls = len(server.counted())

    def filed(self, *faults: dict[str, Any]) -> list[str]:
        """Return what is on the server after a filing with these faults, done again where it was refused."""
        self.uploader.order("logout")
        self.server.reset()
        login(self.uploader, self.server)
        self.server.set_faults(*faults)
        try:
            self.uploader.order("file", **self._order)
        except RefusedError as refused:
            self.refusals += 1
            self.server.set_faults()
            if refused.kind == "SessionRefusedError":
                login(self.uploader, self.server)
            self.uploader.order("file", **self._order)
        return self.server.census()

    def cut_everywhere(self, step: int, **fault: Any) -> None:
        for call in range(1, self.calls + 1, step):
            assert self.filed({"at": call, **fault}) == self.census, (call, fault)
            self.cuts += 1


FAULTS: dict[str, dict[str, Any]] = {
    "session killed before": {"do": "kill"},
    "connection lost before": {"do": "drop_before"},
    "connection lost after": {"do": "drop_after"},
    "server fails before": {"do": "raise", "exception": "omero.InternalException", "message": "it broke"},
    "server fails after": {"do": "raise_after", "exception": "omero.InternalException", "message": "it broke"},
}


@pytest.mark.parametrize("what", FAULTS)
def test_cut_here_and_there(what: str, uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    matrix = Matrix(uploader, omero_server, run)
    matrix.cut_everywhere(SHORT, **FAULTS[what])
    assert matrix.cuts >= 3


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", FAULTS)
def test_cut_at_every_call(what: str, uploader: Uploader, omero_server: StandIn, run: Path) -> None:
    matrix = Matrix(uploader, omero_server, run)
    matrix.cut_everywhere(1, **FAULTS[what])
    print(f"{what}: cut at {matrix.cuts} calls, every census equal; tried again {matrix.refusals} times")
    assert matrix.cuts > 90
