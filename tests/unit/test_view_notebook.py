"""The lines for a notebook, as docs/view.md has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from locstream.rendering.grid import grid
from locstream.rendering.histogram import accumulate
from locstream.results.file import ResultsWriter
from results_example import HEIGHT, PIXEL_SIZE_NM, WIDTH, batch, header
from waiting import until

PAGE = Path(__file__).resolve().parents[2] / "docs" / "view.md"


def test_the_picture_as_an_array(tmp_path: Path) -> None:
    rows, records = batch(0, 20)
    live = tmp_path / "cell.live.h5"
    writer = ResultsWriter(live, header())
    writer.append(rows, records)
    (lines,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    before, after = lines.replace('"run_locs.hdf5"', repr(str(live))).split("\n...", 1)
    names: dict[str, Any] = {}
    exec(before, names)
    follower = names["follower"]
    until(lambda: follower.seen.model is not None and follower.seen.model.counted.total == len(rows))
    exec(after.split("\n", 1)[1], names)
    writer.close()
    where = grid(HEIGHT, WIDTH, PIXEL_SIZE_NM, 20.0)
    expected = np.zeros(where.shape, np.float32)
    accumulate(expected, where, rows["x_nm"], rows["y_nm"])
    np.testing.assert_array_equal(names["image"], expected)
    assert not follower.is_alive()
