"""The acquisition loop with sources, disks and workers that fail in every state: loud, bounded, nothing lost."""

from __future__ import annotations

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

from locstream.errors import LocstreamError, ResultsError, SourceError, StackError
from locstream.results.file import ResultsWriter
from locstream.stacks.source import Frame, SourceInfo
from locstreamd.record.recording import Recording
from locstreamd.service import acquisition as loop
from locstreamd.service.config import Config
from locstreamd.service.desk import Desk
from locstreamd.service.outcome import Outcome
from locstreamd.service.run import Plan, Prepared, acquire, acquisition_of, finish, prepare

pytestmark = pytest.mark.system

SIZE = 48


class Camera:
    """A source that gives frames until it ends, fails or hangs, as a test wants."""

    paced = True

    def __init__(self, frames: int, *, then: str = "ends", pause_s: float = 0.0) -> None:
        self._frames = frames
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

    def start(self) -> None: ...

    def read(self, timeout_s: float) -> Frame | None:
        if self._given >= self._frames:
            if self._then == "fails":
                raise SourceError("the cable came off", todo="plug it in")
            if self._then == "hangs":
                self.hanging.set()
                self.freed.wait(60)
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
        plan = Plan(Config.model_validate({**document, **(settings or {})}), camera)
        prepared = prepare(plan)
        with prepared.lock, Desk(prepared.header.acquisition_id, plan.config.stream) as desk:
            acquisition = acquisition_of(plan, prepared, desk, lambda status: None)
            helper = threading.Thread(target=during, args=(acquisition, desk))
            helper.start()
            outcome = acquire(acquisition, prepared.files)
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
