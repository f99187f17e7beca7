"""The disk refuses: the writer stops with a message, and all that was committed is there when there is room again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from locstream.errors import ResultsError
from locstream.formats.picasso import to_picasso
from locstream.results.layout import live_path
from locstream.results.reader import ResultsReader
from results_example import PIXEL_SIZE_NM, batch, names, recover

pytestmark = pytest.mark.system

TESTS = Path(__file__).resolve().parents[1]
WRITER = """
import resource, sys
from pathlib import Path
from results_example import batch, header
from locstream.errors import ResultsError
from locstream.results.file import ResultsWriter
limit = int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
number = 0
writer = ResultsWriter(Path(sys.argv[1]), header())
try:
    while True:
        writer.append(*batch(number * 5, 5))
        number += 1
except ResultsError as error:
    print(number)
    print(error)
writer.close()
"""


def fill(live: Path, limit: int = 0) -> tuple[int, str]:
    """Write until the disk refuses; return how many batches were committed, and the message."""
    command = [sys.executable, "-c", WRITER, str(live), str(limit)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(TESTS)}, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    number, message = done.stdout.split("\n", 1)
    return int(number), message


def check(path: Path, batches: int) -> None:
    made = [batch(number * 5, 5) for number in range(batches)]
    with ResultsReader(path) as reader:
        np.testing.assert_array_equal(reader.frames(), np.concatenate([frames for _, frames in made]))
        rows = np.concatenate([rows for rows, _ in made])
        np.testing.assert_array_equal(reader.stored_rows(), to_picasso(rows, PIXEL_SIZE_NM))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount the small disk that this test fills")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("limit", [400_000, 1_000_001, 2_345_678])
def test_a_file_that_may_not_grow_ends_at_the_last_commit(tmp_path: Path, limit: int) -> None:
    live = live_path(tmp_path, "run")
    batches, message = fill(live, limit)
    assert "cannot be written: File too large" in message
    assert f"{batches * 5:,} frames with" in message
    assert names(tmp_path) == ["run.live.h5"]
    (found,) = recover(tmp_path)
    assert (found.frames, found.kept) == (batches * 5, None)
    check(found.path, batches)


def test_a_full_disk_costs_nothing_that_was_committed(small_disk: Path) -> None:
    live = live_path(small_disk, "run")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 1_500_000)
    batches, message = fill(live)
    assert "No space left on device" in message
    check(live, batches)

    content = live.read_bytes()
    with pytest.raises(ResultsError) as refused:
        recover(small_disk)
    assert "locstream recover" in refused.value.todo
    assert live.read_bytes() == content
    assert names(small_disk) == ["ballast", "run.live.h5"]

    ballast.unlink()
    (found,) = recover(small_disk)
    check(found.path, batches)
