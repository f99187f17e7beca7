"""A results file whose writer died goes on after its last committed frame, in a new file that takes its place."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locstream.calibration.camera import CameraCalibration
from locstream.errors import ResultsError
from locstream.formats.picasso import to_picasso
from locstream.results import live_file
from locstream.results.file import ResultsWriter
from locstream.results.layout import DRIFT_RECORD, live_path, lock_path
from locstream.results.lock import FileInUseError
from locstream.results.reader import ResultsReader
from locstream.results.repair import clear_flags
from results_example import PIXEL_SIZE_NM, batch, header, names, recover

BATCHES = [batch(first, 20) for first in (0, 20, 60)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return live_path(tmp_path, "run")


def cut_off(path: Path, batches: list[tuple[np.ndarray, np.ndarray]] = BATCHES[:2]) -> None:
    """Leave what a writer leaves that is killed after some batches."""
    with ResultsWriter(path, header(), calibration=CameraCalibration(PIXEL_SIZE_NM, offset_adu=99.0)) as writer:
        for rows, frames in batches:
            writer.append(rows, frames)
        writer.append_drift(np.array([(10, 1.5, -2.5, 0)], DRIFT_RECORD))
        writer.append_event("focus", "lost", 12.5)
        content, lock = path.read_bytes(), lock_path(path).read_bytes()
    path.write_bytes(content)
    lock_path(path).write_bytes(lock)


def assert_holds(path: Path, batches: list[tuple[np.ndarray, np.ndarray]]) -> None:
    with ResultsReader(path) as reader:
        np.testing.assert_array_equal(reader.frames(), np.concatenate([frames for _, frames in batches]))
        stored = to_picasso(np.concatenate([rows for rows, _ in batches]), PIXEL_SIZE_NM)
        assert reader.stored_rows().tobytes() == stored.tobytes()
        assert reader.uncommitted == (0, 0)


def test_it_goes_on_after_the_last_commit(path: Path) -> None:
    cut_off(path)
    with ResultsWriter.resume(path) as writer:
        assert writer.n_frames == 40
        assert writer.n_rows == sum(len(rows) for rows, _ in BATCHES[:2])
        assert writer.header == header()
        assert_holds(path, BATCHES[:2])
        writer.append(*BATCHES[2])
        assert_holds(path, BATCHES)
    assert names(path.parent) == ["run.live.h5"]
    assert_holds(path, BATCHES)


def test_what_else_was_in_it_is_in_it(path: Path) -> None:
    cut_off(path)
    with ResultsWriter.resume(path):
        pass
    with ResultsReader(path) as reader:
        assert reader.drift.tolist() == [(10, 1.5, -2.5, 0)]
        assert reader.events["EventName"].tolist() == [b"focus"]
        assert reader.calibration is not None
        assert reader.calibration.offset_adu == 99.0
        assert reader.header == header()


def test_a_frame_that_was_settled_is_refused(path: Path) -> None:
    cut_off(path)
    with ResultsWriter.resume(path) as writer:
        with pytest.raises(ValueError, match="increase from 40"):
            writer.append(*BATCHES[1])
        writer.append(*batch(40, 3))


def test_killed_again_it_goes_on_again(path: Path) -> None:
    cut_off(path, BATCHES[:1])
    with ResultsWriter.resume(path) as writer:
        writer.append(*BATCHES[1])
        content = path.read_bytes()
    path.write_bytes(content)
    with ResultsWriter.resume(path) as writer:
        writer.append(*BATCHES[2])
    assert_holds(path, BATCHES)


def test_a_file_that_was_closed_in_good_order_goes_on_too(path: Path) -> None:
    with ResultsWriter(path, header()) as writer:
        writer.append(*BATCHES[0])
    with ResultsWriter.resume(path) as writer:
        writer.append(*BATCHES[1])
    assert_holds(path, BATCHES[:2])


def test_one_without_a_frame_goes_on(path: Path) -> None:
    cut_off(path, [])
    with ResultsWriter.resume(path) as writer:
        writer.append(*BATCHES[0])
    assert_holds(path, BATCHES[:1])


def test_it_becomes_what_one_writer_would_have_made(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cut_off(live_path(elsewhere, "run"), BATCHES)
    cut_off(path)
    with ResultsWriter.resume(path) as writer:
        writer.append(*BATCHES[2])
    recover(tmp_path)
    recover(elsewhere)
    with h5py.File(tmp_path / "run_locs.hdf5") as one, h5py.File(elsewhere / "run_locs.hdf5") as other:
        found: list[str] = []
        one.visit(found.append)
        for name in found:
            assert type(one[name]) is type(other[name])
            assert dict(one[name].attrs) == dict(other[name].attrs)
            if isinstance(one[name], h5py.Dataset):
                np.testing.assert_array_equal(one[name][()], other[name][()])
        others: list[str] = []
        other.visit(others.append)
        assert found == others


@pytest.mark.parametrize("changed", [{"locs": 33}, {"frames": 9}, {"locs": -1}])
def test_what_was_not_committed_is_left_out_and_what_is_damaged_is_kept(path: Path, changed: dict[str, int]) -> None:
    cut_off(path)
    clear_flags(path)
    with h5py.File(path, "r+") as file:
        for name, more in changed.items():
            table = file["locs" if name == "locs" else f"locstream/{name}"]
            table.resize((len(table) + more,))
    content = path.read_bytes()
    with ResultsWriter.resume(path) as writer:
        frames = writer.n_frames
        writer.append(*BATCHES[2])
    kept = path.with_name("run.live.h5.damaged")
    if changed == {"locs": 33}:
        assert frames == 40
        assert not kept.exists()
    else:
        assert frames == (40 if "frames" in changed else 39)
        assert kept.read_bytes() == content
    with ResultsReader(path) as reader:
        assert reader.n_frames == frames + 20
        assert reader.uncommitted == (0, 0)


def test_damaged_twice_both_are_kept(path: Path) -> None:
    for count in range(2):
        if not count:
            cut_off(path)
        clear_flags(path)
        with h5py.File(path, "r+") as file:
            file["locstream/frames"].resize((len(file["locstream/frames"]) + 3,))
        ResultsWriter.resume(path).close()
    assert names(path.parent) == ["run.live.h5", "run.live.h5.damaged", "run.live.h5.damaged2"]


def test_a_try_that_was_cut_off_after_keeping_keeps_no_second_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(path)
    clear_flags(path)
    with h5py.File(path, "r+") as file:
        file["locstream/frames"].resize((43,))

    def cut(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            ResultsWriter.resume(path)
    ResultsWriter.resume(path).close()
    assert names(path.parent) == ["run.live.h5", "run.live.h5.damaged"]


def test_a_writer_that_lives_is_left_alone(path: Path) -> None:
    with ResultsWriter(path, header()) as writer:
        writer.append(*BATCHES[0])
        with pytest.raises(FileInUseError, match=f"process {os.getpid()}"):
            ResultsWriter.resume(path)
        writer.append(*BATCHES[1])
    assert_holds(path, BATCHES[:2])


def test_what_was_resumed_holds_the_lock(path: Path) -> None:
    cut_off(path)
    with ResultsWriter.resume(path), pytest.raises(FileInUseError):
        ResultsWriter.resume(path)
    assert not lock_path(path).exists()


@pytest.mark.parametrize("content", [None, b"", b"no HDF5 at all"])
def test_what_is_no_results_file_is_told_and_leaves_no_lock(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    before = names(path.parent)
    with pytest.raises(ResultsError):
        ResultsWriter.resume(path)
    assert names(path.parent) == before


def test_a_disk_that_refuses_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(path)
    clear_flags(path)
    content = path.read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(live_file, "copy_tables", refuse)
        with pytest.raises(ResultsError, match="No space left"):
            ResultsWriter.resume(path)
    assert names(path.parent) == ["run.live.h5"]
    assert path.read_bytes() == content
    assert_holds(path, BATCHES[:2])


def test_rows_are_copied_in_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_file, "BLOCK_ROWS", 37)
    cut_off(path)
    ResultsWriter.resume(path).close()
    assert_holds(path, BATCHES[:2])


PLAN = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30), st.booleans()), min_size=1, max_size=8)
"""Camera gap before a batch, frames in it, whether the writer is killed behind it."""


@settings(max_examples=40, deadline=None)
@given(PLAN)
def test_killed_and_resumed_anywhere_every_batch_is_there_once(plan: list[tuple[int, int, bool]]) -> None:
    with TemporaryDirectory() as folder:
        path = live_path(Path(folder), "run")
        writer = ResultsWriter(path, header())
        made, first = [], 0
        for seed, (gap, frames, killed) in enumerate(plan):
            made.append(batch(first + gap, frames, seed=seed))
            first += gap + frames
            writer.append(*made[-1])
            if killed:
                content = path.read_bytes()
                writer.close()
                path.write_bytes(content)
                writer = ResultsWriter.resume(path)
        writer.close()
        assert_holds(path, made)
