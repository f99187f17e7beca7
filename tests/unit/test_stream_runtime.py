"""Connection files: private, found by name, cleaned up after the dead."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from locstream.errors import LocstreamError, MessageError
from locstream.stream.runtime import Connection, find, publish_connection, running, runtime_folder


@pytest.fixture(autouse=True)
def _own_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / "run"))


def connection(name: str, pid: int, started_s: float = 1.0) -> Connection:
    return Connection(
        acquisition=f"id-{name}", name=name, pid=pid, started_s=started_s, control="ipc://c", stream="ipc://s"
    )


def test_folder_and_file_are_private(own_pid: int) -> None:
    path = publish_connection(connection("cell", own_pid))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(runtime_folder().stat().st_mode) == 0o700


def test_the_newest_is_found_without_a_name(own_pid: int) -> None:
    for name, started in (("old", 1.0), ("new", 2.0)):
        publish_connection(connection(name, own_pid, started))
    assert find(None).name == "new"
    assert find("old").name == "old"
    assert find("id-old").name == "old"


def test_nothing_running_says_what_to_do() -> None:
    with pytest.raises(LocstreamError, match="no acquisition is running") as caught:
        find(None)
    assert "locstream demo" in str(caught.value)


def test_an_unknown_name_names_what_runs(own_pid: int) -> None:
    publish_connection(connection("cell", own_pid))
    with pytest.raises(LocstreamError, match=r"'sell'.*cell found"):
        find("sell")


def test_files_of_dead_processes_are_removed(dead_pid: int) -> None:
    path = publish_connection(connection("ghost", dead_pid))
    assert running() == []
    assert not path.exists()


def test_a_file_that_is_no_connection_is_named() -> None:
    (runtime_folder() / "broken.json").write_text("{")
    with pytest.raises(MessageError, match=r"broken\.json"):
        running()


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    with pytest.raises(LocstreamError, match="not private"):
        runtime_folder()


def test_a_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / "file" / "run"))
    with pytest.raises(LocstreamError, match="cannot be made"):
        runtime_folder()


def test_a_path_that_is_too_long_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / ("long" * 25)))
    with pytest.raises(LocstreamError, match="88 at most"):
        runtime_folder()
