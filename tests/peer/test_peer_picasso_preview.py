"""Picasso's own reader opens the snapshot of a running acquisition at any moment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from preview_writer import write_while

PICASSO = """
import sys, pathlib
import picasso.io
path = pathlib.Path(sys.argv[1])
seen = []
while not (path.parent.parent / "stop").exists():
    locs, info = picasso.io.load_locs(str(path))
    assert len(locs) == 0 or locs["frame"].max() < info[0]["Frames"]
    seen.append(len(locs))
    if len(set(seen)) > 3:
        (path.parent.parent / "enough").touch()
assert seen == sorted(seen)
"""


@pytest.mark.peer
def test_picasso_opens_it_at_any_moment(tmp_path: Path, picasso_python: Path) -> None:
    picasso: list[subprocess.Popen[str]] = []

    def watch(path: Path) -> bool:
        if not picasso:
            command = [str(picasso_python), "-c", PICASSO, str(path)]
            picasso.append(subprocess.Popen(command))
        assert picasso[0].poll() is None
        return (tmp_path / "enough").exists()

    write_while(tmp_path, watch)
    (tmp_path / "stop").touch()
    assert picasso[0].wait(120) == 0
