"""What benchmarks print finds its place on the page, and aims are judged as they are printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import document
from aims import Aim, aims_table
from document import PAGE, RUNS, put

EMPTY = "# Page\n\nWords.\n\n<!-- kernel -->\n<!-- end -->\n\nMore.\n\n<!-- sweep -->\nold\n<!-- end -->\n"


def test_only_what_is_between_the_marks_is_replaced() -> None:
    page = put(EMPTY, "sweep", "\nnew\n\n| table |\n\n")
    assert page == EMPTY.replace("old", "new\n\n| table |")
    assert put(page, "sweep", "old") == EMPTY, "as often as one likes"


def test_what_was_printed_is_taken_literally() -> None:
    assert r"\1 \g<0>" in put(EMPTY, "kernel", r"\1 \g<0>")


def test_a_page_without_a_place_is_said() -> None:
    with pytest.raises(ValueError, match="<!-- roofline -->"):
        put(EMPTY, "roofline", "x")


def test_the_page_has_a_place_for_every_benchmark() -> None:
    page = PAGE.read_text()
    for name in RUNS:
        assert f"<!-- {name} -->" in put(page, name, "x")


def test_what_is_named_is_run_and_put_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(EMPTY)
    monkeypatch.setattr(document, "PAGE", page)
    commands = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(Path(command[1]).name)
        return subprocess.CompletedProcess(command, 0, stdout="measured\n")

    monkeypatch.setattr(document.subprocess, "run", run)
    document.main(["sweep"])
    assert commands == ["sweep.py"]
    assert page.read_text() == EMPTY.replace("old", "measured")


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "reached"),
    [(55.0, 55.0, True, True), (54.9, 55.0, True, False), (1.012, 1.012, False, True), (1.013, 1.012, False, False)],
)
def test_an_aim_is_reached_on_the_right_side_of_its_limit(
    value: float, limit: float, at_least: bool, reached: bool
) -> None:
    assert Aim("x", value, limit, at_least).reached is reached


def test_an_aim_is_judged_by_what_is_printed() -> None:
    aim = Aim("Jaccard", 0.98667, 0.987, at_least=True)
    assert aim.reached
    assert not aim._replace(digits=4).reached
    table = aims_table([aim, aim._replace(what="worse", value=0.98)])
    assert "| Jaccard | ≥ 0.987 |    0.987 |    reached |" in table
    assert "| worse   | ≥ 0.987 |    0.980 | **missed** |" in table


def test_what_could_not_be_told_is_not_reached() -> None:
    assert not Aim("x", float("nan"), 1.0, at_least=True).reached
    assert not Aim("x", float("nan"), 1.0, at_least=False).reached
