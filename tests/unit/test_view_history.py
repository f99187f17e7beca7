"""History gives what is committed, in bounded answers, as it was published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from locstream.errors import MessageError
from locstream.formats.picasso import as_stored
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.layout import LOCS, final_path, live_path
from locstream.stream.messages import (
    HISTORY_REPLIES,
    HISTORY_REQUESTS,
    MAX_CHUNK_BYTES,
    Chunk,
    End,
    Fetch,
    Reply,
    row_dtype,
    rows_from,
)
from locstream.stream.wire import pack
from locstreamd.view.history import OPEN_FILES, REMEMBERED, History
from results_example import PIXEL_SIZE_NM, batch, header, localizations


@pytest.fixture
def history() -> Iterator[History]:
    history = History()
    yield history
    history.close()


def begin(folder: Path, history: History, acquisition: str = "a1", **known: object) -> ResultsWriter:
    live = live_path(folder, acquisition)
    history.begin(acquisition, live, final_path(live))
    return ResultsWriter(live, header(acquisition_id=acquisition, **known))


def fetch(
    history: History, *, acquisition: str = "", from_row: int = 0, max_rows: int = 0
) -> tuple[Chunk, Localizations]:
    request = Fetch(id=7, acquisition=acquisition, from_row=from_row, max_rows=max_rows)
    chunk, buffers = HISTORY_REPLIES.unpack(history.answer(request))
    assert isinstance(chunk, Chunk), chunk
    assert chunk.id == 7
    return chunk, rows_from(chunk, buffers, row_dtype(chunk))


def refusal(history: History, **wanted: object) -> str:
    reply, _ = HISTORY_REPLIES.unpack(history.answer(Fetch(id=3, **wanted)))
    assert isinstance(reply, Reply)
    assert (reply.id, reply.ok) == (3, False)
    return reply.message


def test_committed_rows_come_as_they_are_published(tmp_path: Path, history: History) -> None:
    with begin(tmp_path, history) as writer:
        first, second = batch(0, 30), batch(30, 30)
        writer.append(*first)
        chunk, rows = fetch(history)
        assert rows.tobytes() == as_stored(first[0], PIXEL_SIZE_NM).tobytes()
        assert (chunk.acquisition, chunk.row_first, chunk.committed, chunk.more) == ("a1", 0, len(first[0]), False)
        assert not chunk.ended
        writer.append(*second)
        chunk, rows = fetch(history, acquisition="a1", from_row=len(first[0]))
        assert rows.tobytes() == as_stored(second[0], PIXEL_SIZE_NM).tobytes()
        assert chunk.committed == len(first[0]) + len(second[0])


def test_no_more_rows_than_asked_for(tmp_path: Path, history: History) -> None:
    with begin(tmp_path, history) as writer:
        writer.append(*batch(0, 30))
        chunk, rows = fetch(history, from_row=5, max_rows=3)
        assert (chunk.row_first, chunk.rows, chunk.more) == (5, 3, True)
        np.testing.assert_array_equal(rows, writer.rows(5, 8))


def test_beyond_the_last_row_there_is_nothing_yet(tmp_path: Path, history: History) -> None:
    with begin(tmp_path, history) as writer:
        writer.append(*batch(0, 3))
        for beyond in (writer.n_rows, 10**12):
            chunk, rows = fetch(history, from_row=beyond)
            assert (chunk.row_first, len(rows), chunk.more, chunk.committed) == (beyond, 0, False, writer.n_rows)


def test_an_acquisition_that_ended_before_its_file_was_begun_has_no_rows_and_an_end(
    tmp_path: Path, history: History
) -> None:
    live = live_path(tmp_path, "a1")
    history.begin("a1", live, final_path(live), depth=True)
    chunk, _ = fetch(history)
    assert (chunk.committed, chunk.ended, chunk.end) == (0, False, None)
    end = End(acquisition="a1", seq=1, outcome="stopped", frames=0, rows=0)
    history.end("a1", end)
    chunk, rows = fetch(history, from_row=5)
    assert (chunk.committed, chunk.ended, chunk.end, rows.dtype) == (0, True, end, LOCALIZATION_3D)
    history.end("a1", End(acquisition="a1", seq=1, outcome="complete", frames=9, rows=7))
    assert "cannot be read" in refusal(history), "there were rows, and their file is gone"


def test_an_answer_is_bounded(tmp_path: Path, history: History) -> None:
    rows = localizations(np.zeros(40_000))
    with begin(tmp_path, history) as writer:
        writer.append(rows, frame_records(0, 0.0, len(rows), FrameOutcome.FITTED))
        got: list[Localizations] = []
        more = True
        while more:
            chunk, table = fetch(history, from_row=sum(map(len, got)), max_rows=10**9)
            assert 0 < table.nbytes <= MAX_CHUNK_BYTES
            got.append(table)
            more = chunk.more
        assert len(got) == 3
        assert np.concatenate(got).tobytes() == writer.rows(0, len(rows)).tobytes()


def test_rows_that_are_not_committed_are_not_given(tmp_path: Path, history: History) -> None:
    with begin(tmp_path, history) as writer:
        writer.append(*batch(0, 10))
        committed = writer.n_rows
        locs = writer._file[LOCS]
        locs.resize((committed + 100,))
        locs.flush()
        chunk, rows = fetch(history)
        assert len(rows) == chunk.committed == committed
        locs.resize((committed,))


def test_depth_is_announced_and_given(tmp_path: Path, history: History) -> None:
    rows = empty(4, LOCALIZATION_3D)
    rows["z_nm"] = [-300, -0.1, 0.1, 300]
    with begin(tmp_path, history, depth=True) as writer:
        writer.append(rows, frame_records(0, 0.0, 4, FrameOutcome.FITTED))
        chunk, got = fetch(history)
    assert [spec.name for spec in chunk.fields] == list(LOCALIZATION_3D.names or ())
    np.testing.assert_array_equal(got, rows)


def test_it_goes_on_while_the_file_is_finished_and_after(tmp_path: Path, history: History) -> None:
    writer = begin(tmp_path, history)
    writer.append(*batch(0, 30))
    rows = writer.rows(0, writer.n_rows)
    writer.close()
    assert not fetch(history)[0].ended
    history.end("a1", end := End(acquisition="a1", seq=9, outcome="complete", frames=30, rows=len(rows)))
    assert fetch(history)[0].ended
    assert fetch(history)[0].end == end
    finalize(writer.path, final_path(writer.path))
    for forgotten in (False, True):
        if forgotten:
            history.close()
        chunk, table = fetch(history)
        assert chunk.ended
        assert table.tobytes() == rows.tobytes()


def test_a_finished_file_has_ended_whoever_says_so(tmp_path: Path, history: History) -> None:
    begin(tmp_path, history).close()
    finalize(live_path(tmp_path, "a1"), final_path(live_path(tmp_path, "a1")))
    assert fetch(history)[0].ended


def test_a_writer_that_went_on_with_a_file_is_followed(tmp_path: Path, history: History) -> None:
    writer = begin(tmp_path, history)
    writer.append(*batch(0, 10))
    before, _ = fetch(history)
    writer._file.close()  # as a kill leaves it: the lock is given back, the rest stays
    writer._lock.release()
    with ResultsWriter.resume(writer.path) as resumed:
        resumed.append(*batch(10, 10))
        chunk, rows = fetch(history)
        assert chunk.committed == resumed.n_rows > before.committed
        assert rows.tobytes() == resumed.rows(0, resumed.n_rows).tobytes()


def test_the_latest_is_meant_where_none_is_named(tmp_path: Path, history: History) -> None:
    for name in ("a1", "a2"):
        begin(tmp_path, history, name).close()
    assert fetch(history)[0].acquisition == "a2"
    assert fetch(history, acquisition="a1")[0].acquisition == "a1"


def test_what_cannot_be_given_is_refused_with_the_reason(tmp_path: Path, history: History) -> None:
    assert "no acquisition ''" in refusal(history)
    assert "'other'" in refusal(history, acquisition="other")
    history.begin("gone", tmp_path / "gone.live.h5", tmp_path / "gone_locs.hdf5")
    history.end("gone")
    assert "gone_locs.hdf5 cannot be read" in refusal(history)


@pytest.mark.parametrize(("depth", "dtype"), [(False, LOCALIZATION), (True, LOCALIZATION_3D)])
def test_before_the_file_is_begun_there_are_no_rows_yet(
    tmp_path: Path, history: History, depth: bool, dtype: np.dtype[np.void]
) -> None:
    live = live_path(tmp_path, "a1")
    history.begin("a1", live, final_path(live), depth=depth)
    chunk, rows = fetch(history, from_row=7)
    assert (chunk.row_first, len(rows), chunk.committed, chunk.more, chunk.ended) == (7, 0, 0, False, False)
    assert rows.dtype == dtype
    with ResultsWriter(live, header(acquisition_id="a1", depth=depth)):
        assert fetch(history)[0].committed == 0
    live.unlink()
    history.close()
    assert "cannot be read" in refusal(history), "it was there, and is gone"


def test_a_file_of_another_acquisition_is_not_given(tmp_path: Path, history: History) -> None:
    live = live_path(tmp_path, "cell")
    with ResultsWriter(live, header(acquisition_id="older")):
        history.begin("newer", live, final_path(live))
        assert "another acquisition" in refusal(history)


def test_damaged_data_is_refused_and_not_given(tmp_path: Path, history: History) -> None:
    live = live_path(tmp_path, "a1")
    with begin(tmp_path, history) as writer:
        writer.append(*batch(0, 200))
    finalize(live, final_path(live))
    with h5py.File(final_path(live)) as file:
        offset = file[LOCS].id.get_chunk_info(0).byte_offset
    with final_path(live).open("r+b") as raw:
        raw.seek(offset + 4)
        raw.write(b"\xff" * 64)
    assert "cannot be read" in refusal(history)


def test_few_files_are_open_and_few_are_remembered(tmp_path: Path, history: History) -> None:
    for i in range(REMEMBERED + 3):
        begin(tmp_path, history, f"r{i}").close()
        fetch(history, acquisition=f"r{i}")
        assert len(history._open) <= OPEN_FILES
    assert "no acquisition 'r0'" in refusal(history, acquisition="r0")
    assert fetch(history, acquisition="r3")[0].acquisition == "r3"


@pytest.mark.parametrize("numbers", [{"from_row": -1}, {"max_rows": -1}, {"from_row": 2**60}])
def test_rows_that_nobody_can_have_are_no_request(numbers: dict[str, int]) -> None:
    with pytest.raises(MessageError, match="malformed 'fetch'"):
        HISTORY_REQUESTS.unpack(pack(Fetch(id=1, **numbers)))


def test_the_layout_is_the_tables_own(tmp_path: Path, history: History) -> None:
    begin(tmp_path, history).close()
    assert row_dtype(fetch(history)[0]) == LOCALIZATION
