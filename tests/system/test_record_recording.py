"""Recording through a recorder process that is killed: every frame once, in order, with its number and time."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from child_processes import RECORDER, children
from locstream.errors import LocstreamError, MessageError
from locstream.stacks.live import LiveStackWriter
from locstream.stacks.live_frames import read_pages_info
from locstream.stacks.open import open_stack
from locstream.stacks.source import Image
from locstream.stream.wire import pack
from locstreamd import child_process
from locstreamd.child_process import DEATHS, ChildProcess
from locstreamd.record.frame_index import FrameIndex
from locstreamd.record.recorder import REPORTS, Close, Closed, Here, Open, Page, Ready, Report, Written, serve
from locstreamd.record.recording import Recording

pytestmark = pytest.mark.system

HEIGHT, WIDTH = 120, 160
BYTES = 2 * HEIGHT * WIDTH
Record = Callable[..., Recording]


def frame(index: int) -> Image:
    return np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) + np.uint16(index * 7919 % 65536)


def number(index: int) -> int:
    """Every tenth frame was dropped by the camera."""
    return index + index // 9


def time_s(index: int) -> float:
    return 1_700_000_000.0 + 0.01 * number(index)


@pytest.fixture
def record(tmp_path: Path, runtime: str) -> Iterator[Record]:
    """Return a function that starts a recording into tmp_path/run.live.tif; it is closed with the test."""
    with contextlib.ExitStack() as stack:

        def start(limit_frames: int = 1000, folder: Path = tmp_path, fsync: bool = False) -> Recording:
            context = stack.enter_context(zmq.Context())
            recording = Recording(
                folder / "run.live.tif", HEIGHT, WIDTH, index=FrameIndex(), endpoint=f"ipc://{runtime}/record",
                context=context, limit_bytes=limit_frames * BYTES, fsync=fsync,
            )  # fmt: skip
            stack.callback(recording.close)
            return recording

        yield start


def recorder_pid() -> int | None:
    """Return the process id of the recorder that runs, None while there is none."""
    return next((child.pid for child in children(RECORDER)), None)


def kill(recording: Recording, sign: signal.Signals = signal.SIGKILL) -> int:
    """Kill the recorder that runs, or the next one as soon as it does."""
    while (pid := recorder_pid()) is None:
        turn(recording)
    os.kill(pid, sign)
    while sign == signal.SIGKILL and recorder_pid() == pid:
        time.sleep(0.001)  # it is on its way out
    return pid


def hand_over(recording: Recording, count: int) -> None:
    index = recording._index
    for _ in range(count):
        while recording.full:
            turn(recording)
        i = len(index)
        index.add(number(i), time_s(i))
        recording.hand_over(frame(i))


def turn(recording: Recording) -> None:
    recording.socket.poll(10)
    recording.receive()


def until(recording: Recording, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        turn(recording)


def assert_recorded(path: Path, frames: int) -> None:
    info = read_pages_info(path)
    assert info.numbers.tolist() == [number(i) for i in range(frames)]
    assert info.times_s.tolist() == [time_s(i) for i in range(frames)]
    stack = open_stack(path)
    assert (len(stack), stack.info.warnings) == (frames, ())
    for i in range(frames):
        np.testing.assert_array_equal(stack.read(i), frame(i))
    stack.close()


def test_frames_are_written_in_order_with_number_and_time(record: Record) -> None:
    recording = record()
    hand_over(recording, 50)
    assert recording.finish() == 50
    assert (recording.unwritten, recording.deaths) == (0, 0)
    assert recording.busy_s > 0
    for i in (0, 17, 49):
        np.testing.assert_array_equal(recording.read(i), frame(i))
    assert_recorded(recording.path, 50)


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_every_frame_is_there_once(record: Record, seed: int, fsync: bool) -> None:
    chance = random.Random(seed)
    recording = record(fsync=fsync)
    frames = 0
    for _ in range(4):
        burst = chance.randrange(1, 40)
        hand_over(recording, burst)
        frames += burst
        if chance.random() < 0.7:
            goal = frames - chance.randrange(burst)
            until(recording, lambda goal=goal: recording._index.written >= goal)
        time.sleep(chance.uniform(0, 0.01))
        kill(recording)
        hand_over(recording, 5)  # some come before anybody has noticed
        frames += 5
    assert recording.finish() == frames
    assert 1 <= recording.deaths <= 4, "a kill between two starts hits nobody"
    assert_recorded(recording.path, frames)


def test_a_death_is_noticed_within_a_second_and_reading_back_goes_on(record: Record) -> None:
    recording = record()
    hand_over(recording, 20)
    until(recording, lambda: not recording.unwritten)
    first = kill(recording)
    until(recording, lambda: recording.deaths == 1)
    np.testing.assert_array_equal(recording.read(19), frame(19))
    hand_over(recording, 10)
    until(recording, lambda: not recording.unwritten)
    assert recorder_pid() not in (None, first)
    np.testing.assert_array_equal(recording.read(29), frame(29))
    assert recording.finish() == 30


def test_memory_is_bounded_while_nobody_writes(record: Record) -> None:
    """Stopped, not dead: the frames that may wait, wait, and nobody hands over more."""
    recording = record(limit_frames=8)
    kill(recording, signal.SIGSTOP)
    for _ in range(8):
        assert not recording.full
        hand_over(recording, 1)
    assert recording.full
    kill(recording)
    until(recording, lambda: not recording.full)
    hand_over(recording, 12)
    assert recording.finish() == 20
    assert_recorded(recording.path, 20)


def test_killed_while_it_closes_the_stack_is_closed_by_the_next(record: Record) -> None:
    recording = record()
    hand_over(recording, 30)
    stopped = kill(recording, signal.SIGSTOP)
    killer = threading.Timer(0.3, os.kill, (stopped, signal.SIGKILL))
    killer.start()
    assert recording.finish() == 30
    killer.join()
    assert recording.deaths == 1
    assert_recorded(recording.path, 30)


def test_one_that_dies_again_and_again_is_a_fault_and_says_what_is_safe(record: Record) -> None:
    recording = record()
    hand_over(recording, 10)
    until(recording, lambda: not recording.unwritten)
    for _ in range(DEATHS):
        kill(recording)
        until(recording, lambda deaths=recording.deaths: recording.deaths > deaths)
    kill(recording)
    with pytest.raises(LocstreamError, match="ended unasked 6 times within 60 s") as fault:
        until(recording, lambda: False)
    assert fault.value.safe.startswith("10 frames are complete in the raw stack")
    assert_recorded(recording.path, 10)


def test_deaths_that_lie_far_apart_are_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: None)
    monkeypatch.setattr(child_process.time, "monotonic", lambda: now[0])
    process = ChildProcess("nobody", "nobody", "ipc:///tmp/nobody")
    for _ in range(20):
        assert process.bury()
        now[0] += 25
    assert process.deaths == 20
    assert [process.bury() for _ in range(4)] == [True, True, True, False]


def test_a_disk_error_is_a_fault_at_once(record: Record, tmp_path: Path) -> None:
    """Another process has put something else in the stack's place: going on would write into that."""
    recording = record()
    hand_over(recording, 5)
    until(recording, lambda: not recording.unwritten)
    recording.path.unlink()
    recording.path.write_bytes(b"something else altogether")
    kill(recording)
    hand_over(recording, 1)
    with pytest.raises(LocstreamError, match="not a TIFF file") as fault:
        until(recording, lambda: False)
    assert "5 frames are complete" in fault.value.safe
    assert recording.path.read_bytes() == b"something else altogether"


def test_a_stack_that_cannot_be_created_is_told_at_once(record: Record, tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match="cannot be created: No such file"):
        record(folder=tmp_path / "none")
    (tmp_path / "run.live.tif").write_bytes(b"mine")
    with pytest.raises(LocstreamError, match="exists already"):
        record()
    assert recorder_pid() is None
    assert (tmp_path / "run.live.tif").read_bytes() == b"mine"


def test_one_that_cannot_start_is_told(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LocstreamError, match="did not start"):
        record()


# --- what the recorder itself does with its orders -------------------------------------------------------------------


class Recorder:
    """The recorder in a thread, and the acquisition's end of its socket."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.socket = context.socket(zmq.PAIR)
        self.socket.bind("inproc://recorder")
        self._other = context.socket(zmq.PAIR)
        self._other.connect("inproc://recorder")
        self.error: LocstreamError | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            serve(self._other, os.getppid())
        except LocstreamError as error:
            self.error = error

    def tell(self, *orders: Open | Page | Close) -> None:
        for order in orders:
            pixels = [frame(order.index)] if isinstance(order, Page) else []
            self.socket.send_multipart(pack(order, *pixels))

    def hear(self, count: int) -> list[Report]:
        """Return the next reports, without the time that writing took."""
        reports = [REPORTS.unpack(self.socket.recv_multipart())[0] for _ in range(count)]
        return [msgspec.structs.replace(r, busy_s=0.0) if isinstance(r, Written) else r for r in reports]

    def end(self) -> None:
        self._thread.join(timeout=60)
        self.socket.close()
        self._other.close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with zmq.Context() as context:
        recorder = Recorder(context)
        yield recorder
        recorder.end()


def page(index: int) -> Page:
    return Page(index=index, number=number(index), time_s=time_s(index))


def test_pages_that_were_complete_and_not_reported_are_reported_not_written_again(
    recorder: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "run.live.tif"
    with LiveStackWriter(path, HEIGHT, WIDTH) as writer:
        written = [writer.append(frame(i), number(i), time_s(i)) for i in range(5)]
    again = Open(
        path=str(path), height=HEIGHT, width=WIDTH, fsync=False, again=True, after_index=2,
        after_bytes=written[2].offset_bytes,
    )  # fmt: skip
    recorder.tell(again, page(5), Close())
    assert recorder.hear(6) == [
        Here(),
        Written(index=3, offset_bytes=written[3].offset_bytes),
        Written(index=4, offset_bytes=written[4].offset_bytes),
        Ready(),
        Written(index=5, offset_bytes=written[4].offset_bytes + written[4].offset_bytes - written[3].offset_bytes),
        Closed(pages=6),
    ]
    assert_recorded(path, 6)


@pytest.mark.parametrize("index", [0, 2, 7])
def test_a_page_out_of_turn_is_never_written(recorder: Recorder, tmp_path: Path, index: int) -> None:
    path = tmp_path / "run.live.tif"
    recorder.tell(Open(path=str(path), height=HEIGHT, width=WIDTH, fsync=False), page(0), page(index))
    recorder.hear(3)
    recorder.end()
    assert isinstance(recorder.error, MessageError)
    assert_recorded(path, 1)


def test_nothing_is_written_before_the_stack_is_open(recorder: Recorder) -> None:
    recorder.tell(page(0))
    recorder.end()
    assert isinstance(recorder.error, MessageError)
