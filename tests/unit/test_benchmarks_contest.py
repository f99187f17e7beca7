"""Programs under test are started, asked in turn, and left out with a reason where they fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import contest
from contest import Contestant, Program, ProgramError, Run, core_share, rate, ratio, rounds, table

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

FAKE = """
import sys
print("a program that talks a lot", flush=True)
import numpy as np
from answering import Method, Program, answer

def centre(spots):
    print("still talking")
    return spots.mean(axis=(1, 2))

def breaks(spots):
    raise ValueError("this fit fails")

answer(Program(
    "Fake", "1.2",
    fits={
        "mean": Method(centre, lambda m: np.column_stack([m, m, m])),
        "broken": Method(breaks, lambda m: m),
    },
    movies={"brightest": Method(
        lambda movie, threshold: [(k, *np.argwhere(image > threshold)[0][::-1]) for k, image in enumerate(movie)],
        lambda found: np.array(found, float),
    )},
    thresholds={"brightest": (5, 9)},
))
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of programs in place of the real ones, with one that works."""
    folder = tmp_path / "programs"
    folder.mkdir()
    shutil.copy(BENCHMARKS / "programs" / "answering.py", folder)
    (folder / "with_fake.py").write_text(FAKE)
    monkeypatch.setattr(contest, "HERE", tmp_path)
    return folder


@pytest.fixture
def fake(programs: Path, tmp_path: Path) -> Iterator[Program]:
    program = Program("fake", sys.executable, tmp_path)
    yield program
    program.close()


@pytest.fixture
def spots(tmp_path: Path) -> Path:
    path = tmp_path / "spots.npy"
    np.save(path, np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 7, 7), np.float32))
    return path


def test_a_program_says_what_it_offers(fake: Program) -> None:
    assert (fake.name, fake.version) == ("Fake", "1.2")
    assert fake.fits == ["mean", "broken"]
    assert fake.thresholds == {"brightest": [5, 9]}
    assert Contestant(fake, "mean").label == "Fake 1.2 · mean"


def test_spots_are_fitted_and_timed(fake: Program, spots: Path) -> None:
    run = fake.fit("mean", spots, 2, least_s=0.0)
    assert run.rows.tolist() == [[0, 0, 0], [1, 1, 1]], "only the first two"
    assert run.cpu_s > 0
    assert run.wall_s > 0
    assert run.peak_mb > 1


def test_a_movie_is_localized_at_the_threshold_that_is_asked_for(fake: Program, tmp_path: Path) -> None:
    movie = np.zeros((3, 8, 8), np.uint16)
    movie[:, 2, 4], movie[:, 5, 6] = 7, 20
    np.save(tmp_path / "movie.npy", movie)
    low, high = (fake.localize("brightest", tmp_path / "movie.npy", 2, t, 0.0).rows for t in (5, 9))
    assert low.tolist() == [[0, 4, 2], [1, 4, 2]]
    assert high.tolist() == [[0, 6, 5], [1, 6, 5]]


def test_time_is_told_for_one_pass_however_many_there_were(fake: Program, spots: Path) -> None:
    run = fake.fit("mean", spots, 3, least_s=0.2)
    assert run.wall_s < 0.1


def test_who_fails_says_why_and_the_others_go_on(
    fake: Program, spots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProgramError, match="ValueError: this fit fails"):
        fake.fit("broken", spots, 3)
    runs = rounds([Contestant(fake, "mean")], lambda c: c.program.fit(c.method, spots, 3, 0.0))
    assert runs == {}, "its process has ended"
    assert "Left out: Fake 1.2 · mean: ValueError: this fit fails" in capsys.readouterr().out


def test_everyone_has_a_turn_in_every_round(fake: Program) -> None:
    order: list[str] = []

    def once(contestant: Contestant) -> Run:
        order.append(contestant.method)
        return Run(1.0, 1.0, 1.0, np.empty((0, 3)))

    runs = rounds([Contestant(fake, "mean"), Contestant(fake, "broken")], once, n=3)
    assert order == ["mean", "broken"] * 3
    assert [len(r) for r in runs.values()] == [3, 3]


def test_a_program_that_cannot_be_started_is_left_out_with_its_reason(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (programs / "with_lame.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.setattr(contest, "ENVIRONMENTS", {"fake": None, "lame": None, "absent": "absent"})

    def pip(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="Collecting\nERROR: No matching distribution\n")

    monkeypatch.setattr(contest.machine, "pin", lambda: None)
    monkeypatch.setattr(contest.subprocess, "run", pip)
    with contest.programs(["lame", "absent", "fake"]) as started:
        assert [p.name for p in started] == ["Fake"]
    said = capsys.readouterr().out
    assert "Left out: lame: ModuleNotFoundError: No module named 'a_library_that_is_not_there'" in said
    assert "Left out: absent: ERROR: No matching distribution" in said


def runs_of(*cpu_s: float) -> list[Run]:
    return [Run(2 * s, s, 1.0, np.empty((0, 3))) for s in cpu_s]


def test_rates_are_medians_and_ratios_are_taken_within_a_round() -> None:
    ours, theirs = runs_of(1, 1, 10), runs_of(5, 6, 100)
    assert rate(ours, 100) == 100
    assert ratio(ours, 100, theirs, 100) == 6, "the round that was slow for both does no harm"
    assert ratio(ours, 100, theirs, 50) == 12, "they had half as much to do"
    assert core_share(ours) == 0.5


def test_a_table_is_markdown_whose_columns_line_up() -> None:
    lines = table(["name", "n"], [["a", "1"], ["longer", "1,000"]]).splitlines()
    assert lines == ["| name   |     n |", "|--------|------:|", "| a      |     1 |", "| longer | 1,000 |"]
