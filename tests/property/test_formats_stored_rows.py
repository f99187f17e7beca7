"""What is published and what is read back from the file are the same bytes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locstream.formats.picasso import as_stored, from_picasso, storable, to_picasso
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.layout import final_path, live_path
from locstream.results.reader import ResultsReader
from results_example import header, localizations

pixel_sizes = st.floats(1, 10_000)


@st.composite
def tables(draw: st.DrawFn) -> Localizations:
    """Rows of any bits at all, with depth or without."""
    dtype = draw(st.sampled_from([LOCALIZATION, LOCALIZATION_3D]))
    rows = draw(st.integers(0, 40))
    return np.frombuffer(draw(st.binary(min_size=rows * dtype.itemsize, max_size=rows * dtype.itemsize)), dtype)


@pytest.mark.filterwarnings("ignore:.*encountered in (cast|multiply|divide)")
@given(tables(), pixel_sizes)
def test_rows_keep_their_type_and_the_file_gives_them_back(table: Localizations, pixel_size_nm: float) -> None:
    stored = to_picasso(table, pixel_size_nm)
    published = as_stored(table, pixel_size_nm)
    assert published.dtype == table.dtype
    assert published.tobytes() == from_picasso(stored, pixel_size_nm).tobytes()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), pixel_sizes, st.booleans())
def test_published_live_and_finished_rows_are_the_same_bytes(seed: int, pixel_size_nm: float, depth: bool) -> None:
    plain = localizations(np.zeros(50), seed)
    table = empty(50, LOCALIZATION_3D if depth else LOCALIZATION)
    for name in plain.dtype.names or ():
        table[name] = plain[name]
    if depth:
        table["z_nm"] = plain["x_nm"] - 4_000
    table = table[storable(table, pixel_size_nm, 48, 64)]
    published = as_stored(table, pixel_size_nm)
    with TemporaryDirectory() as folder:
        live = live_path(Path(folder), "cell")
        with ResultsWriter(live, header(pixel_size_nm=pixel_size_nm, depth=depth)) as writer:
            writer.append(table, frame_records(0, 0.0, len(table), FrameOutcome.FITTED))
            assert writer.rows(0, len(table)).tobytes() == published.tobytes()
        with ResultsReader(live) as reader:
            assert reader.rows().tobytes() == published.tobytes()
        with ResultsReader(finalize(live, final_path(live))) as reader:
            assert reader.rows().tobytes() == published.tobytes()
