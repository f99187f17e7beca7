"""Every frame a camera delivers is read once and in order, and every way to end has its own message."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from locstream.errors import SourceError
from locstream.stacks.source import Frame
from locstreamd.record import sequence
from locstreamd.record.core_source import CoreSource
from locstreamd.record.micromanager import MicroManagerOptions, open_micromanager
from locstreamd.record.restarts import CameraStoppedError
from record_cameras import (
    DEMO_CFG,
    HEIGHT,
    WIDTH,
    read_all,
    scripted_source,
    sequence_tester,
    serial_of,
)
from waiting import until

FAST = {"Camera": {"FastImage": 1}}


def pause(seconds: float = 0.002) -> None:
    threading.Event().wait(seconds)


def demo_camera(buffer_mb: int) -> CoreSource:
    """Return Micro-Manager's demo camera at 1 ms; 1 MB of buffer holds 8 frames."""
    options = MicroManagerOptions(config_file=DEMO_CFG, exposure_ms=1, buffer_mb=buffer_mb, properties=FAST)
    return open_micromanager(options)


@pytest.fixture
def demo() -> Iterator[CoreSource]:
    source = demo_camera(buffer_mb=256)
    yield source
    source.close()


def wait_until_stopped(source: CoreSource) -> None:
    until(lambda: not source._core.isSequenceRunning())


def wait_until_overflowed(source: CoreSource) -> None:
    until(source._core.isBufferOverflowed)


def read_some(source: CoreSource, count: int) -> list[Frame]:
    frames: list[Frame] = []
    deadline = time.monotonic() + 60
    while len(frames) < count:
        assert time.monotonic() < deadline
        if (frame := source.read(0.1)) is not None:
            frames.append(frame)
    return frames


def drain(source: CoreSource) -> tuple[list[Frame], SourceError]:
    """Read until the source fails; it must not say that it is exhausted before."""
    frames = []
    while True:
        assert not source.exhausted
        try:
            frame = source.read(1)
        except SourceError as error:
            assert source.exhausted
            assert source.read(0) is None
            return frames, error
        if frame is not None:
            frames.append(frame)


# --- every frame once, in order -------------------------------------------------------------------


def test_each_frame_of_the_sequence_tester_comes_once_and_in_order() -> None:
    source = sequence_tester(frames=2000, buffer_mb=1000)
    source.start()
    frames = read_all(source)
    source.close()
    assert [frame.number for frame in frames] == list(range(2000))
    assert [serial_of(frame) for frame in frames] == list(range(2000))


def test_eight_bit_pictures_become_sixteen_bit_and_belong_to_the_receiver() -> None:
    source = sequence_tester(frames=3)
    source.start()
    first, second, _ = read_all(source)
    assert first.image.dtype == np.uint16
    assert first.image.shape == (128, 128)
    assert first.image.max() > 0
    kept = second.image.copy()
    first.image[:] = 0
    assert np.array_equal(second.image, kept)
    source.close()


def test_after_stop_the_queued_frames_can_still_be_read(demo: CoreSource) -> None:
    demo.start()
    first = read_some(demo, 2)
    pause(0.004)
    demo.stop()
    demo.stop()
    frames = first + read_all(demo)
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert demo.exhausted
    assert demo.read(0) is None


def test_a_camera_that_is_not_there_yet_gives_none_after_the_timeout() -> None:
    hold = threading.Event()
    source, _, _ = scripted_source(lambda n: {} if hold.wait(1.5) else None, frames=1)
    source.start()
    assert source.read(0) is None
    assert source.read(0.02) is None
    assert not source.exhausted
    hold.set()
    assert [frame.number for frame in read_all(source)] == [0]
    source.close()


def test_the_planned_number_ends_the_sequence() -> None:
    source, _, core = scripted_source(lambda n: {}, frames=7)
    source.start()
    frames = read_all(source)
    assert [int(frame.image[0, 0]) for frame in frames] == list(range(7))
    assert not core.isSequenceRunning()
    source.close()


@pytest.mark.parametrize("spare", [16, 10**9], ids=["stopped before it is full", "full to the last place"])
def test_no_frame_shows_the_picture_of_another_while_the_buffer_runs_full(
    spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "SPARE_PART", spare)
    for buffer_mb in (1, 3, 8, 8, 8):
        source = sequence_tester(buffer_mb=buffer_mb)
        source.start()
        frames, error = drain(source)
        assert [serial_of(frame) for frame in frames] == [frame.number for frame in frames]
        assert "was full" in error.what
        source.close()


def test_a_frame_that_may_have_been_overwritten_during_its_copy_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    source = sequence_tester(buffer_mb=1)
    core = source._core
    pop = core.popNextImageAndMD

    def pop_slowly() -> object:
        popped = pop()
        deadline = time.monotonic() + 60
        while core.getRemainingImageCount() < core.getBufferTotalCapacity() - 1:
            assert time.monotonic() < deadline
            pause(0.0001)
        return popped

    source.start()
    while not core.getRemainingImageCount():
        pause(0.0001)
    with monkeypatch.context() as patched:
        patched.setattr(core, "popNextImageAndMD", pop_slowly)
        assert source._pop(queued=1) is None
    frames, error = drain(source)
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert [serial_of(frame) for frame in frames] == [frame.number for frame in frames]
    assert "frame 0 was overwritten before it could be read" in error.what
    source.close()


# --- frames that are missing or out of order ------------------------------------------------------


def test_a_frame_that_somebody_else_took_leaves_its_number_empty() -> None:
    source, _, core = scripted_source(lambda n: {} if n < 5 else None, frames=5)
    source.start()
    wait_until_stopped(source)
    assert read_some(source, 2)[-1].number == 1
    core.popNextImage()
    rest = read_all(source)
    assert [frame.number for frame in rest] == [3, 4]
    assert [int(frame.image[0, 0]) for frame in rest] == [3, 4]
    source.close()


def test_a_frame_taken_between_the_count_and_the_pop_leaves_its_number_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    source, _, core = scripted_source(lambda n: {} if n < 1 else None)
    source.start()
    wait_until_stopped(source)
    core.popNextImage()
    with monkeypatch.context() as patched:
        patched.setattr(core, "getRemainingImageCount", lambda: 1)
        assert source.read(0) is None
    assert not source.exhausted
    source.close()


def test_the_drivers_own_counter_shows_what_was_lost_before_the_core() -> None:
    counts = [100, 101, 104, 105]
    source, _, _ = scripted_source(
        lambda n: {"FrameNr": str(counts[n])} if n < len(counts) else None, frames=6, frame_counter="FrameNr"
    )
    source.start()
    assert [frame.number for frame in read_all(source)] == [0, 1, 4, 5]
    assert source.frames_seen == 6
    source.close()


def test_a_plan_ends_even_when_its_last_frame_was_lost() -> None:
    counts = [0, 1, 2, 9, 10]
    source, _, _ = scripted_source(
        lambda n: {"FrameNr": str(counts[n])} if n < len(counts) else None, frames=5, frame_counter="FrameNr"
    )
    source.start()
    assert [frame.number for frame in read_all(source)] == [0, 1, 2]
    source.close()


def test_a_counter_that_goes_back_is_a_fault() -> None:
    counts = [5, 6, 6]
    source, _, _ = scripted_source(
        lambda n: {"FrameNr": str(counts[n])} if n < len(counts) else None, frame_counter="FrameNr"
    )
    source.start()
    frames, error = drain(source)
    assert [frame.number for frame in frames] == [0, 1]
    assert "from frame 1 to frame 1" in str(error)
    source.close()


def test_a_buffer_cleared_by_somebody_else_is_a_fault(demo: CoreSource) -> None:
    demo.start()
    read_some(demo, 3)
    demo._core.clearCircularBuffer()
    _, error = drain(demo)
    assert "went back from frame" in str(error)


def test_a_counter_tag_that_is_not_there_is_named_with_those_that_are() -> None:
    source, _, _ = scripted_source(lambda n: {"CameraFrame": str(n)}, frame_counter="FrameNr")
    source.start()
    frames, error = drain(source)
    assert frames == []
    assert "'FrameNr', by which frames are to be numbered, is missing" in error.what
    assert "CameraFrame" in error.todo
    source.close()


# --- the camera stops unasked ---------------------------------------------------------------------


def test_after_an_overflow_every_queued_frame_comes_and_then_the_fault() -> None:
    source = sequence_tester(buffer_mb=2)
    source.start()
    wait_until_overflowed(source)
    frames, error = drain(source)
    assert len(frames) == 2 * 2**20 // 128**2
    assert [serial_of(frame) for frame in frames] == list(range(len(frames)))
    assert f"{len(frames):,} frames" in error.what
    assert "buffer of 2 MB was full" in error.what
    assert "buffer_mb" in error.todo
    source.close()


def test_an_overflow_of_the_demo_camera_is_told_too() -> None:
    source = demo_camera(buffer_mb=1)
    source.start()
    wait_until_stopped(source)
    frames, error = drain(source)
    assert [frame.number for frame in frames] == list(range(8))
    assert "was full" in error.what
    source.close()


def test_a_stop_after_an_overflow_does_not_hide_it() -> None:
    source = sequence_tester(buffer_mb=1)
    source.start()
    wait_until_overflowed(source)
    source.stop()
    frames, error = drain(source)
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert "was full" in error.what
    source.close()


def test_a_python_cameras_overflow_keeps_its_frames() -> None:
    source, _, _ = scripted_source(lambda n: {}, buffer_frames=40)
    source.start()
    wait_until_stopped(source)
    frames, error = drain(source)
    assert [int(frame.image[-1, -1]) for frame in frames] == list(range(40))
    assert "was full" in error.what
    source.close()


def test_a_camera_that_says_it_runs_after_an_overflow_is_not_believed() -> None:
    source = sequence_tester(buffer_mb=1)
    source.start()
    core = source._core
    wait_until_overflowed(source)
    while core.getRemainingImageCount():
        core.popNextImage()
    assert core.isSequenceRunning()
    with pytest.raises(SourceError, match="was full"):
        source.read(5)
    source.close()


def test_a_camera_that_does_not_answer_any_more_is_a_fault(demo: CoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise RuntimeError("Error in device:\nno reply")

    demo.start()
    read_some(demo, 2)
    demo._core.stopSequenceAcquisition()
    with monkeypatch.context() as patched:
        patched.setattr(demo._core, "isSequenceRunning", fail)
        _, error = drain(demo)
    assert "Error in device:; no reply" in error.what


def test_a_camera_stopped_by_somebody_else_is_a_fault(demo: CoreSource) -> None:
    demo.start()
    read_some(demo, 2)
    demo._core.stopSequenceAcquisition()
    _, error = drain(demo)
    assert "nobody asked" in error.what
    assert "not full" in error.what


def test_a_region_set_while_recording_is_a_fault(demo: CoreSource) -> None:
    demo.start()
    read_some(demo, 2)
    demo._core.setROI(0, 0, 64, 64)
    _, error = drain(demo)
    assert "somebody changed the region from 256 × 256 px" in error.what
    assert not isinstance(error, CameraStoppedError), "a camera that is set to something else is not started again"


def test_an_exception_in_a_python_camera_is_told_with_its_own_words() -> None:
    def script(n: int) -> dict[str, str]:
        if n == 4:
            raise ValueError("the shutter is stuck")
        return {}

    before = threading.excepthook
    source, _, _ = scripted_source(script, frames=10)
    source.start()
    frames, error = drain(source)
    assert [frame.number for frame in frames] == [0, 1, 2, 3]
    assert "ValueError: the shutter is stuck" in error.what
    assert "4 frames" in error.what
    source.close()
    assert threading.excepthook is before


def test_exceptions_of_other_threads_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(str(args.exc_value)))
    source, _, _ = scripted_source(lambda n: {} if n < 1 else None, frames=1)
    source.start()

    def fail() -> None:
        raise KeyError("elsewhere")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert [frame.number for frame in read_all(source)] == [0]
    assert seen == ["'elsewhere'"]
    source.close()


def test_a_fault_of_the_camera_is_told_even_if_its_buffer_was_full() -> None:
    def script(n: int) -> dict[str, str]:
        if n == 40:
            raise ValueError("no water")
        return {}

    source, _, _ = scripted_source(script, buffer_frames=40)
    source.start()
    wait_until_stopped(source)
    frames, error = drain(source)
    assert len(frames) == 40
    assert "no water" in error.what
    source.close()


def test_pictures_of_another_shape_are_a_fault() -> None:
    def script(n: int) -> dict[str, str]:
        if n == 2:
            camera.sizes = (HEIGHT, WIDTH - 1)
        return {}

    source, camera, _ = scripted_source(script)
    source.start()
    frames, error = drain(source)
    assert len(frames) == 2
    assert f"({HEIGHT}, {WIDTH - 1})" in error.what
    source.close()


# --- refusals -------------------------------------------------------------------------------------


def test_a_camera_that_is_running_already_does_not_start(demo: CoreSource) -> None:
    demo._core.startSequenceAcquisition(10_000, 0, True)
    with pytest.raises(SourceError, match="runs already"):
        demo.start()


def test_a_buffer_that_cannot_be_had_does_not_start() -> None:
    source = sequence_tester(buffer_mb=0)
    with pytest.raises(SourceError, match=r"does not start: .*buffer"):
        source.start()
    source.close()


def test_a_camera_that_does_not_stop_is_told_at_once(demo: CoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    demo.start()

    def refuse() -> None:
        raise RuntimeError("Error in device:\n the cable is out")

    with monkeypatch.context() as patched:
        patched.setattr(demo._core, "stopSequenceAcquisition", refuse)
        with pytest.raises(SourceError, match="does not stop: Error in device:; the cable is out"):
            demo.stop()


def test_a_source_stopped_before_it_began_is_exhausted() -> None:
    source, _, _ = scripted_source(lambda n: {})
    source.stop()
    assert source.exhausted
    assert source.read(0) is None
    source.close()


def test_close_may_be_called_twice_and_ends_the_source(demo: CoreSource) -> None:
    demo.start()
    demo.close()
    demo.close()
    assert demo.exhausted
    assert demo.read(0) is None
    demo.stop()


# --- time -----------------------------------------------------------------------------------------


def test_times_are_seconds_since_the_epoch_and_follow_the_camera(demo: CoreSource) -> None:
    before = time.time()
    demo.start()
    times = [frame.time_s for frame in read_some(demo, 20)]
    after = time.time()
    assert before - 0.5 < times[0] < times[-1] < after + 0.5
    assert all(early < late for early, late in itertools.pairwise(times))


def test_a_step_of_the_computers_clock_does_not_reach_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    source, _, _ = scripted_source(lambda n: {} if n < 20 else None, frames=20)
    source.start()
    wait_until_stopped(source)
    first = read_some(source, 1)[0]
    monkeypatch.setattr(time, "time", lambda: first.time_s - 3600)
    assert all(0 <= frame.time_s - first.time_s < 60 for frame in read_all(source))
    source.close()
