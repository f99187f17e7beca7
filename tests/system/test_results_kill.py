"""Writers are killed at random moments, again and again; nothing that they had committed is lost or doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from locstream.formats.picasso import read_picasso, to_picasso
from locstream.results.file import ResultsWriter
from locstream.results.layout import live_path
from locstream.results.reader import ResultsReader
from results_example import PIXEL_SIZE_NM, batch, header, names, recover

pytestmark = pytest.mark.system

SCRIPT = Path(__file__).with_name("results_writers.py")
FRAMES_IN_BATCH = 5


class Nursery:
    """Starts writers and kills them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.questions, self.answers = process.stdin, process.stdout

    def ask(self, line: str) -> None:
        self.questions.write(f"{line}\n")
        self.questions.flush()

    def kill_writer(self, verb: str, path: Path, after: str, delay_s: float) -> list[str]:
        """Start a writer, kill it `delay_s` after it said `after`, and return all it said."""
        self.ask(f"{verb} {path}")
        said: list[str] = []
        for line in self.answers:
            if line == "gone\n":
                return said
            said.append(line.strip())
            if said[-1] == after:
                time.sleep(delay_s)
                self.ask("kill")
        raise AssertionError("the process that starts the writers has ended")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, str(SCRIPT)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Nursery(process)


def kill_while_appending(nursery: Nursery, folder: Path, times: int) -> None:
    """Kill writers after a random number of batches and a random part of the next one."""
    chance = random.Random(5)
    for attempt in range(times):
        live = live_path(folder, f"run{attempt}")
        batches = chance.choice([0, 1, 3, 10, 30, 100])
        said = nursery.kill_writer("append", live, f"committed {batches}", chance.uniform(0, 0.003))
        committed = [int(line.removeprefix("committed ")) for line in said if line.startswith("committed")]
        assert committed == list(range(len(committed)))
        assert len(committed) > batches
        (found,) = recover(folder)
        check_recovered(found.path, len(committed))
        assert (found.repaired, found.trimmed_frames, found.kept) == (True, 0, None)
        assert recover(folder) == []
        for path in folder.iterdir():
            path.unlink()


def check_recovered(path: Path, committed: int) -> None:
    """Hold the file to the batches that made it: all that were reported, at most one more, each once."""
    with ResultsReader(path) as reader:
        frames, stored = reader.frames(), reader.stored_rows()
    whole, rest = divmod(len(frames), FRAMES_IN_BATCH)
    assert rest == 0
    assert committed <= whole <= committed + 1
    made = [batch(number * FRAMES_IN_BATCH, FRAMES_IN_BATCH) for number in range(whole)]
    np.testing.assert_array_equal(frames, np.concatenate([records for _, records in made]))
    np.testing.assert_array_equal(stored, to_picasso(np.concatenate([rows for rows, _ in made]), PIXEL_SIZE_NM))
    assert len(np.unique(frames["frame"])) == len(frames)
    assert len(read_picasso(path).table) == len(stored)


def test_nothing_committed_is_lost_when_a_writer_is_killed(nursery: Nursery, tmp_path: Path) -> None:
    kill_while_appending(nursery, tmp_path, 30)


@pytest.mark.full
def test_nothing_committed_is_lost_in_many_kills(nursery: Nursery, tmp_path: Path) -> None:
    kill_while_appending(nursery, tmp_path, 400)


def kill_while_finishing(nursery: Nursery, folder: Path, times: int, longest_s: float) -> int:
    """Kill processes that finish a file, at moments spread over its time; return how many were not done."""
    made = [batch(first, 500, per_frame=60) for first in range(0, 3000, 500)]
    rows = to_picasso(np.concatenate([r for r, _ in made]), PIXEL_SIZE_NM)
    live = live_path(folder, "run")
    with ResultsWriter(live, header()) as writer:
        for batch_rows, frames in made:
            writer.append(batch_rows, frames)
    content = live.read_bytes()
    cut_off = 0
    for attempt in range(times):
        said = nursery.kill_writer("finalize", live, "started", longest_s * attempt / times)
        cut_off += "finished" not in said
        recover(folder)
        assert names(folder) == ["run_locs.hdf5", "run_locs.yaml"]
        with ResultsReader(folder / "run_locs.hdf5") as reader:
            np.testing.assert_array_equal(reader.stored_rows(), rows)
        for path in folder.iterdir():
            path.unlink()
        live.write_bytes(content)
    return cut_off


def test_a_finish_that_is_killed_loses_nothing(nursery: Nursery, tmp_path: Path) -> None:
    kill_while_finishing(nursery, tmp_path, 8, 0.2)


@pytest.mark.full
def test_many_finishes_that_are_killed_lose_nothing(nursery: Nursery, tmp_path: Path) -> None:
    assert kill_while_finishing(nursery, tmp_path, 100, 0.5) > 0
