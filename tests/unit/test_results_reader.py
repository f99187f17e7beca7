"""Reading: finished files, files that grow, and what is not one of ours."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from locstream.errors import ResultsError
from locstream.formats.picasso import from_picasso, to_picasso
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.layout import final_path, live_path
from locstream.results.reader import ResultsReader, marked_open, read_results
from results_example import PIXEL_SIZE_NM, batch, header


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return live_path(tmp_path, "run")


def stored(rows: np.ndarray) -> np.ndarray:
    return from_picasso(to_picasso(rows, PIXEL_SIZE_NM), PIXEL_SIZE_NM)


def test_a_reader_follows_a_file_that_grows(path: Path) -> None:
    with ResultsWriter(path, header()) as writer, ResultsReader(path) as reader:
        assert (reader.n_frames, reader.n_rows, reader.last_frame) == (0, 0, None)
        total = 0
        for first in (0, 10, 35):
            rows, frames = batch(first, 10)
            writer.append(rows, frames)
            assert reader.n_rows == total
            assert reader.refresh() == 10
            assert reader.refresh() == 0
            np.testing.assert_array_equal(reader.rows(total), stored(rows))
            np.testing.assert_array_equal(reader.frames(reader.n_frames - 10), frames)
            total += len(rows)
            assert reader.last_frame == first + 9


@pytest.mark.parametrize("finished", [False, True])
def test_live_and_finished_files_read_the_same(path: Path, finished: bool) -> None:
    rows, frames = batch(3, 50)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
    results = read_results(finalize(path, final_path(path), {"why": "asked to"}) if finished else path)
    np.testing.assert_array_equal(results.table, stored(rows))
    np.testing.assert_array_equal(results.frames, frames)
    assert results.header == header()
    assert results.summary.get("why") == ("asked to" if finished else None)


def test_slices_are_cut_to_what_is_committed(path: Path) -> None:
    rows, frames = batch(0, 20)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
    with ResultsReader(path) as reader:
        np.testing.assert_array_equal(reader.rows(10, 20), stored(rows[10:20]))
        assert len(reader.rows(5, 3)) == 0
        assert len(reader.rows(len(rows) + 7)) == 0
        assert len(reader.rows(len(rows) - 2, 10**12)) == 2
        assert len(reader.frames(19)) == 1
        with pytest.raises(ValueError, match="count from 0"):
            reader.rows(-1)


def test_blocks_go_through_everything_once(path: Path) -> None:
    rows, frames = batch(0, 50)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
    with ResultsReader(path) as reader:
        blocks = list(reader.blocks(block_rows=64))
    assert [len(block) for block in blocks[:-1]] == [64] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate(blocks), stored(rows))


def test_rows_without_a_record_do_not_count(path: Path) -> None:
    rows, frames = batch(0, 20)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
    with h5py.File(path, "r+") as file:
        file["locs"].resize((len(rows) + 9,))
        file["locstream/frames"].resize((23,))
    with ResultsReader(path) as reader:
        assert (reader.n_frames, reader.n_rows) == (20, len(rows))
        assert reader.uncommitted == (3, 9)
        assert len(reader.rows()) == len(rows)


def test_a_record_without_its_rows_does_not_count(path: Path) -> None:
    rows, frames = batch(0, 20)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
    short = int(frames["rows"][:12].sum()) + 1
    with h5py.File(path, "r+") as file:
        file["locs"].resize((short,))
    with ResultsReader(path) as reader:
        assert reader.n_frames >= 12
        assert reader.n_rows == frames["rows"][: reader.n_frames].sum() <= short
        assert reader.frames(0)["rows"].sum() == reader.n_rows


def test_keep_takes_only_the_first_frames(path: Path) -> None:
    rows, frames = batch(0, 20)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
    with ResultsReader(path) as reader:
        reader.keep(7)
        assert (reader.n_frames, reader.last_frame) == (7, 6)
        assert reader.n_rows == frames["rows"][:7].sum()
        assert reader.refresh() == 13
        reader.keep(0)
        assert (reader.n_rows, reader.last_frame) == (0, None)


def test_what_is_no_results_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be read"):
        ResultsReader(tmp_path / "absent_locs.hdf5")
    (tmp_path / "text.live.h5").write_text("no")
    with pytest.raises(ResultsError, match="cannot be read"):
        ResultsReader(tmp_path / "text.live.h5")
    with h5py.File(tmp_path / "picasso_locs.hdf5", "w") as file:
        file["locs"] = np.zeros(3, [("x", "f4")])
    with pytest.raises(ResultsError, match="not a results file of locstream") as caught:
        ResultsReader(tmp_path / "picasso_locs.hdf5")
    assert "read_picasso" in caught.value.todo
    with h5py.File(tmp_path / "broken_locs.hdf5", "w") as file:
        file["locstream/header"] = "{}"
    with pytest.raises(ResultsError, match="not a results file of locstream"):
        ResultsReader(tmp_path / "broken_locs.hdf5")


def test_only_a_file_that_grows_is_marked_so(path: Path) -> None:
    with ResultsWriter(path, header()):
        assert marked_open(path)
    assert not marked_open(path)
    path.write_bytes(b"short")
    assert not marked_open(path)


def test_a_file_whose_writer_was_killed_is_read_as_it_lies(path: Path) -> None:
    rows, frames = batch(0, 20)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
        content = path.read_bytes()
    path.write_bytes(content)
    results = read_results(path)
    np.testing.assert_array_equal(results.table, stored(rows))
    assert path.read_bytes() == content


def test_damaged_data_is_told_and_not_returned(path: Path) -> None:
    rows, frames = batch(0, 200)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
    final = finalize(path, final_path(path))
    with h5py.File(final) as file:
        where = file["locs"].id.get_chunk_info(0).byte_offset
    content = bytearray(final.read_bytes())
    content[where : where + 64] = b"\xff" * 64
    final.write_bytes(content)
    with ResultsReader(final) as reader, pytest.raises(ResultsError, match="cannot be read from row 0 on"):
        reader.rows()
