"""`locstream preview` in a process of its own, while another writes: a reader sees whole files only."""

from __future__ import annotations

from pathlib import Path

import pytest

from locstream.formats.picasso import read_picasso
from preview_writer import write_while


@pytest.mark.system
def test_a_reader_sees_whole_files_that_grow(tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(path: Path) -> bool:
        table = read_picasso(path)
        assert table.frames is not None
        assert len(table.table) == 0 or table.table["frame"].max() < table.frames
        seen.append(len(table.table))
        return len(set(seen)) > 3

    rows = write_while(tmp_path, watch)
    assert seen == sorted(seen)
    assert seen[-1] <= rows
    assert len(read_picasso(tmp_path / "preview" / "cell_preview_locs.hdf5").table) <= rows
