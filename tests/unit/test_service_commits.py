"""Commits from a thread of its own: in order, whole, bounded, and nothing is given back that is not on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from locstream.errors import ResultsError
from locstream.localizations import empty
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.reader import ResultsReader
from locstreamd.fit.answers import Settled
from locstreamd.service import commits as module
from locstreamd.service.commits import FRAMES_A_COMMIT, Commits, Committed, Fitted
from locstreamd.service.events import Event
from results_example import header

RARELY_HZ = 0.001


class Gate:
    """Stands before the disk; while it is shut, whatever is written waits."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cell.live.h5"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Return a gate before every commit of the results file."""
    gate, real = Gate(), ResultsWriter._commit

    def commit(self: ResultsWriter, *arguments: object) -> None:
        gate.reached.set()
        assert gate.open.wait(60)
        real(self, *arguments)

    monkeypatch.setattr(ResultsWriter, "_commit", commit)
    return gate


@pytest.fixture
def commits(path: Path, gate: Gate) -> Iterator[Commits]:
    with zmq.Context() as context:
        commits = Commits(context, most_hz=1000)
        commits.write_to(ResultsWriter(path, header()))
        yield commits
        gate.open.set()
        commits.close()


def fitted(first: int, frames: int = 1, rows_a_frame: int = 2) -> Fitted:
    rows = empty(frames * rows_a_frame)
    rows["frame"] = np.repeat(np.arange(first, first + frames), rows_a_frame)
    numbers = np.arange(first, first + frames)
    records = frame_records(numbers, numbers / 100, rows_a_frame, FrameOutcome.FITTED)
    one = empty(rows_a_frame)
    return rows, records, [Settled(int(n), FrameOutcome.FITTED, one) for n in numbers]


def wait(commits: Commits) -> Committed:
    """Turn until a commit is done, as the loop does: woken by the socket."""
    for _ in range(200):
        if (done := commits.turn(hurry=True)) is not None:
            return done
        commits.socket.poll(100)
    raise AssertionError("no commit was done")


def on_disk(path: Path) -> list[int]:
    with ResultsReader(path) as reader:
        return [int(n) for n in reader.frames()["frame"]]


def test_what_is_given_back_is_on_disk(commits: Commits, path: Path) -> None:
    commits.add(fitted(0, 3))
    commits.add(fitted(3, 2))
    done = wait(commits)
    assert done.records["frame"].tolist() == on_disk(path) == [0, 1, 2, 3, 4]
    assert done.rows["frame"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [settled.index for settled in done.settled] == [0, 1, 2, 3, 4]
    assert commits.rows == 10
    assert commits.idle
    assert commits.busy_s > 0


def test_while_the_disk_takes_its_time_the_caller_goes_on(commits: Commits, gate: Gate, path: Path) -> None:
    gate.open.clear()
    commits.add(fitted(0))
    assert commits.turn(hurry=True) is None
    assert gate.reached.wait(60)
    for n in range(1, 50):
        commits.add(fitted(n))
        assert commits.turn(hurry=True) is None, "one at a time, and nobody waits for it"
    assert commits.uncommitted == 50
    assert on_disk(path) == []
    gate.open.set()
    assert [len(wait(commits).records) for _ in range(2)] == [1, 49], "what came meanwhile goes together"
    assert on_disk(path) == list(range(50))


def test_a_commit_is_bounded(commits: Commits, gate: Gate) -> None:
    gate.open.clear()
    commits.add(fitted(0))
    commits.turn(hurry=True)
    for n in range(3):
        commits.add(fitted(1 + 200 * n, 200))
    gate.open.set()
    assert [len(wait(commits).records) for _ in range(4)] == [1, 200, 200, 200]
    assert FRAMES_A_COMMIT < 400


def test_how_much_may_wait_is_bounded(commits: Commits, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNCOMMITTED_FRAMES", 10)
    gate.open.clear()
    for n in range(10):
        assert not commits.full
        commits.add(fitted(n))
        commits.turn(hurry=True)
    assert commits.full, "those that are under way count"
    gate.open.set()
    wait(commits)
    assert not commits.full


def test_commits_keep_their_distance_unless_nothing_more_comes(path: Path, gate: Gate) -> None:
    with zmq.Context() as context:
        commits = Commits(context, most_hz=RARELY_HZ)
        commits.write_to(ResultsWriter(path, header()))
        commits._began_at = 1e12  # just now, for ever
        commits.add(fitted(0))
        assert commits.turn(hurry=False) is None
        assert not gate.reached.is_set()
        assert len(wait(commits).records) == 1
        commits.close()


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_disk_that_refuses_is_told_and_what_was_committed_stays(
    commits: Commits, path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    commits.add(fitted(0, 4))
    wait(commits)

    def refuse(*_: object) -> None:
        raise kind("No space left on device")

    monkeypatch.setattr(ResultsWriter, "_commit", refuse)
    commits.add(fitted(4))
    with pytest.raises(ResultsError, match="cannot be written") as refused:
        wait(commits)
    assert "4 frames with 8 localizations" in refused.value.safe
    assert list(commits.drain()) == [], "the file is closed; what waits stays uncommitted"
    assert commits.uncommitted == 1
    commits.finish()
    assert on_disk(path) == [0, 1, 2, 3]


def test_a_mistake_of_ours_is_not_swallowed_by_the_thread(commits: Commits) -> None:
    commits.add(fitted(5))
    wait(commits)
    commits.add(fitted(5))
    with pytest.raises(ValueError, match="frames must increase"):
        wait(commits)


def test_closing_waits_for_what_is_under_way(path: Path, gate: Gate) -> None:
    with zmq.Context() as context:
        commits = Commits(context, most_hz=1000)
        commits.write_to(ResultsWriter(path, header()))
        gate.open.clear()
        commits.add(fitted(0))
        commits.turn(hurry=True)
        assert gate.reached.wait(60)
        threading.Timer(0.05, gate.open.set).start()
        commits.close()
        commits.close()
    assert on_disk(path) == [0]


def test_at_the_end_all_that_waits_is_committed_with_its_events(commits: Commits, path: Path) -> None:
    for n in range(3):
        commits.add(fitted(n))
    commits.note(Event("CameraStopped", "the cable came off", 12.5))
    assert sum(len(done.records) for done in commits.drain()) == 3
    commits.note(Event("Fault", "the cable came off", 13.5))
    assert not commits.idle
    assert list(commits.drain()) == []
    commits.finish()
    with ResultsReader(path) as reader:
        assert [e["EventName"].decode() for e in reader.events] == ["CameraStopped", "Fault"]
        assert reader.events["Time"].tolist() == [12.5, 13.5]
        assert reader.n_frames == 3


def test_before_there_is_a_file_nothing_waits() -> None:
    with zmq.Context() as context:
        commits = Commits(context, most_hz=20)
        assert (commits.idle, commits.rows, commits.full) == (True, 0, False)
        assert commits.turn(hurry=True) is None
        commits.close()
