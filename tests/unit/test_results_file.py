"""The growing file: what it takes, what it refuses, what it looks like to another program."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from locstream.errors import ResultsError
from locstream.formats.picasso import PICASSO, from_picasso, to_picasso
from locstream.localizations import empty
from locstream.results import live_file
from locstream.results.file import ResultsWriter
from locstream.results.frames import FRAME_RECORD, FrameOutcome, frame_records
from locstream.results.layout import DRIFT_RECORD, acquisition_name, final_path, live_path, lock_path
from locstream.results.lock import FileInUseError
from locstream.results.reader import ResultsReader
from results_example import HEIGHT, PIXEL_SIZE_NM, batch, header, localizations, names

FITTED, SKIPPED = FrameOutcome.FITTED, FrameOutcome.SKIPPED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return live_path(tmp_path, "run")


def one_frame(number: int, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    return localizations(np.full(rows, number)), frame_records(number, 0.0, rows, FITTED)


def test_names_go_both_ways(tmp_path: Path) -> None:
    live = live_path(tmp_path, "a.b c")
    assert live.name == "a.b c.live.h5"
    assert acquisition_name(live) == "a.b c"
    assert lock_path(live).name == "a.b c.live.lock"
    assert final_path(live).name == "a.b c_locs.hdf5"
    for wrong in ("a.h5", ".live.h5"):
        with pytest.raises(ValueError, match="not the path of a live results file"):
            acquisition_name(tmp_path / wrong)


def test_batches_come_back_in_order(path: Path) -> None:
    made = [batch(first, 7) for first in (0, 7, 20, 40)]
    with ResultsWriter(path, header()) as writer:
        for rows, frames in made:
            writer.append(rows, frames)
        assert writer.n_frames == 28
        assert writer.n_rows == sum(len(rows) for rows, _ in made)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["locs"][:], to_picasso(np.concatenate([r for r, _ in made]), PIXEL_SIZE_NM))
        np.testing.assert_array_equal(file["locstream/frames"][:], np.concatenate([f for _, f in made]))


def test_the_writer_reads_what_every_reader_sees(path: Path) -> None:
    rows, frames = batch(0, 30)
    with ResultsWriter(path, header()) as writer:
        writer.append(rows, frames)
        with ResultsReader(path) as reader:
            np.testing.assert_array_equal(writer.rows(5, 50), reader.rows(5, 50))
        np.testing.assert_array_equal(
            writer.rows(5, 10**9), from_picasso(to_picasso(rows, PIXEL_SIZE_NM), PIXEL_SIZE_NM)[5:]
        )


def test_only_two_datasets_lie_at_the_root_and_metadata_is_one(path: Path) -> None:
    with ResultsWriter(path, header()):
        pass
    with h5py.File(path) as file:
        assert {name for name in file if isinstance(file[name], h5py.Dataset)} == {"locs", "metadata"}
        assert file["locs"].dtype == PICASSO
        assert file["locs"].chunks is not None
        assert file["locs"].compression is None
        assert file["MetaData/voxelsize"].attrs["x"] == pytest.approx(0.13)
        assert file["MetaData"].attrs["StartTime"] == header().started_s
        assert file["locs"].attrs["unit_x"] == "camera px"
        assert file["locs"].attrs["unit_bg"] == "photon/px"
        assert file["locstream"].attrs["origin"] == "centre of pixel (0, 0)"
        assert file["locstream/frames"].attrs["outcome_1"] == "fitted"
        assert json.loads(file["locstream/header"][()]) == header().as_dict()
        assert len(file["locstream/drift"]) == len(file["locstream/events"]) == 0


def test_the_superblock_is_the_one_that_swmr_needs_and_repair_knows(path: Path) -> None:
    with ResultsWriter(path, header()):
        assert path.read_bytes()[8] == 3
        assert path.read_bytes()[11] != 0
    assert path.read_bytes()[11] == 0


def test_frames_in_the_metadata_follow_at_the_end_and_its_length_stays(path: Path) -> None:
    with ResultsWriter(path, header(config={"note": "x" * 100_000})) as writer:
        before = writer._file["metadata"].dtype
        assert json.loads(writer._file["metadata"][()])[0]["Frames"] == 1
        writer.append(*batch(0, 5))
        writer.append(*batch(70, 5))
    with h5py.File(path) as file:
        assert file["metadata"].dtype == before
        assert json.loads(file["metadata"][()])[0]["Frames"] == 75


def test_frames_without_rows_are_committed_too(path: Path) -> None:
    with ResultsWriter(path, header()) as writer:
        writer.append(empty(), frame_records([0, 1], 0.0, 0, [FITTED, SKIPPED]))
        writer.append(empty(), frame_records([], [], [], []))
        assert (writer.n_frames, writer.n_rows) == (2, 0)


def test_the_order_of_the_writes_is_rows_flush_frames_flush(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record must never reach the disk before its rows."""
    seen: list[tuple[str, int, int]] = []
    with ResultsWriter(path, header()) as writer:
        locs, frames = writer._locs, writer._frames
        for kind, flush in ((h5py.Dataset, h5py.Dataset.flush), (h5py.File, h5py.File.flush)):

            def note(self: object, flush: object = flush, name: str = kind.__name__) -> None:
                seen.append((name, len(locs), len(frames)))
                flush(self)  # type: ignore[operator]  # the method that was replaced

            monkeypatch.setattr(kind, "flush", note)
        writer.append(*one_frame(0, 3))
        assert seen == [("Dataset", 3, 0), ("File", 3, 1)]
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("rows", "frames", "what"),
    [
        (localizations([1]), frame_records(0, 0.0, 1, FITTED), "do not agree"),
        (localizations([0, 0]), frame_records(0, 0.0, 1, FITTED), "do not agree"),
        (localizations([0]), frame_records(0, 0.0, 2, FITTED), "do not agree"),
        (localizations([2, 1]), frame_records([1, 2], 0.0, 1, FITTED), "do not agree"),
        (empty(), frame_records([2, 1], 0.0, 0, FITTED), "must increase"),
        (empty(), frame_records([1, 1], 0.0, 0, FITTED), "must increase"),
        (empty(), frame_records([1], 0.0, 0, 0), "have an outcome"),
        (localizations([1]), frame_records([1], 0.0, 1, SKIPPED), "not fitted"),
        (localizations([1]), frame_records([], [], [], []), "do not agree"),
        (np.zeros(1, PICASSO), frame_records(0, 0.0, 1, FITTED), "dtype"),
        (empty(), np.zeros(1), "dtype"),
    ],
)
def test_what_does_not_agree_is_refused_and_nothing_is_written(
    path: Path, rows: np.ndarray, frames: np.ndarray, what: str
) -> None:
    with ResultsWriter(path, header()) as writer:
        with pytest.raises(ValueError, match=what):
            writer.append(rows, frames)
        assert (writer.n_rows, writer.n_frames) == (0, 0)
        writer.append(*one_frame(0))
    with ResultsReader(path) as reader:
        assert reader.uncommitted == (0, 0)
        assert reader.n_frames == 1


@pytest.mark.parametrize("number", [0, 4, 5])
def test_a_frame_is_in_the_file_once_and_in_order(path: Path, number: int) -> None:
    with ResultsWriter(path, header()) as writer:
        writer.append(*one_frame(5))
        with pytest.raises(ValueError, match="increase from 6"):
            writer.append(*one_frame(number))
        writer.append(*one_frame(6))


@pytest.mark.parametrize(
    ("name", "value"), [("x_nm", -1), ("y_nm", HEIGHT * PIXEL_SIZE_NM), ("chi2", np.nan), ("photons", np.inf)]
)
def test_rows_that_picasso_would_drop_are_refused(path: Path, name: str, value: float) -> None:
    rows, frames = one_frame(0, 3)
    rows[name][1] = value
    with ResultsWriter(path, header()) as writer, pytest.raises(ValueError, match="1 of 3 rows cannot be stored"):
        writer.append(rows, frames)


def test_drift_and_events_are_kept(path: Path) -> None:
    drift = np.array([(10, 1.5, -2.5, 0)], DRIFT_RECORD)
    with ResultsWriter(path, header()) as writer:
        writer.append_drift(drift)
        writer.append_drift(drift)
        writer.append_event("é" * 40, "focus lost " * 40, 12.5)
        with pytest.raises(ValueError, match="dtype"):
            writer.append_drift(np.zeros(1, FRAME_RECORD))
    with ResultsReader(path) as reader:
        np.testing.assert_array_equal(reader.drift, np.concatenate([drift, drift]))
        (event,) = reader.events
        assert event["EventName"].decode() == "é" * 16
        assert event["EventDescr"].decode() == ("focus lost " * 40)[:256]
        assert event["Time"] == 12.5


@pytest.mark.parametrize("there", ["run.live.h5", "run_locs.hdf5", "run_locs.yaml"])
def test_nothing_that_exists_is_overwritten(path: Path, there: str) -> None:
    (path.parent / there).write_text("mine")
    with pytest.raises(ResultsError, match="not overwritten"):
        ResultsWriter(path, header())
    assert names(path.parent) == [there]
    assert (path.parent / there).read_text() == "mine"


def test_a_second_writer_is_refused_while_the_first_lives(path: Path) -> None:
    with ResultsWriter(path, header()) as writer:
        writer.append(*one_frame(0))
        with pytest.raises(FileInUseError, match=f"process {os.getpid()}"):
            ResultsWriter(path, header())
        writer.append(*one_frame(1))
    assert names(path.parent) == ["run.live.h5"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be locked"):
        ResultsWriter(live_path(tmp_path / "no", "run"), header())


def test_a_failed_creation_leaves_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live_file, "create_tables", refuse)
    with pytest.raises(ResultsError, match=r"cannot be created: .*No space left"):
        ResultsWriter(path, header())
    assert names(path.parent) == []
    monkeypatch.undo()
    with ResultsWriter(path, header()) as writer:
        writer.append(*one_frame(0))


@pytest.mark.parametrize("failing", ["rows", "frames"])
def test_a_disk_that_refuses_ends_the_file_at_the_last_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    writer = ResultsWriter(path, header())
    rows, frames = batch(0, 30)
    writer.append(rows, frames)
    kind = h5py.Dataset if failing == "rows" else h5py.File
    works = kind.flush
    calls = []

    def refuse(self: object) -> None:
        calls.append(self)
        if len(calls) == 1:
            raise RuntimeError("flush failed (errno = 5, error message = 'Input/output error', buf = 0x0)")
        works(self)

    monkeypatch.setattr(kind, "flush", refuse)
    with pytest.raises(ResultsError, match=r"cannot be written: Input/output error\n") as caught:
        writer.append(*batch(30, 30))
    assert f"30 frames with {len(rows):,} localizations" in caught.value.safe
    assert "locstream recover" in caught.value.todo
    assert writer.closed
    with pytest.raises(ResultsError, match="closed"):
        writer.append(*batch(30, 30))
    writer.close()
    assert names(path.parent) == ["run.live.h5"]
    with ResultsReader(path) as reader:
        assert reader.uncommitted == (0, 0)
        np.testing.assert_array_equal(reader.frames(), frames)
        np.testing.assert_array_equal(reader.stored_rows(), to_picasso(rows, PIXEL_SIZE_NM))


def test_a_disk_that_refuses_everything_leaves_the_file_as_a_kill_would(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ResultsWriter(path, header())
    writer.append(*batch(0, 30))
    handle = writer._file

    def refuse(*_: object) -> None:
        raise RuntimeError("write failed")

    with monkeypatch.context() as patch:
        patch.setattr(h5py.Dataset, "flush", refuse)
        patch.setattr(h5py.Dataset, "resize", refuse)
        with pytest.raises(ResultsError, match="write failed"):
            writer.append(*batch(30, 30))
    assert writer.closed
    assert not lock_path(path).exists()
    handle.close()


def test_close_is_safe_twice_and_frees_the_name(path: Path) -> None:
    writer = ResultsWriter(path, header())
    writer.close()
    writer.close()
    assert writer.closed
    assert not lock_path(path).exists()


def test_fsync_happens_when_it_is_due(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    now = [100.0]
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with ResultsWriter(path, header(), fsync_interval_s=2.0) as writer:
        assert len(synced) == 2, "the new file, and its name in the folder"
        synced.clear()
        writer.append(*one_frame(0))
        assert synced == []
        now[0] += 2
        writer.append(*one_frame(1))
        assert len(synced) == 1
        now[0] += 1
        writer.append(*one_frame(2))
        assert len(synced) == 1
    assert len(synced) == 2
    assert names(path.parent) == ["run.live.h5"]


def test_a_width_of_one_pixel_has_one_pixel_of_positions(path: Path) -> None:
    rows, frames = one_frame(0)
    rows["x_nm"] = 0.5 * PIXEL_SIZE_NM
    with ResultsWriter(path, header(width=1)) as writer:
        writer.append(rows, frames)
        rows, frames = one_frame(1)
        rows["x_nm"] = 1.0 * PIXEL_SIZE_NM
        with pytest.raises(ValueError, match="cannot be stored"):
            writer.append(rows, frames)
