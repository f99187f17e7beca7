"""The state folder has one owner and remembers what is unfinished."""

from __future__ import annotations

from pathlib import Path

import pytest

from locstream.errors import LocstreamError
from locstreamd.service.state import StateFolder, Unfinished


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state"):
        with pytest.raises(LocstreamError, match="another `locstream serve`") as caught:
            StateFolder(tmp_path / "state")
        assert "goes on undisturbed" in str(caught.value)
    with StateFolder(tmp_path / "state"):
        pass


def test_what_is_unfinished_outlives_its_owner(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as state:
        assert state.unfinished is None
        state.begin(tmp_path / "run", "cell1")
    with StateFolder(tmp_path) as state:
        assert state.unfinished == Unfinished(str((tmp_path / "run").resolve()), "cell1")
        state.done()
        assert state.unfinished is None
        state.done()


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    (tmp_path / "unfinished.json").write_text("{")
    with StateFolder(tmp_path) as state, pytest.raises(LocstreamError, match=r"unfinished\.json is damaged"):
        _ = state.unfinished


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocstreamError, match="cannot be used"):
        StateFolder(tmp_path / "file" / "state")
