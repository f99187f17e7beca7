"""Following without a window: rows once and in order, camera frames, files, the next acquisition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from locstream.bundle.files import RunFiles
from locstream.errors import StackError
from locstream.localizations import Localizations, empty
from locstream.results.file import ResultsWriter
from locstream.results.frames import FRAME_RECORD, FrameOutcome
from locstream.results.header import ResultsHeader
from locstream.results.ledger import LedgerSnapshot
from locstream.stacks.place import STACK_FILE
from locstream.stream.messages import Hello, Status
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.notices import notices
from locstream_view.following.raw_frames import open_frames
from locstream_view.following.rows_in_order import RowsInOrder
from locstream_view.following.run_files import files_here
from locstream_view.following.seen import Seen
from locstream_view.following.target import FileTarget, LiveTarget
from locstream_view.model.model import ViewModel
from small_publisher import SmallPublisher
from waiting import until

ID = "a" * 32
HELLO = Hello(
    acquisition=ID, seq=0, name="run", software="test", width=64, height=48, pixel_size_nm=100.0, started_s=0.0
)
STATUS = Status(acquisition=ID, seq=0, state="acquiring", ledger=LedgerSnapshot(acquired=100, fitted=100))


def rows_of_frames(first: int, stop: int, each: int = 3) -> Localizations:
    rows = empty((stop - first) * each)
    rows["frame"] = np.repeat(np.arange(first, stop), each)
    rows["x_nm"] = np.linspace(100, 5_000, len(rows), dtype=np.float32)
    rows["y_nm"] = 1_000
    rows["photons"] = 500
    return rows


def records(first: int, stop: int, each: int = 3) -> np.ndarray:
    found = np.zeros(stop - first, FRAME_RECORD)
    found["frame"] = np.arange(first, stop)
    found["rows"] = each
    found["outcome"] = FrameOutcome.FITTED.value
    return found


@contextmanager
def growing(folder: Path, acquisition: str = ID, **more: Any) -> Iterator[tuple[RunFiles, ResultsWriter]]:
    files = RunFiles(folder, "run")
    header = ResultsHeader(
        acquisition_id=acquisition, name="run", height=48, width=64, pixel_size_nm=100.0, started_s=0.0, **more
    )
    writer = ResultsWriter(files.live_results, header)
    try:
        yield files, writer
    finally:
        writer.close()


def test_files_are_those_of_the_acquisition_and_no_others(tmp_path: Path) -> None:
    here = msgspec.structs.replace(HELLO, folder=str(tmp_path))
    with growing(tmp_path) as (files, _):
        assert files_here(here) == files
        assert files_here(msgspec.structs.replace(here, acquisition="b" * 32)) is None
    assert files_here(HELLO) is None
    assert files_here(msgspec.structs.replace(HELLO, folder=str(tmp_path / "nowhere"))) is None


class TestCameraFramesOfAReplay:
    def test_they_are_those_of_the_stack_that_is_replayed(self, tmp_path: Path) -> None:
        stack = tmp_path / "cell.npy"
        images = np.arange(5 * 48 * 64, dtype=np.uint16).reshape(5, 48, 64)
        np.save(stack, images)
        with growing(tmp_path, source={STACK_FILE: str(stack)}) as (files, _):
            frames, why = open_frames(files)
            assert (frames is not None, why) == (True, "")
            assert frames is not None
            assert frames.newest(-1) is None
            for upto, number in ((0, 0), (3, 3), (9, 4)):
                newest = frames.newest(upto)
                assert newest is not None
                assert newest.number == number
                np.testing.assert_array_equal(newest.image, images[number])
            frames.close()

    def test_the_panel_gets_them_with_what_was_found(self, tmp_path: Path) -> None:
        stack = tmp_path / "cell.npy"
        np.save(stack, np.full((5, 48, 64), 7, np.uint16))
        with growing(tmp_path, source={STACK_FILE: str(stack)}) as (files, _):
            model = ViewModel(64, 48, 100.0)
            model.add(rows_of_frames(0, 4))
            watch = FrameWatch(lambda: Seen("file", "run", model, files=files))
            watch.start()
            try:
                until(lambda: watch.frame is not None, lambda: watch.why)
                assert watch.frame is not None
                assert (watch.frame.number, len(watch.frame.columns), watch.why) == (3, 3, "")
            finally:
                watch.close()

    def test_the_average_is_of_each_frame_once_also_of_those_from_before(self, tmp_path: Path) -> None:
        stack = tmp_path / "cell.npy"
        np.save(stack, np.arange(12, dtype=np.uint16)[:, None, None] * np.ones((12, 48, 64), np.uint16))
        with growing(tmp_path, source={STACK_FILE: str(stack)}) as (files, _):
            model = ViewModel(64, 48, 100.0)
            watch = FrameWatch(lambda: Seen("file", "run", model, files=files))
            for stop, frames in ((10, range(10)), (12, (*range(10), 11))):
                model.add(rows_of_frames(max(0, stop - 10), stop))
                for _ in range(30):
                    watch._look()
                assert model.average is not None
                assert model.average.frames == len(frames)
                assert model.average.mean.mean() == pytest.approx(np.mean(frames))
            watch.close()

    def test_why_there_are_none(self, tmp_path: Path) -> None:
        with growing(tmp_path) as (files, _):
            assert "recording is off" in open_frames(files).why
        (tmp_path / "run.live.h5").unlink()
        with growing(tmp_path, source={STACK_FILE: str(tmp_path / "gone.tif")}) as (files, _):
            assert open_frames(files).why.endswith(f"not there any more ({tmp_path / 'gone.tif'})")
            (tmp_path / "gone.tif").write_bytes(b"no picture")
            with pytest.raises(StackError):
                open_frames(files)


class Taken:
    def __init__(self) -> None:
        self.frames: list[int] = []

    def __call__(self, rows: Localizations) -> None:
        self.frames += [int(number) for number in rows["frame"]]


class TestRowsInOrder:
    def test_what_came_before_is_read_from_the_growing_file(self, tmp_path: Path) -> None:
        taken = Taken()
        with growing(tmp_path) as (files, writer):
            writer.append(rows_of_frames(0, 10), records(0, 10))
            order = RowsInOrder(ID, files, taken)
            order.fill()
            assert order.next_row == 30
            writer.append(rows_of_frames(10, 12), records(10, 12))
            writer.append(rows_of_frames(12, 14), records(12, 14))
            order.offer(36, rows_of_frames(12, 14))  # 10 and 11 were lost on the way
            order.close()
        assert taken.frames == [int(n) for n in np.repeat(np.arange(14), 3)]
        assert order.missing == 0

    def test_rows_that_came_already_are_left_out(self) -> None:
        taken = Taken()
        order = RowsInOrder(ID, None, taken)
        rows = rows_of_frames(0, 4)
        order.offer(0, rows)
        order.offer(6, rows[6:])
        order.offer(6, rows_of_frames(2, 6))
        assert taken.frames == [int(n) for n in np.repeat(np.arange(6), 3)]

    def test_rows_that_nobody_has_are_counted(self) -> None:
        taken = Taken()
        order = RowsInOrder(ID, None, taken)
        order.offer(15, rows_of_frames(5, 6))
        assert (order.missing, order.next_row, taken.frames) == (15, 18, [5, 5, 5])

    def test_the_file_of_another_acquisition_is_not_read(self, tmp_path: Path) -> None:
        taken = Taken()
        with growing(tmp_path, "b" * 32) as (files, writer):
            writer.append(rows_of_frames(0, 10), records(0, 10))
            order = RowsInOrder(ID, files, taken)
            order.fill(30)
        assert (order.missing, taken.frames) == (30, [])


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[SmallPublisher]:
    publisher = SmallPublisher(f"ipc://{tmp_path}/s")
    yield publisher
    publisher.close()


def turn_until(publisher: SmallPublisher, condition: Callable[[], object], what: str) -> None:
    def happened() -> object:
        publisher.tend()
        return condition()

    until(happened, lambda: what)


class TestFollower:
    def test_follows_one_acquisition_and_then_the_next(self, tmp_path: Path, publisher: SmallPublisher) -> None:
        follower = Follower(LiveTarget(endpoint=f"ipc://{tmp_path}/s"))
        follower.start()
        try:
            publisher.begin(HELLO)
            turn_until(publisher, lambda: follower.seen.model is not None, "the first picture")
            rows = rows_of_frames(0, 10)
            publisher.batch(rows, 0, 9)
            publisher.status(STATUS)
            turn_until(publisher, lambda: follower.seen.status is not None, "the status")
            first = follower.seen
            assert first.model is not None
            assert (first.phase, first.model.counted.total) == ("following", 30)
            assert open_frames(first.files).why.startswith("camera frames: not available here")
            publisher.end("complete", 10, "")
            turn_until(publisher, lambda: follower.seen.phase == "ended", "the end")
            publisher.begin(msgspec.structs.replace(HELLO, acquisition="c" * 32, name="again"))
            turn_until(publisher, lambda: follower.seen.words == "again", "the second picture")
            assert follower.seen.model is not first.model
            assert follower.seen.end is None
        finally:
            follower.close()

    def test_rows_that_nobody_has_are_counted(self, tmp_path: Path, publisher: SmallPublisher) -> None:
        publisher.begin(HELLO)
        publisher.batch(rows_of_frames(0, 10), 0, 9)  # nobody listens yet, and there is no history
        follower = Follower(LiveTarget(endpoint=f"ipc://{tmp_path}/s"))
        follower.start()
        try:
            turn_until(publisher, lambda: follower.seen.model is not None, "the picture")
            publisher.batch(rows_of_frames(10, 12), 10, 11)
            publisher.status(STATUS)
            turn_until(publisher, lambda: follower.seen.missing_rows == 30, "the count of what is missing")
            assert follower.seen.model is not None
            assert follower.seen.model.counted.total == 6
            assert any("30 localizations are not in" in notice.what for notice in notices(follower.seen))
        finally:
            follower.close()

    def test_a_history_that_does_not_answer_holds_nothing_up(
        self, tmp_path: Path, publisher: SmallPublisher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("locstream_view.following.follower.HISTORY_S", 0.5)
        publisher.begin(HELLO)
        publisher.batch(rows_of_frames(0, 10), 0, 9)
        follower = Follower(LiveTarget(endpoint=f"ipc://{tmp_path}/s", control=f"ipc://{tmp_path}/nobody"))
        follower.start()
        try:
            turn_until(publisher, lambda: follower.seen.model is not None, "the picture")
            publisher.batch(rows_of_frames(10, 12), 10, 11)

            def shown() -> bool:
                publisher.status(msgspec.structs.replace(STATUS, localizations=36))
                publisher.batch(rows_of_frames(12, 13), 12, 12)
                return follower.seen.model is not None and follower.seen.model.counted.total > 0

            turn_until(publisher, shown, "rows without those before")
            assert follower.seen.model is not None
        finally:
            follower.close()

    def test_a_finished_or_growing_file(self, tmp_path: Path) -> None:
        with growing(tmp_path) as (files, writer):
            writer.append(rows_of_frames(0, 10), records(0, 10))
            follower = Follower(FileTarget(files.live_results))
            follower.start()
            try:
                until(lambda: follower.seen.model is not None and follower.seen.model.counted.total == 30)
                writer.append(rows_of_frames(10, 20), records(10, 20))
                until(lambda: follower.seen.model is not None and follower.seen.model.counted.total == 60)
                assert follower.seen.model is not None
                assert follower.seen.model.last_frame == 19
            finally:
                follower.close()

    def test_an_endpoint_that_is_none_is_told(self) -> None:
        follower = Follower(LiveTarget(endpoint="tcp://nowhere:notaport"))
        follower.start()
        until(lambda: "tcp://nowhere:notaport" in follower.seen.trouble)
        assert follower.is_alive()
        follower.close()

    def test_a_file_that_is_none_of_ours_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "x_locs.hdf5"
        path.write_bytes(b"not HDF5")
        follower = Follower(FileTarget(path))
        follower.start()
        until(lambda: follower.seen.trouble != "")
        assert any("cannot be read" in notice.what for notice in notices(follower.seen))
        follower.close()
