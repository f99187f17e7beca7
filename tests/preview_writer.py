"""A growing results file, with its snapshot made by another process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.layout import final_path, live_path
from results_example import batch, header

PREVIEW = "import sys; from locstreamd.view.preview import command; sys.exit(command(sys.argv[1:]))"


def write_while(folder: Path, watch: Callable[[Path], bool]) -> int:
    """Write a file, have its snapshot made in another process, until `watch` has seen enough; return the rows."""
    live = live_path(folder, "cell")
    with ResultsWriter(live, header()) as writer:
        writer.append(*batch(0, 10))
        command = [sys.executable, "-c", PREVIEW, str(folder), "--every", "0.1", "--keep"]
        preview = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        path = folder / "preview" / "cell_preview_locs.hdf5"
        deadline = time.monotonic() + 120
        while not path.exists():
            assert preview.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        while not watch(path):
            assert time.monotonic() < deadline
            writer.append(*batch(writer.n_frames, 10))
            time.sleep(0.02)
        rows = writer.n_rows
    finalize(live, final_path(live))
    assert preview.wait(60) == 0
    return rows
