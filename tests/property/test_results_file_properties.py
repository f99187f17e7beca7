"""Any sequence of batches, cut off after any of them: the recovered file holds those before, once each, in order."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from locstream.formats.picasso import to_picasso
from locstream.results.file import ResultsWriter
from locstream.results.layout import live_path
from locstream.results.reader import ResultsReader
from results_example import PIXEL_SIZE_NM, batch, header, recover

BATCHES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 40), st.sampled_from([0, 1, 20, 150])), min_size=1, max_size=8
)
"""Camera gap before the batch, frames in it, mean rows of a frame."""


@settings(max_examples=40, deadline=None)
@given(BATCHES, st.data())
def test_what_was_committed_before_a_cut_is_recovered(plan: list[tuple[int, int, int]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(plan)), label="batches before the cut")
    rows, frames = [], []
    with TemporaryDirectory() as folder:
        path = live_path(Path(folder), "run")
        first = 0
        with ResultsWriter(path, header()) as writer, ResultsReader(path) as reader:
            content = path.read_bytes()
            for index, (gap, n_frames, per_frame) in enumerate(plan):
                made, records = batch(first + gap, n_frames, seed=index, per_frame=per_frame)
                first += gap + n_frames
                writer.append(made, records)
                assert reader.refresh() == n_frames
                if index < cut:
                    content = path.read_bytes()
                    rows.append(to_picasso(made, PIXEL_SIZE_NM))
                    frames.append(records)
        path.write_bytes(content)
        (found,) = recover(Path(folder))
        assert (found.trimmed_rows, found.trimmed_frames) == (0, 0)
        assert found.frames == sum(map(len, frames))
        with ResultsReader(found.path) as reader:
            if cut:
                np.testing.assert_array_equal(reader.stored_rows(), np.concatenate(rows))
                np.testing.assert_array_equal(reader.frames(), np.concatenate(frames))
            else:
                assert reader.n_rows == 0
            assert reader.summary["ledger"]["acquired"] == found.frames
        assert recover(Path(folder)) == []
