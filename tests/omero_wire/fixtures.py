"""Fixtures for tests that speak with an OMERO server: the interpreter that has omero-py, and the stand-in server.

A test module outside of this folder imports the ones it uses.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from omero_wire.make_environment import python_of_environment
from omero_wire.stand_in_process import Certificates, StandIn, make_certificates


@pytest.fixture(scope="session")
def omero_python() -> Path:
    """Return the interpreter that has omero-py; skip, with what to do, where there is none."""
    python = python_of_environment()
    if python is None:
        pytest.skip(
            "omero-py is not there: `.venv/bin/python tests/omero_wire/make_environment.py` installs it "
            "(about 5 minutes of compiling the first time)"
        )
    return python


@pytest.fixture(scope="session")
def omero_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a certificate for 127.0.0.1 and its authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates of this test, and is not there: `apt-get install openssl`")
    return make_certificates(tmp_path_factory.mktemp("certificates"))


class _Kept:
    """One process that lives for all tests, and is as new for each of them."""

    def __init__(self, start: Callable[[], StandIn]) -> None:
        self._start = start
        self._server: StandIn | None = None

    def fresh(self) -> StandIn:
        if self._server is not None and self._server.alive:
            with suppress(RuntimeError, OSError):  # a test may have let it die
                self._server.reset()
                return self._server
        self.close()
        self._server = self._start()
        return self._server

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


KEPT: pytest.StashKey[dict[str, _Kept]] = pytest.StashKey()


def _fresh(config: pytest.Config, name: str, start: Callable[[], StandIn]) -> StandIn:
    """Return a server of the run under a name, as new; it ends with the run."""
    kept = config.stash.setdefault(KEPT, {})
    if name not in kept:
        kept[name] = _Kept(start)
        config.add_cleanup(kept[name].close)
    return kept[name].fresh()


@pytest.fixture
def omero_server(pytestconfig: pytest.Config, omero_python: Path, tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    """Return an empty server without encryption."""
    return _fresh(pytestconfig, "tcp", lambda: StandIn(omero_python, tmp_path_factory.mktemp("omero-server")))


@pytest.fixture
def omero_ssl_server(
    pytestconfig: pytest.Config,
    omero_python: Path,
    omero_certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> StandIn:
    """Return an empty server that is reached by SSL only."""

    def start() -> StandIn:
        return StandIn(omero_python, tmp_path_factory.mktemp("omero-ssl-server"), omero_certificates, tcp=False)

    return _fresh(pytestconfig, "ssl", start)
