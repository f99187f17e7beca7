"""Following without a window: rows once and in order, notices, numbers, targets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError, StackError
from locstream.localizations import Localizations, empty
from locstream.results.file import ResultsWriter
from locstream.results.frames import FRAME_RECORD, FrameOutcome
from locstream.results.header import ResultsHeader
from locstream.results.ledger import LedgerSnapshot
from locstream.stacks.source import STACK_FILE
from locstream.stream.messages import End, Hello, Status
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.notices import lag, notices
from locstream_view.following.numbers import numbers
from locstream_view.following.raw_frames import open_frames
from locstream_view.following.rows_in_order import RowsInOrder
from locstream_view.following.run_files import files_here
from locstream_view.following.seen import Seen
from locstream_view.following.target import FileTarget, LiveTarget, target_of
from locstream_view.model.model import Counted, ViewModel
from small_publisher import SmallPublisher

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
                deadline = time.monotonic() + 60
                while watch.frame is None:
                    assert time.monotonic() < deadline, watch.why
                    time.sleep(0.01)
                assert (watch.frame.number, len(watch.frame.columns), watch.why) == (3, 3, "")
            finally:
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


def turn_until(publisher: SmallPublisher, condition: object, what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        publisher.tend()
        time.sleep(0.01)


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
                _wait(lambda: follower.seen.model is not None and follower.seen.model.counted.total == 30)
                writer.append(rows_of_frames(10, 20), records(10, 20))
                _wait(lambda: follower.seen.model is not None and follower.seen.model.counted.total == 60)
                assert follower.seen.model is not None
                assert follower.seen.model.last_frame == 19
            finally:
                follower.close()

    def test_an_endpoint_that_is_none_is_told(self) -> None:
        follower = Follower(LiveTarget(endpoint="tcp://nowhere:notaport"))
        follower.start()
        _wait(lambda: "tcp://nowhere:notaport" in follower.seen.trouble)
        assert follower.is_alive()
        follower.close()

    def test_a_file_that_is_none_of_ours_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "x_locs.hdf5"
        path.write_bytes(b"not HDF5")
        follower = Follower(FileTarget(path))
        follower.start()
        _wait(lambda: follower.seen.trouble != "")
        assert any("cannot be read" in notice.what for notice in notices(follower.seen))
        follower.close()


def _wait(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def status(**values: object) -> Status:
    given = {name: getattr(STATUS, name) for name in STATUS.__struct_fields__} | values
    return Status(**given)


LIVE = Seen("following", "run", hello=HELLO, status=STATUS)


class TestNotices:
    def test_none_where_all_is_well(self) -> None:
        assert notices(LIVE) == []
        assert notices(Seen("waiting", "an acquisition")) == []

    @pytest.mark.parametrize(
        ("seen", "severity", "words"),
        [
            (replace(LIVE, phase="silent", silent_s=9.0), "wrong", "for 9 s"),
            (replace(LIVE, missing_rows=1_234), "attention", "1,234 localizations"),
            (
                replace(LIVE, status=status(ledger=LedgerSnapshot(acquired=9, fitted=9, camera_dropped=4))),
                "wrong",
                "dropped 4 frames",
            ),
            (
                replace(LIVE, status=status(ledger=LedgerSnapshot(acquired=900, pending=900), fps_acquired=100.0)),
                "attention",
                "9 s behind",
            ),
            (
                replace(LIVE, status=status(ledger=LedgerSnapshot(acquired=9, fitted=8, failed=1))),
                "attention",
                "1 frames could not be fitted",
            ),
            (replace(LIVE, status=status(warning="the gain is wrong")), "attention", "the gain is wrong"),
            (replace(LIVE, status=status(disk_free_mb=50.0, fps_acquired=100.0)), "wrong", "room for 1 min"),
            (
                replace(
                    LIVE,
                    phase="ended",
                    end=End(acquisition=ID, seq=9, outcome="faulted", frames=1, rows=1, message="the disk is full"),
                ),
                "wrong",
                "the disk is full",
            ),
        ],
    )
    def test_each_says_what_and_how_bad(self, seen: Seen, severity: str, words: str) -> None:
        found = notices(seen)
        assert len(found) == 1
        assert found[0].severity == severity
        assert words in found[0].what

    def test_the_worst_comes_first(self) -> None:
        found = notices(replace(LIVE, missing_rows=1, phase="silent"))
        assert [notice.severity for notice in found] == ["wrong", "attention"]

    def test_lag_is_in_seconds_of_the_camera(self) -> None:
        behind = status(ledger=LedgerSnapshot(acquired=60, pending=50), fps_acquired=25.0)
        assert lag(behind) == 2.0
        assert lag(status(fps_acquired=0.0)) is None


class TestNumbers:
    def test_what_is_not_well_stands_out(self) -> None:
        ledger = LedgerSnapshot(acquired=100, fitted=40, pending=60, camera_dropped=2)
        seen = replace(LIVE, status=status(ledger=ledger, fps_acquired=10.0, disk_free_mb=5_000.0))
        found = {number.label: number for number in numbers(seen, Counted(50, 25))}
        assert not found["Lag"].good
        assert found["Lag"].text.startswith("6.0 s")
        assert not found["Dropped"].good
        assert "50 % shown" in found["Localizations"].text
        assert found["State"].text == "acquiring"

    def test_waiting(self) -> None:
        found = numbers(Seen("waiting", "an acquisition"), Counted())
        assert [number.label for number in found] == ["State", "Localizations"]


class TestTarget:
    def test_nothing_is_whatever_runs_here(self) -> None:
        assert target_of("") == LiveTarget()

    def test_an_endpoint(self) -> None:
        assert target_of("tcp://scope:5555") == LiveTarget(endpoint="tcp://scope:5555")

    def test_a_name_may_begin_later(self) -> None:
        assert target_of("cell-3") == LiveTarget(wanted="cell-3")

    def test_a_file_and_the_folder_of_a_run(self, tmp_path: Path) -> None:
        path = tmp_path / "run_locs.hdf5"
        path.write_bytes(b"")
        assert target_of(str(path)) == FileTarget(path)
        assert target_of(str(tmp_path)) == FileTarget(path)
        assert FileTarget(path).files == RunFiles(tmp_path, "run")

    @pytest.mark.parametrize("text", ["nowhere_locs.hdf5", "a/b"])
    def test_a_path_that_is_not_there_is_told(self, text: str) -> None:
        with pytest.raises(LocstreamError, match="there is no file"):
            target_of(text)

    def test_a_folder_without_results_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(LocstreamError, match="no results file"):
            target_of(str(tmp_path))
