"""Another process reads the file while it is written: every row whole, in order, none twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from locstream.formats.picasso import to_picasso
from locstream.results.layout import live_path
from locstream.results.reader import ResultsReader, read_results
from results_example import PIXEL_SIZE_NM, batch, names

pytestmark = pytest.mark.system

BATCHES = 300
WRITER = f"""
import sys
from pathlib import Path
from results_example import batch, header
from locstream.results.file import ResultsWriter
with ResultsWriter(Path(sys.argv[1]), header()) as writer:
    print("open", flush=True)
    for number in range({BATCHES}):
        if number == {BATCHES} // 2:
            sys.stdin.readline()
        writer.append(*batch(number * 5, 5))
    sys.stdin.read()
"""


def test_a_reader_in_another_process_follows_the_writer(tmp_path: Path) -> None:
    live = live_path(tmp_path, "run")
    made = [batch(number * 5, 5) for number in range(BATCHES)]
    rows = to_picasso(np.concatenate([rows for rows, _ in made]), PIXEL_SIZE_NM)
    frames = np.concatenate([frames for _, frames in made])
    looks = 0
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(live)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        with ResultsReader(live) as reader:
            seen = 0
            while reader.n_frames < len(frames):
                looks += reader.refresh() > 0
                np.testing.assert_array_equal(reader.stored_rows(seen), rows[seen : reader.n_rows])
                np.testing.assert_array_equal(reader.frames(), frames[: reader.n_frames])
                seen = reader.n_rows
                if reader.n_frames == len(frames) // 2:
                    writer.stdin.write(b"go on\n")
                    writer.stdin.flush()
        assert writer.poll() is None
        assert names(tmp_path) == ["run.live.h5", "run.live.lock"]
    assert writer.returncode == 0
    assert looks > 1
    assert len(read_results(live).table) == len(rows)
    assert names(tmp_path) == ["run.live.h5"]
