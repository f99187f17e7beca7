"""After a crash: all that was committed, nothing else, and the same again however often."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from locstream.errors import ResultsError
from locstream.formats.picasso import read_picasso, to_picasso
from locstream.results import whole_frames
from locstream.results.file import ResultsWriter
from locstream.results.layout import final_path, live_path, lock_path, part_path
from locstream.results.lock import FileInUseError
from locstream.results.reader import ResultsReader
from locstream.results.recover import clean
from locstream.results.repair import clear_flags
from results_example import PIXEL_SIZE_NM, batch, header, names, recover

ROWS, FRAMES = batch(4, 100)


def cut_off(folder: Path, name: str = "run", **changes: object) -> Path:
    """Leave what a writer leaves that is killed after one batch."""
    path = live_path(folder, name)
    with ResultsWriter(path, header(**changes)) as writer:
        writer.append(ROWS, FRAMES)
        content = path.read_bytes()
        lock = lock_path(path).read_bytes()
    path.write_bytes(content)
    lock_path(path).write_bytes(lock)
    return path


def damage(path: Path, **lengths: int) -> None:
    """Open the file as its library does, and change the length of tables."""
    clear_flags(path)
    with h5py.File(path, "r+") as file:
        for name, length in lengths.items():
            file["locs" if name == "locs" else f"locstream/{name}"].resize((length,))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_cut_off_file_is_finished(tmp_path: Path) -> None:
    cut_off(tmp_path)
    (found,) = recover(tmp_path)
    assert found.path == tmp_path / "run_locs.hdf5"
    assert (found.frames, found.rows) == (100, len(ROWS))
    assert (found.trimmed_frames, found.trimmed_rows, found.repaired) == (0, 0, True)
    assert names(tmp_path) == ["run_locs.hdf5", "run_locs.yaml"]
    with ResultsReader(found.path) as reader:
        np.testing.assert_array_equal(reader.stored_rows(), to_picasso(ROWS, PIXEL_SIZE_NM))
        np.testing.assert_array_equal(reader.frames(), FRAMES)
        assert reader.summary["ledger"]["acquired"] == 100
    assert read_picasso(found.path).frames == 104


def test_done_twice_is_done(tmp_path: Path) -> None:
    cut_off(tmp_path)
    recover(tmp_path)
    before = contents(tmp_path)
    assert recover(tmp_path) == []
    assert contents(tmp_path) == before


def test_a_file_that_was_closed_and_not_finished_is_finished(tmp_path: Path) -> None:
    with ResultsWriter(live_path(tmp_path, "run"), header()) as writer:
        writer.append(ROWS, FRAMES)
    (found,) = recover(tmp_path)
    assert (found.repaired, found.rows) == (False, len(ROWS))


def test_rows_that_were_never_committed_are_trimmed(tmp_path: Path) -> None:
    damage(cut_off(tmp_path), locs=len(ROWS) + 33)
    (found,) = recover(tmp_path)
    assert (found.rows, found.trimmed_rows, found.trimmed_frames, found.kept) == (len(ROWS), 33, 0, None)
    assert names(tmp_path) == ["run_locs.hdf5", "run_locs.yaml"]
    assert len(read_picasso(found.path).table) == len(ROWS)


def test_records_that_were_never_written_are_trimmed_and_the_live_file_is_kept(tmp_path: Path) -> None:
    damage(cut_off(tmp_path), frames=109)
    content = live_path(tmp_path, "run").read_bytes()
    (found,) = recover(tmp_path)
    assert (found.frames, found.trimmed_frames) == (100, 9)
    assert found.kept == tmp_path / "run.live.h5.damaged"
    assert found.kept.read_bytes() == content
    before = contents(tmp_path)
    assert sorted(before) == ["run.live.h5.damaged", "run_locs.hdf5", "run_locs.yaml"]
    assert recover(tmp_path) == []
    assert contents(tmp_path) == before


def test_records_without_their_rows_are_trimmed(tmp_path: Path) -> None:
    damage(cut_off(tmp_path), locs=len(ROWS) - 1)
    (found,) = recover(tmp_path)
    last = int(np.flatnonzero(FRAMES["rows"])[-1])
    assert found.frames == last
    assert found.rows == FRAMES["rows"][:last].sum()
    assert found.trimmed_frames == 100 - last
    assert found.kept is not None


def test_rows_that_are_not_those_of_their_record_end_the_file(tmp_path: Path) -> None:
    """A power cut can lose a block of rows and keep the record: the rows read as zeros."""
    path = cut_off(tmp_path)
    clear_flags(path)
    with h5py.File(path, "r+") as file:
        lost = file["locs"][500:600]
        lost[:] = np.zeros((), lost.dtype)
        file["locs"][500:600] = lost
    (found,) = recover(tmp_path)
    owner = int(ROWS["frame"][500]) - 4
    assert found.frames == owner
    assert found.rows == FRAMES["rows"][:owner].sum() <= 500
    assert found.trimmed_rows == len(ROWS) - found.rows
    with ResultsReader(found.path) as reader:
        np.testing.assert_array_equal(reader.stored_rows(), to_picasso(ROWS, PIXEL_SIZE_NM)[: found.rows])
    assert found.kept is not None
    with ResultsReader(found.kept) as reader:
        np.testing.assert_array_equal(reader.stored_rows(600), to_picasso(ROWS, PIXEL_SIZE_NM)[600:])


def test_rows_that_cannot_be_read_end_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = live_path(tmp_path, "run")
    made = [batch(0, 10), batch(10, 490)]  # the first makes room for the records before most of the rows
    with ResultsWriter(path, header()) as writer:
        for rows, frames in made:
            writer.append(rows, frames)
    rows, frames = (np.concatenate(parts) for parts in zip(*made, strict=True))
    with h5py.File(path) as file:
        chunks = [file["locs"].id.get_chunk_info(n) for n in range(file["locs"].id.get_num_chunks())]
    last = max(chunks, key=lambda chunk: chunk.byte_offset)
    readable = int(last.chunk_offset[0])
    path.write_bytes(path.read_bytes()[: last.byte_offset + 100])
    monkeypatch.setattr(whole_frames, "CHECKED_ROWS", 1024)
    (found,) = recover(tmp_path)
    assert found.repaired
    assert found.kept is not None
    assert readable - 100 < found.rows <= readable
    with ResultsReader(found.path) as reader:
        np.testing.assert_array_equal(reader.stored_rows(), to_picasso(rows, PIXEL_SIZE_NM)[: found.rows])
        np.testing.assert_array_equal(reader.frames(), frames[: found.frames])


def test_the_check_of_rows_goes_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_frames, "CHECKED_ROWS", 7)
    cut_off(tmp_path)
    (found,) = recover(tmp_path)
    assert (found.frames, found.rows) == (100, len(ROWS))


def test_an_acquisition_without_a_frame_is_finished(tmp_path: Path) -> None:
    path = live_path(tmp_path, "run")
    with ResultsWriter(path, header()):
        content = path.read_bytes()
    path.write_bytes(content)
    (found,) = recover(tmp_path)
    assert (found.frames, found.rows) == (0, 0)


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    with ResultsWriter(live_path(tmp_path, "run"), header()) as writer:
        writer.append(ROWS, FRAMES)
        with pytest.raises(FileInUseError, match="is being written by process"):
            recover(tmp_path)
        writer.append(*batch(500, 10))
    (found,) = recover(tmp_path)
    assert found.frames == 110


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n" + b"\x03\x08\x08\x05" + b"\0" * 60])
def test_a_file_beyond_repair_is_told_and_kept(tmp_path: Path, content: bytes) -> None:
    live = live_path(tmp_path, "run")
    live.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ResultsError):
            recover(tmp_path)
        assert contents(tmp_path) == {live.name: content}


def test_damaged_metadata_is_told_at_once(tmp_path: Path) -> None:
    """As a file that grows it would be read again and again, each time later, until somebody ends the process."""
    path = cut_off(tmp_path)
    whole = bytearray(path.read_bytes())
    root = int.from_bytes(whole[36:44], "little")
    whole[root + 8] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(ResultsError, match="damaged"):
        recover(tmp_path)
    assert path.read_bytes()[48:] == whole[48:]


def test_a_lock_that_cannot_be_taken_is_told(tmp_path: Path) -> None:
    path = cut_off(tmp_path)
    lock_path(path).unlink()
    lock_path(path).mkdir()
    with pytest.raises(ResultsError, match="cannot be locked"):
        recover(tmp_path)
    assert path.exists()


def test_a_finished_file_of_another_acquisition_stops_it(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cut_off(elsewhere, acquisition_id="other")
    recover(elsewhere)
    cut_off(tmp_path)
    final_path(elsewhere / "run.live.h5").rename(tmp_path / "run_locs.hdf5")
    with pytest.raises(ResultsError, match="not overwritten"):
        recover(tmp_path)
    assert (tmp_path / "run.live.h5").exists()


def test_what_a_torn_finish_left_is_finished_and_cleaned(tmp_path: Path) -> None:
    live = cut_off(tmp_path)
    part_path(final_path(live)).write_bytes(b"half a file")
    part_path(final_path(live).with_suffix(".yaml")).write_text("Width: 6")
    recover(tmp_path)
    assert names(tmp_path) == ["run_locs.hdf5", "run_locs.yaml"]


def test_a_finish_that_was_cut_off_after_the_move_is_completed(tmp_path: Path) -> None:
    live = cut_off(tmp_path)
    content = live.read_bytes()
    (first,) = recover(tmp_path)
    finished = contents(tmp_path)
    live.write_bytes(content)
    (second,) = recover(tmp_path)
    assert second == first
    assert contents(tmp_path) == finished


def test_what_a_writer_left_that_died_before_its_first_frame_goes(tmp_path: Path) -> None:
    part_path(live_path(tmp_path, "unborn")).write_bytes(b"\x89HDF")
    lock_path(live_path(tmp_path, "unborn")).write_text("1\n")
    lock_path(live_path(tmp_path, "alone")).write_text("2\n")
    (tmp_path / "mine.txt").write_text("stays")
    assert recover(tmp_path) == []
    assert names(tmp_path) == ["mine.txt"]


def test_a_lock_that_was_left_is_removed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second time it would be the lock of whoever took it in between."""
    removed, unlink = [], Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: (removed.append(path), unlink(path, missing_ok)))
    left = lock_path(live_path(tmp_path, "alone"))
    left.write_text("2\n")
    clean(tmp_path)
    assert removed == [left]


def test_a_living_writer_keeps_its_lock(tmp_path: Path) -> None:
    live = live_path(tmp_path, "run")
    with ResultsWriter(live, header()):
        clean(tmp_path)
        assert lock_path(live).exists()


def test_an_empty_folder_has_nothing_to_recover(tmp_path: Path) -> None:
    assert recover(tmp_path) == []
