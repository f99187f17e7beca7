"""`locstream omero install`: what is built, what is kept, and what is said where it cannot be done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from locstream.errors import LocstreamError
from locstream.omero import client_library, command, installation
from locstream.omero.installation import install


class Pip:
    """Stands for pip: leaves a wheel where one is built, packages where they are installed."""

    def __init__(self, fails_at: int = 0) -> None:
        self.calls: list[tuple[list[str], dict[str, str]]] = []
        self._fails_at = fails_at

    def __call__(self, words: list[Any], *, check: bool, env: dict[str, str]) -> None:
        assert check
        self.calls.append(([str(word) for word in words], env))
        if len(self.calls) == self._fails_at:
            raise subprocess.CalledProcessError(2, words)
        if "--wheel-dir" in words:
            folder = Path(words[words.index("--wheel-dir") + 1])
            folder.mkdir()
            (folder / "zeroc_ice-3.6.5-x.whl").write_text("")
        else:
            client_library.packages(client_library.environment()).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(client_library.VARIABLE, raising=False)
    made = Pip()
    monkeypatch.setattr(installation.subprocess, "run", made)
    monkeypatch.setattr(installation.venv, "create", lambda folder, **how: folder.mkdir())
    return made


def test_ice_is_built_with_our_headers_before_pythons_and_kept(pip: Pip) -> None:
    said: list[str] = []
    assert install(said.append) == client_library.environment()
    (build, how), (put, _) = pip.calls
    assert build[-1] == client_library.ICE
    assert how["CPPFLAGS"] == f"-I{client_library.SHIM}"
    assert {path.name for path in client_library.SHIM.iterdir()} >= {"Python.h", "eval.h"}
    assert put[-1] == client_library.OMERO
    assert put[-2].endswith(".whl")
    assert client_library.is_ready()
    assert "takes some minutes" in said[0]
    assert (client_library.packages(client_library.environment()) / "imp.py").exists() == (sys.version_info >= (3, 12))


def test_nothing_is_done_twice(pip: Pip, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    install()
    assert len(pip.calls) == 2
    monkeypatch.setattr(client_library.sys, "version", "another day")
    assert not client_library.is_ready()
    install()
    assert len(pip.calls) == 3, "Ice is kept, the environment is made again"


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_build_that_fails_says_what_it_needs_and_leaves_nothing_half(
    pip: Pip, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    monkeypatch.setattr(installation.subprocess, "run", Pip(fails_at))
    with pytest.raises(LocstreamError, match="pip ended with status 2") as error:
        install()
    assert "libssl-dev" in error.value.todo
    assert not client_library.is_ready()
    monkeypatch.setattr(installation.subprocess, "run", pip)
    install()
    assert client_library.is_ready()


def test_the_command_says_where_it_is(pip: Pip, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.install() == 0
    assert str(client_library.environment()) in capsys.readouterr().out
