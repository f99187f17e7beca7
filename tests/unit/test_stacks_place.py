"""Results and the stack they come from find each other again, also when both were moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from locstream.stacks.place import FROM_RESULTS, stack_file, with_stack_file
from locstream.stacks.source import SourceInfo

INFO = SourceInfo("camera", width=4, height=3, details={"Objective": "100x"})


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "day" / "stacks" / "cell.tif"
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / "day" / "out").mkdir()
    return path


def test_the_stack_is_found_where_it_was(stack: Path, tmp_path: Path) -> None:
    told = with_stack_file(INFO, stack, tmp_path / "day" / "out").details
    assert told["Objective"] == "100x"
    assert stack_file(told, tmp_path / "day" / "out") == stack
    assert stack_file(told, tmp_path / "elsewhere") == stack, "the results alone were moved"


def test_both_may_be_moved_together(stack: Path, tmp_path: Path) -> None:
    told = with_stack_file(INFO, stack, tmp_path / "day" / "out").details
    (tmp_path / "day").rename(tmp_path / "archive")
    found = stack_file(told, tmp_path / "archive" / "out")
    assert found is not None
    assert found.resolve() == tmp_path / "archive" / "stacks" / "cell.tif"


def test_another_stack_of_that_name_beside_moved_results_is_not_taken(stack: Path, tmp_path: Path) -> None:
    told = with_stack_file(INFO, stack, tmp_path / "day" / "out").details
    shutil.copytree(tmp_path / "day", tmp_path / "next day")
    assert stack_file(told, tmp_path / "next day" / "out") == stack


def test_one_that_is_gone_is_named_as_it_was(stack: Path, tmp_path: Path) -> None:
    told = with_stack_file(INFO, stack, tmp_path / "day" / "out").details
    stack.unlink()
    assert stack_file(told, tmp_path / "day" / "out") == stack


def test_paths_from_the_working_folder_are_known_elsewhere(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stack.parent)
    told = with_stack_file(INFO, Path("cell.tif"), Path("../out")).details
    monkeypatch.chdir("/")
    assert stack_file(told, Path("/nowhere")) == stack
    assert told[FROM_RESULTS] == "../stacks/cell.tif"


def test_frames_of_a_camera_have_no_stack_of_before(tmp_path: Path) -> None:
    assert stack_file(INFO.details, tmp_path) is None
