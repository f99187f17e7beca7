"""What the stages say of themselves: lengths, capacities, busy times; counted nowhere else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import zmq

from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions
from locstream.results.ledger import LedgerSnapshot
from locstream.stacks.source import Frame, SourceInfo
from locstream.stream.messages import STREAM, Status
from locstream.stream.stages import Latency, Queue, Stages
from locstream.stream.wire import pack
from locstreamd.fit.lane import FitLane
from locstreamd.fit.task import Task
from locstreamd.record.lane import RecordLane
from locstreamd.service.commits import UNCOMMITTED_FRAMES, Commits
from locstreamd.service.config import WorkerSettings
from locstreamd.service.stages import StagesOf
from locstreamd.view.gauges import Gauges

HEIGHT, WIDTH = 20, 30
FRAME_BYTES = 2 * HEIGHT * WIDTH
CAMERA = CameraCalibration(pixel_size_nm=100.0)


class Camera:
    """Gives so many frames, and waits while nobody takes them."""

    def __init__(self, frames: int, *, paced: bool) -> None:
        self.paced = paced
        self.info = SourceInfo(camera="test", width=WIDTH, height=HEIGHT, frames=frames)
        self._next = 0

    @property
    def exhausted(self) -> bool:
        return self._next == self.info.frames

    def start(self) -> None: ...

    def read(self, timeout_s: float) -> Frame:
        self._next += 1
        return Frame(self._next - 1, 0.0, np.zeros((HEIGHT, WIDTH), np.uint16))

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def context():
    with zmq.Context() as context:
        yield context


@pytest.fixture
def desk() -> SimpleNamespace:
    return SimpleNamespace(
        control=SimpleNamespace(rejected=3),
        publisher=SimpleNamespace(subscribers=2, deaths=7, unpublished=8, rejected=9),
        refused={"role": 10},
    )


def commits(context: zmq.Context) -> Commits:
    """Return commits of a run that has not begun."""
    waiting = Commits(context, most_hz=20)
    waiting.close()
    return waiting


def by_name(queues: tuple[Queue, ...]) -> dict[str, Queue]:
    return {queue.name: queue for queue in queues}


def fit_lane(record: RecordLane, context: zmq.Context, tmp_path: Path, backlog_mb: int = 1) -> FitLane:
    settings = WorkerSettings(count=1, backlog_mb=backlog_mb)
    endpoint = f"ipc://{tmp_path}/w"
    return FitLane(record, context, endpoint, Task(CAMERA, HEIGHT, WIDTH, FitOptions()), settings)


def test_frames_are_seen_where_they_wait(tmp_path: Path, context: zmq.Context, desk: SimpleNamespace) -> None:
    record = RecordLane(Camera(50, paced=True), context)
    record.reread_from(lambda index: np.zeros((HEIGHT, WIDTH), np.uint16))
    fit = fit_lane(record, context, tmp_path)
    stages = StagesOf(record, fit, desk, commits(context), Gauges())
    assert [queue.frames for queue in stages().queues] == [0, 0, 0, 0, 0, 0]
    record.start()
    while record._capture.waiting < 50:
        pass
    assert by_name(stages().queues)["capture"] == Queue("capture", 50, 64, 50 * FRAME_BYTES)
    for frame in record.intake():
        fit.push(frame.image)
    queues = by_name(stages().queues)
    assert queues["capture"].frames == 0
    assert queues["backlog_memory"] == Queue("backlog_memory", 50, -(-1_000_000 // FRAME_BYTES), 50 * FRAME_BYTES)
    assert queues["backlog_disk"] == Queue("backlog_disk", 0)
    assert queues["workers"].capacity == 0, "none has joined"
    assert queues["commit"] == Queue("commit", 0, UNCOMMITTED_FRAMES)
    assert "recorder" not in queues, "nothing is recorded"
    fit.close()
    record.close()


def test_what_finds_no_room_in_memory_waits_on_disk(
    tmp_path: Path, context: zmq.Context, desk: SimpleNamespace
) -> None:
    record = RecordLane(Camera(0, paced=True), context)
    record.reread_from(lambda index: np.zeros((HEIGHT, WIDTH), np.uint16))
    fit = fit_lane(record, context, tmp_path)
    room = -(-1_000_000 // FRAME_BYTES)
    for _ in range(room + 7):
        fit.push(np.zeros((HEIGHT, WIDTH), np.uint16))
    queues = by_name(StagesOf(record, fit, desk, commits(context), Gauges())().queues)
    assert (queues["backlog_memory"].frames, queues["backlog_memory"].capacity) == (room, room)
    assert queues["backlog_disk"].frames == 7
    assert fit.queued == room + 7, "the two add up to what the status says"
    fit.close()
    record.close()


def test_counts_are_those_of_the_parts(tmp_path: Path, context: zmq.Context, desk: SimpleNamespace) -> None:
    record, gauges = RecordLane(Camera(0, paced=True), context), Gauges()
    fit = fit_lane(record, context, tmp_path)
    gauges.committed.add(np.array([0.5]))
    fit._dispatcher.fit_s, fit._dispatcher.rejected, fit._pool.deaths = 1.5, 4, 6
    fit._dispatcher._answers.unusable = 5
    stages = StagesOf(record, fit, desk, commits(context), gauges)()
    assert stages.busy_s["fit"] == 1.5
    assert stages.busy_s["loop"] >= 0
    assert (stages.rejected, stages.left_out) == ({"control": 3, "history": 9, "work": 4}, 5)
    assert stages.refused == {"role": 10}
    assert stages.busy_s["recorder"] == stages.busy_s["commit"] == 0, "nothing is recorded"
    assert stages.deaths == {"worker": 6, "recorder": 0, "publisher": 7}
    assert (stages.unpublished, stages.camera_restarts) == (8, 0)
    assert (stages.subscribers, stages.committed, stages.published) == (2, Latency(500.0, 500.0), None)
    fit.close()
    record.close()


def test_latency_is_told_only_where_frames_come_at_a_cameras_pace(
    tmp_path: Path, context: zmq.Context, desk: SimpleNamespace
) -> None:
    record, gauges = RecordLane(Camera(0, paced=False), context), Gauges()
    fit = fit_lane(record, context, tmp_path)
    gauges.committed.add(np.array([0.5]))
    stages = StagesOf(record, fit, desk, commits(context), gauges)()
    assert stages.committed is stages.published is None
    fit.close()
    record.close()


def test_latency_is_worked_out_once_a_second_and_again_when_the_camera_has_stopped(
    tmp_path: Path, context: zmq.Context, desk: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, gauges = RecordLane(Camera(0, paced=True), context), Gauges()
    fit = fit_lane(record, context, tmp_path)
    finished = False
    monkeypatch.setattr(RecordLane, "finished", property(lambda self: finished))
    stages = StagesOf(record, fit, desk, commits(context), gauges)
    gauges.published.add(np.array([0.5]))
    assert stages().published == Latency(500.0, 500.0)
    gauges.published.add(np.array([1.5]))
    assert stages().published == Latency(500.0, 500.0), "not yet"
    finished = True
    assert stages().published.p50_ms == 1000.0
    fit.close()
    record.close()


def test_they_travel_with_the_status() -> None:
    stages = Stages(queues=(Queue("capture", 3, 64, 600),), busy_s={"fit": 1.25}, committed=Latency(2.0, 9.5))
    status = Status(acquisition="a", seq=4, state="acquiring", ledger=LedgerSnapshot(acquired=3), stages=stages)
    received, buffers = STREAM.unpack(pack(status))
    assert received == status
    assert not buffers


def test_a_status_of_an_older_version_has_none() -> None:
    status = Status(acquisition="a", seq=4, state="acquiring", ledger=LedgerSnapshot())
    header = msgspec.msgpack.decode(pack(status)[0])
    del header["stages"]
    received, _ = STREAM.unpack([msgspec.msgpack.encode(header)])
    assert received == status
