"""What `locstream recover` says, and its exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from killed_run import PAGES, Left, leave
from locstream.bundle import recovery as bundle_recovery
from locstream.bundle.run_lock import RunLock
from locstream.errors import LocstreamError
from locstreamd.service.recovery import recover_folder

Output = pytest.CaptureFixture[str]


def test_a_run_is_recovered_and_summed_up(tmp_path: Path, capsys: Output) -> None:
    leave(tmp_path, Left(PAGES, 12))
    assert recover_folder(tmp_path) == 0
    out = capsys.readouterr().out
    assert "run: fitting frames that were never fitted, 100 % of 18" in out
    assert "run: recovered" in out
    assert "30 acquired = 30 fitted + 0 pending" in out
    assert recover_folder(tmp_path) == 0
    assert capsys.readouterr().out == f"nothing to recover in {tmp_path}\n"
    assert not list(tmp_path.glob("*lock*"))


def test_in_a_terminal_one_line_is_rewritten(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path, Left(PAGES, 12))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    recover_folder(tmp_path)
    lines = capsys.readouterr().out.split("\n")
    assert lines[0].startswith("\rrun: fitting")
    assert lines[0].endswith("100 % of 18")
    assert lines[1].startswith("run: recovered")


def test_progress_goes_to_who_asks_for_it(tmp_path: Path, capsys: Output) -> None:
    """A service tells its service manager, which waits for as long as it gets on."""
    leave(tmp_path, Left(PAGES, 12))
    told: list[str] = []
    recover_folder(tmp_path, told.append)
    assert told[-1] == "run: fitting frames that were never fitted, 100 % of 18"
    assert "%" not in capsys.readouterr().out


def test_what_lives_is_left_alone_and_the_rest_is_recovered(tmp_path: Path, capsys: Output) -> None:
    living = leave(tmp_path, Left(PAGES, 12))
    (tmp_path / "b").mkdir()
    dead = leave(tmp_path / "b", Left(PAGES, 12))
    for path in list(dead.folder.iterdir()):
        path.rename(tmp_path / path.name.replace("run", "dead", 1))
    with RunLock(living):
        assert recover_folder(tmp_path) == 0
    out = capsys.readouterr().out
    assert "run: left alone; " in out
    assert "is being written by process" in out
    assert "dead: recovered" in out
    assert living.live_results.exists()


def test_a_run_that_cannot_be_recovered_is_told_and_the_rest_is_recovered(tmp_path: Path, capsys: Output) -> None:
    leave(tmp_path, Left(PAGES, 12))
    (tmp_path / "bad.live.h5").write_bytes(b"no HDF5 at all")
    assert recover_folder(tmp_path) == 1
    said = capsys.readouterr()
    assert "bad: " in said.err
    assert "is not an HDF5 file" in said.err
    assert "run: recovered" in said.out
    assert (tmp_path / "bad.live.h5").read_bytes() == b"no HDF5 at all"


def test_without_a_summary_what_became_of_it_is_said(tmp_path: Path, capsys: Output) -> None:
    leave(tmp_path, Left(PAGES, None))
    assert recover_folder(tmp_path) == 0
    assert "there are no results beside them" in capsys.readouterr().out


def test_an_error_while_fitting_does_not_stop_the_others(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, Left(PAGES, 12))

    def fail(*_: object, **__: object) -> None:
        raise LocstreamError("the disk is full", safe="what was committed", todo="make room")

    monkeypatch.setattr(bundle_recovery, "fit_pages", fail)
    assert recover_folder(tmp_path) == 1
    assert "the disk is full" in capsys.readouterr().err
    monkeypatch.undo()
    assert recover_folder(tmp_path) == 0


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match="is not a folder"):
        recover_folder(tmp_path / "none")
