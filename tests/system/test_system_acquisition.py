"""The acquisition loop with sources, disks and workers that fail in every state: loud, bounded, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zmq

from child_processes import PUBLISHER, RECORDER, children
from locstream.bundle.run_lock import RunLock
from locstream.calibrating.check import CalibrationCheck
from locstream.errors import LocstreamError, ResultsError, SourceError, StackError
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameOutcome
from locstream.results.reader import ResultsReader, read_results
from locstream.stacks.live_frames import read_pages_info
from locstream.stacks.source import Frame, SourceInfo
from locstream.stream.client import connect
from locstream.stream.events import Began, Ended
from locstream.stream.messages import Batch, End
from locstreamd.fit.answers import Settled
from locstreamd.fit.collect import Collector
from locstreamd.fit.lane import FitLane
from locstreamd.record.micromanager import MicroManagerOptions, open_micromanager
from locstreamd.record.recording import Recording
from locstreamd.service import acquisition as loop
from locstreamd.service.config import Config
from locstreamd.service.desk import Desk
from locstreamd.service.load import Rung
from locstreamd.service.outcome import Outcome
from locstreamd.service.plan import Plan, Prepared, prepare
from locstreamd.service.run import acquire, finish
from raw_subscriber import Subscriber
from record_cameras import DEMO_CFG

pytestmark = pytest.mark.system

SIZE = 48


class Camera:
    """A source that gives frames until it ends, fails or hangs, as a test wants; from one on only when it may go on."""

    paced = True

    def __init__(self, frames: int, *, then: str = "ends", pause_s: float = 0.0, waits_at: int | None = None) -> None:
        self._frames = frames
        self._waits_at = waits_at
        self.go_on = threading.Event()
        self._then = then
        self._pause_s = pause_s
        self._given = 0
        self._stopped = False
        self.hanging = threading.Event()
        self.freed = threading.Event()

    @property
    def info(self) -> SourceInfo:
        return SourceInfo("test camera", SIZE, SIZE, pixel_size_nm=100.0)

    @property
    def exhausted(self) -> bool:
        return (self._given >= self._frames and self._then == "ends") or (self._stopped and self._then != "hangs")

    def start(self) -> None:
        if self._then == "does not start":
            assert self.go_on.wait(60)
            raise SourceError("the shutter is stuck", todo="free it")

    def read(self, timeout_s: float) -> Frame | None:
        if self._given >= self._frames:
            if self._then == "fails":
                raise SourceError("the cable came off", todo="plug it in")
            if self._then == "hangs":
                self.hanging.set()
                self.freed.wait(60)
            return None
        if self._given == self._waits_at and not self.go_on.wait(timeout_s):
            return None
        time.sleep(self._pause_s)
        self._given += 1
        return Frame(self._given - 1, time.time(), np.full((SIZE, SIZE), 110, np.uint16))

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.freed.set()


@pytest.fixture
def run(tmp_path: Path, runtime: str, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Return a function that acquires from a camera in this process; the plan and what was prepared are kept."""
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", runtime)

    def acquire_from(
        camera: Camera,
        settings: dict | None = None,
        during: Callable[[loop.Acquisition, Desk], None] = lambda acquisition, desk: None,
    ) -> tuple[Outcome, Plan, Prepared]:
        document = {"acquisition": {"name": "x", "folder": str(tmp_path / "out")}, "workers": {"count": 1}}
        plan = Plan(Config.model_validate({**document, **(settings or {})}), camera, pixel_size_nm=100.0)
        prepared = prepare(plan)
        with RunLock(prepared.files), Desk(prepared.header.acquisition_id, plan.config.stream) as desk:
            acquisition = loop.Acquisition(plan, prepared, desk, lambda status: None)
            helper = threading.Thread(target=during, args=(acquisition, desk))
            helper.start()
            try:
                outcome = acquire(acquisition, prepared.files)
            finally:
                helper.join()
            finish(plan, prepared, outcome)
        return outcome, plan, prepared

    return acquire_from


@pytest.mark.parametrize("round_", range(3))
def test_a_camera_fault_is_never_lost(run: Callable, round_: int) -> None:
    outcome, _, prepared = run(Camera(30 + round_, then="fails"))
    assert outcome.outcome == "faulted"
    assert "cable" in str(outcome.fault)
    assert outcome.ledger.acquired == outcome.ledger.fitted == 30 + round_
    with tifffile.TiffFile(prepared.files.stack) as stack:
        assert len(stack.pages) == 30 + round_


def test_a_camera_fault_behind_a_full_backlog_is_not_lost_either(run: Callable) -> None:
    outcome, _, _ = run(Camera(400, then="fails"), {"workers": {"count": 1, "backlog_mb": 1}})
    assert outcome.outcome == "faulted"
    assert outcome.ledger.fitted == 400


def failing_after(pages: int) -> Callable[[Recording], None]:
    """Return a stand-in for `Recording.receive` that reports a full disk once so many pages are written."""
    real = Recording.receive

    def receive(self: Recording) -> None:
        real(self)
        if self._index.written >= pages:
            raise StackError("the disk is full", safe="some frames")

    return receive


def test_a_disk_that_fails_while_acquiring_ends_the_run_loudly(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recording, "receive", failing_after(20))
    outcome, _, _ = run(Camera(2000, pause_s=0.002))
    assert outcome.outcome == "faulted"
    assert "disk is full" in str(outcome.fault)
    assert outcome.ledger.fitted >= 20


def test_a_disk_that_fails_with_frames_spilled_to_it_does_not_hang(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that were to be read back and never were written stay pending; the run ends."""
    monkeypatch.setattr(Recording, "receive", failing_after(600))
    outcome, _, _ = run(Camera(4000), {"workers": {"count": 1, "backlog_mb": 1}})
    assert outcome.outcome == "faulted"
    ledger = outcome.ledger
    assert ledger.balanced
    assert ledger.acquired == ledger.fitted + ledger.pending


def test_results_that_cannot_be_closed_lose_no_run(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ResultsWriter.close

    def close(self: ResultsWriter) -> None:
        was_open = not self.closed
        real(self)
        if was_open:
            raise ResultsError("the last sync failed", safe="40 frames")

    monkeypatch.setattr(ResultsWriter, "close", close)
    outcome, _, prepared = run(Camera(40))
    assert outcome.outcome == "faulted"
    assert prepared.files.results.exists()
    assert prepared.files.stack.exists()


def test_a_camera_that_does_not_stop_is_left_after_a_while(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CAMERA_PATIENCE_S", 0.3)
    monkeypatch.setattr("locstreamd.record.capture.PATIENCE_S", 0.3)
    camera = Camera(25, then="hangs")

    def press_twice(acquisition: loop.Acquisition, desk: Desk) -> None:
        camera.hanging.wait(60)
        acquisition.stop()
        acquisition.stop(hurry=True)

    outcome, _, _ = run(camera, during=press_twice)
    assert outcome.outcome == "faulted"
    assert "did not stop" in str(outcome.fault)
    assert outcome.ledger.acquired == 25


def test_a_stop_before_the_camera_starts_leaves_nothing(run: Callable, tmp_path: Path) -> None:
    def stop(acquisition: loop.Acquisition, desk: Desk) -> None:
        acquisition.stop()

    with pytest.raises(LocstreamError, match="before the camera was started"):
        run(Camera(10), during=stop)
    assert [p for p in (tmp_path / "out").iterdir() if "lock" not in p.name] == []


def test_a_worker_somebody_else_started_that_dies_with_frames_holds_nobody_up(run: Callable) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def join_and_die(acquisition: loop.Acquisition, desk: Desk) -> None:
        command = [sys.executable, "-m", "locstreamd.fit.worker", "--connect", desk.endpoint("work"), "--nice", "0"]
        started.append(subprocess.Popen(command))
        while acquisition.acquired < 100:
            time.sleep(0.01)
        time.sleep(2.5)
        started[0].kill()
        started[0].wait()

    outcome, _, _ = run(Camera(1500, pause_s=0.004), {"workers": {"count": 1, "timeout_s": 1.0}}, during=join_and_die)
    assert outcome.outcome == "complete"
    assert outcome.ledger.fitted == 1500


def test_an_endpoint_in_use_is_one_sentence(run: Callable) -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as other:
        other.linger = 0
        port = other.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(LocstreamError, match=rf"127\.0\.0\.1:{port}.*in use"):
            run(Camera(1), {"stream": {"listen": f"tcp://127.0.0.1:{port}"}})


# --- a disk that takes its time -----------------------------------------------------------------------


def test_a_disk_that_does_not_answer_does_not_keep_the_camera_waiting(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sync of the results sleeps until the camera has given its last frame."""
    real, asleep, woken = os.fsync, threading.Event(), threading.Event()

    def fsync(fd: int) -> None:
        if threading.current_thread().name.startswith("commit"):
            asleep.set()
            assert woken.wait(60)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    seen: list[tuple[int, int]] = []

    def wake_it_at_the_end(acquisition: loop.Acquisition, desk: Desk) -> None:
        assert asleep.wait(60)
        while acquisition.acquired < 600:
            time.sleep(0.005)
        seen.append((acquisition._figures.ledger.snapshot().fitted, desk.publisher._rows))
        woken.set()

    outcome, _, _ = run(Camera(600, pause_s=0.001), {"results": {"fsync_interval_s": 0}}, during=wake_it_at_the_end)
    assert seen == [(0, 0)], "600 frames came meanwhile, and nothing was told that is not committed"
    assert outcome.outcome == "complete"
    assert outcome.ledger.fitted == 600
    assert outcome.stages.busy_s["commit"] > 0
    assert outcome.stages.busy_s["recorder"] > 0


def test_results_that_cannot_be_committed_end_the_run_and_the_frames_are_recorded(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ResultsWriter._commit

    def commit(self: ResultsWriter, *arguments: object) -> None:
        if self.n_frames >= 20:
            raise OSError("[Errno 28] error message = 'No space left on device'")
        real(self, *arguments)

    monkeypatch.setattr(ResultsWriter, "_commit", commit)
    outcome, _, prepared = run(Camera(2000, pause_s=0.001))
    assert outcome.outcome == "faulted"
    assert "No space left" in str(outcome.fault)
    assert outcome.ledger.balanced
    assert outcome.ledger.fitted == len(read_results(prepared.files.results).frames) >= 20
    with tifffile.TiffFile(prepared.files.stack) as stack:
        assert len(stack.pages) == outcome.ledger.acquired > outcome.ledger.fitted


# --- a camera that is not even started ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "why"), [("stopped", "stopped before the camera was started"), ("faulted", "the shutter is stuck")]
)
def test_who_follows_is_told_that_a_run_has_ended_before_it_began(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, why: str
) -> None:
    camera = Camera(10, then="does not start")
    ended: list[Ended] = []
    if how == "stopped":
        monkeypatch.setattr(FitLane, "workers", 0)

    def follow(acquisition: loop.Acquisition, desk: Desk) -> None:
        stream, control, history = (desk.endpoint(name) for name in ("stream", "control", "history"))
        with connect(stream, start=0, control=control, history=history, timeout_s=60) as client:
            for event in client.events():
                if isinstance(event, Began):
                    camera.go_on.set()
                    if how == "stopped":
                        acquisition.stop()
                ended.extend([event] if isinstance(event, Ended) else [])

    with pytest.raises(LocstreamError, match=why):
        run(camera, during=follow)
    ((end,),) = [ended]
    assert end.end is not None
    assert (end.end.outcome, end.end.frames, end.end.rows, end.end.message) == (how, 0, 0, why)
    assert end.verified is True
    assert list((tmp_path / "out").glob("*.live.*")) == []


# --- a camera that is started again -------------------------------------------------------------------


def test_a_camera_that_stops_is_started_again_and_the_gap_is_in_every_place(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = MicroManagerOptions(
        config_file=DEMO_CFG, exposure_ms=4, buffer_mb=64, frames=300, properties={"Camera": {"FastImage": 1}},
        restarts=2,
    )  # fmt: skip
    source = open_micromanager(options)

    def stop_it(acquisition: loop.Acquisition, desk: Desk) -> None:
        while acquisition.acquired < 60:
            time.sleep(0.002)
        source._core.stopSequenceAcquisition()

    settings = {"micromanager": options.model_dump(), "results": {"fsync_interval_s": 0.2}}
    outcome, _, prepared = run(source, settings, during=stop_it)
    assert (outcome.outcome, outcome.fault) == ("complete", None)
    ledger = outcome.ledger
    assert outcome.stages.camera_restarts == 1
    assert ledger.fitted == ledger.acquired
    assert ledger.acquired + ledger.camera_dropped == 300, "the plan counts what is missing"
    results = read_results(prepared.files.results)
    numbers = results.frames["frame"].tolist()
    assert read_pages_info(prepared.files.stack).numbers.tolist() == numbers
    assert sorted(set(range(300)) - set(numbers)) == [
        n for first, many in ledger.gaps for n in range(first, first + many)
    ]
    stopped, restarted = [e for e in events_of(prepared) if e[0].startswith("Camera")]
    assert "although nobody asked it to" in stopped[1]
    assert restarted[0] == "CameraRestarted"
    assert "estimated from the time" in restarted[1]
    first_after = next(n for n in numbers if n > ledger.gaps[0][0]) if ledger.gaps else None
    assert first_after is None or f"goes on with frame {first_after}" in restarted[1]
    assert stopped[2] <= restarted[2] <= outcome.finished_s
    assert "stopped unasked and was started again, once in all" in " ".join(outcome.warnings)


def test_the_header_says_when_the_camera_was_started(run: Callable) -> None:
    outcome, _, prepared = run(Camera(10))
    results = read_results(prepared.files.results)
    assert prepared.header.started_s < results.header.started_s == outcome.started_s <= results.frames["time_s"][0]


def test_reasons_of_failed_frames_are_events_the_first_hundred_of_them(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Collector.add

    def add(self: Collector, settled: Settled) -> None:
        if settled.index % 2:
            settled = Settled(settled.index, FrameOutcome.FAILED, settled.rows[:0], "no light")
        real(self, settled)

    monkeypatch.setattr(Collector, "add", add)
    outcome, _, prepared = run(Camera(250))
    assert outcome.ledger.failed == 125
    failed = [text for name, text, _ in events_of(prepared) if name == "FrameFailed"]
    assert failed[:2] == ["frame 1: no light", "frame 3: no light"]
    assert len(failed) == 101
    assert failed[-1] == "25 more, 125 in all"


# --- what gives way -----------------------------------------------------------------------------------


def test_fitting_that_falls_behind_goes_down_the_ladder_and_comes_back(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that hold still while frames come: status, then analysis, then memory give way, and nothing else."""
    go_on, turn, looked_at = threading.Event(), FitLane.turn, []

    def hold_still(self: FitLane) -> object:
        return turn(self) if go_on.is_set() or not self._record.index else None

    monkeypatch.setattr(FitLane, "turn", hold_still)
    monkeypatch.setattr(CalibrationCheck, "see", lambda self, image: looked_at.append(image))

    def release(acquisition: loop.Acquisition, desk: Desk) -> None:
        while acquisition._figures.ladder.rung is not Rung.FROM_DISK:
            time.sleep(0.005)
        go_on.set()

    settings = {"workers": {"count": 1, "backlog_mb": 1}, "load": {"delayed_s": 0.1, "paused_s": 0.2}}
    outcome, _, prepared = run(Camera(1000, pause_s=0.001), settings, during=release)
    assert outcome.outcome == "complete"
    assert outcome.ledger.fitted == 1000
    rungs = [text.split(",")[0] for name, text, _ in events_of(prepared) if name == "Load"]
    assert rungs[:3] == ["delayed", "analysis paused", "from disk"]
    assert rungs[-1] == "live"
    assert 0 < len(looked_at) < 1000, "the calibration was not checked all the time"


def events_of(prepared: Prepared) -> list[tuple[str, str, float]]:
    with ResultsReader(prepared.files.results) as reader:
        return [(e["EventName"].decode(), e["EventDescr"].decode(), float(e["Time"])) for e in reader.events]


# --- a recorder that dies at the end ------------------------------------------------------------------


def test_a_recorder_that_dies_while_the_stack_is_finished_is_an_event_too(
    run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_stack = Recording.finish

    def die_first(self: Recording) -> int:
        (recorder,) = children(RECORDER)
        recorder.kill()
        return finish_stack(self)

    monkeypatch.setattr(Recording, "finish", die_first)
    outcome, _, prepared = run(Camera(50))
    assert outcome.outcome == "complete"
    assert [name for name, _, _ in events_of(prepared)].count("RecorderDied") == 1
    assert "the writer of the raw stack died once and was started again" in " ".join(outcome.warnings)
    assert len(read_pages_info(prepared.files.stack).numbers) == 50


# --- a publisher that dies ----------------------------------------------------------------------------


def test_a_publisher_that_is_killed_costs_the_record_nothing(run: Callable, wait_until: Callable) -> None:
    followed: list[tuple[int, int, str]] = []
    camera = Camera(1500, pause_s=0.002, waits_at=1000)

    def follow_and_kill(acquisition: loop.Acquisition, desk: Desk) -> None:
        rows = 0
        with Subscriber(desk.endpoint("stream")) as subscriber:
            subscriber.wait_for_hello()
            while True:
                received = subscriber.receive(60)
                assert received is not None
                rows += isinstance(received[0], Batch)
                if isinstance(received[0], End):
                    followed.append((rows, subscriber.lost, received[0].outcome))
                    return
                deaths = desk.publisher.deaths
                if deaths == 3:
                    camera.go_on.set()
                elif acquisition.acquired > 200 * (deaths + 1):
                    for publisher in children(PUBLISHER):
                        publisher.kill()
                        wait_until(lambda before=deaths: desk.publisher.deaths > before, what="that it is missed")

    outcome, _, prepared = run(camera, during=follow_and_kill)
    assert outcome.outcome == "complete"
    assert outcome.ledger.fitted == 1500
    assert outcome.stages.deaths["publisher"] == 3
    assert [name for name, _, _ in events_of(prepared)].count("PublisherDied") == 3
    ((rows, lost, ended),) = followed
    assert ended == "complete", "the last one was told by a publisher that came later"
    assert rows > 0
    assert lost > 0, "and what was missed is known"
    assert len(read_pages_info(prepared.files.stack).numbers) == 1500
