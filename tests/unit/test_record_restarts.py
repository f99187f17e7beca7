"""A camera that stops unasked is started again: every frame once, numbers that go on, gaps that are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from locstream.errors import SourceError
from locstream.stacks.source import Frame
from locstreamd.record import core_source, restarts
from locstreamd.record.camera_setup import CameraState
from locstreamd.record.capture import Capture
from locstreamd.record.core_source import CoreSource
from locstreamd.record.frame_tags import FrameNumbers
from locstreamd.record.micromanager import MicroManagerOptions, open_micromanager
from locstreamd.record.mmcore import Metadata
from locstreamd.record.pace import LEARNED_FROM, Pace
from locstreamd.record.restarts import CameraStoppedError, Gap
from record_cameras import DEMO_CFG, scripted_source, sequence_tester, serial_of
from waiting import until


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "BACKOFF_S", (0.0, 0.01))


def take_all(capture: Capture, also: Callable[[Frame], object] = lambda frame: None) -> list[Frame]:
    frames: list[Frame] = []
    deadline = time.monotonic() + 60
    while not capture.finished:
        assert time.monotonic() < deadline
        capture.doorbell.socket.poll(20)
        capture.doorbell.answer()
        while (frame := capture.take()) is not None:
            frames.append(frame)
            also(frame)
    return frames


def kinds(capture: Capture) -> list[str]:
    return [event.name for event in capture.restarts.events]


class FailsAt:
    """A script whose camera dies at some frames of its first sequences, and counts on over all of them."""

    def __init__(self, *lengths: int, counter: int | None = None, frames_lost: int = 0) -> None:
        self._lengths = list(lengths)
        self._counter = counter
        self._frames_lost = frames_lost

    def __call__(self, n: int) -> dict[str, str] | None:
        if self._lengths and n == self._lengths[0]:
            self._lengths.pop(0)
            if self._counter is not None:
                self._counter += self._frames_lost
            raise ValueError("the shutter is stuck")
        if self._counter is None:
            return {}
        self._counter += 1
        return {"FrameNr": str(self._counter - 1)}


# --- through the whole source -------------------------------------------------------------------------


def test_a_camera_that_raised_goes_on_and_its_numbers_too(context: zmq.Context) -> None:
    source, _, _ = scripted_source(FailsAt(4, 3), frames=30)
    capture = Capture(source, context, restarts=2)
    capture.start()
    frames = take_all(capture)
    assert capture.fault is None
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers)), "never twice, never back"
    assert numbers[-1] == 29
    assert [int(f.image[0, 0]) for f in frames[:8]] == [0, 1, 2, 3, 0, 1, 2, 0], "every picture of every sequence"
    assert kinds(capture) == ["CameraStopped", "CameraRestarted"] * 2
    assert "ValueError: the shutter is stuck" in capture.restarts.events[0].text
    capture.close()


def test_a_driver_that_counts_on_tells_how_many_are_missing(context: zmq.Context) -> None:
    script = FailsAt(4, counter=100, frames_lost=17)
    source, _, _ = scripted_source(script, frames=40, frame_counter="FrameNr")
    capture = Capture(source, context, restarts=1)
    capture.start()
    numbers = [frame.number for frame in take_all(capture)]
    assert numbers == [0, 1, 2, 3, *range(21, 40)]
    assert source.gap == Gap(17, counted=True)
    restarted = capture.restarts.events[-1]
    assert "goes on with frame 21; 17 frames are missing, counted by the camera" in restarted.text
    capture.close()


def test_without_a_counter_the_gap_is_estimated_from_the_time_and_said_so(
    context: zmq.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "BACKOFF_S", (0.1,))
    options = MicroManagerOptions(
        config_file=DEMO_CFG, exposure_ms=5, buffer_mb=64, frames=120, properties={"Camera": {"FastImage": 1}}
    )
    source = open_micromanager(options)
    capture = Capture(source, context, restarts=1)
    capture.start()

    def stop_it(frame: Frame) -> None:
        if frame.number == 30:
            source._core.stopSequenceAcquisition()

    frames = take_all(capture, stop_it)
    assert capture.fault is None
    (at,) = (i for i in range(1, len(frames)) if frames[i].number > frames[i - 1].number + 1)
    before, after = frames[at - 1], frames[at]
    interval_s = (before.time_s - frames[0].time_s) / before.number
    assert after.number - before.number == pytest.approx((after.time_s - before.time_s) / interval_s, abs=1)
    assert source.gap == Gap(after.number - before.number - 1, counted=False)
    assert "estimated from the time" in capture.restarts.events[-1].text
    assert frames[-1].number == 119, "the plan counts the missing frames"
    capture.close()


def test_after_an_overflow_every_queued_frame_comes_and_then_those_of_the_next_sequence(context: zmq.Context) -> None:
    source = sequence_tester(buffer_mb=2, frames=2000)
    capture = Capture(source, context, capacity=4, restarts=500)
    capture.start()
    # nobody takes frames: the buffer runs full, or the source stops the camera a little before that
    until(
        lambda: not source._core.isSequenceRunning() or source._core.isBufferOverflowed() or capture.restarts.used > 0
    )
    frames = take_all(capture)
    assert capture.restarts.used >= 1
    assert capture.fault is None
    serials = [serial_of(frame) for frame in frames]
    assert serials == sorted(set(serials)), "no picture twice, none under another's number"
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert "was full" in capture.restarts.events[0].text
    capture.close()


def test_restarts_that_are_used_up_end_in_the_fault_with_their_number(context: zmq.Context) -> None:
    source, _, _ = scripted_source(FailsAt(3, 3, 3, 3))
    capture = Capture(source, context, restarts=2)
    capture.start()
    assert len(take_all(capture)) == 9
    assert "shutter is stuck" in str(capture.fault)
    assert "started again 2 times" in str(capture.fault)
    assert kinds(capture)[-1] == "CameraStopped"
    capture.close()


def test_without_restarts_the_first_fault_is_the_last(context: zmq.Context) -> None:
    source, _, _ = scripted_source(FailsAt(3))
    capture = Capture(source, context)
    capture.start()
    assert len(take_all(capture)) == 3
    assert isinstance(capture.fault, CameraStoppedError)
    assert not capture.restarts.events
    capture.close()


def test_a_camera_that_refuses_to_start_is_tried_again(context: zmq.Context, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _, core = scripted_source(FailsAt(3), frames=10)
    capture = Capture(source, context, restarts=3)
    start, refusals = core.startSequenceAcquisition, iter([False, True, True])

    def refuse(*arguments: object) -> None:
        if next(refusals, False):
            raise RuntimeError("Error in device:\n no link")
        start(*arguments)

    monkeypatch.setattr(core, "startSequenceAcquisition", refuse)
    capture.start()
    frames = take_all(capture)
    assert frames[-1].number == 9
    assert kinds(capture) == ["CameraStopped", "CameraRefused", "CameraRefused", "CameraRestarted"]
    assert "no link" in capture.restarts.events[1].text
    assert capture.restarts.used == 3
    monkeypatch.undo()
    capture.close()


def test_who_stops_it_meanwhile_is_told_the_fault_and_waits_for_no_restart(
    context: zmq.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "BACKOFF_S", (60.0,))
    source, _, _ = scripted_source(FailsAt(3))
    capture = Capture(source, context, restarts=5)
    capture.start()
    until(lambda: capture.restarts.events)
    capture.stop()
    assert len(take_all(capture)) == 3
    assert "shutter is stuck" in str(capture.fault)
    assert capture.restarts.used == 0
    capture.close()


@pytest.mark.parametrize("frame_counter", ["Nowhere"])
def test_what_starting_again_does_not_mend_is_not_tried(context: zmq.Context, frame_counter: str) -> None:
    source, _, _ = scripted_source(lambda n: {}, frame_counter=frame_counter)
    capture = Capture(source, context, restarts=5)
    capture.start()
    assert take_all(capture) == []
    assert "is missing" in str(capture.fault)
    assert capture.restarts.used == 0
    capture.close()


# --- what a number and a time say ---------------------------------------------------------------------


def tags(name: str, count: int) -> Metadata:
    return Metadata({name: str(count)})


def numbered(frame_counter: str, *counts: int) -> FrameNumbers:
    numbers = FrameNumbers(frame_counter)
    for count in counts:
        numbers.next(tags(frame_counter or "ImageNumber", count))
    return numbers


def test_the_cores_count_begins_again_and_the_numbers_do_not() -> None:
    numbers = numbered("", 0, 1, 2)
    assert numbers.go_on(tags("ImageNumber", 0), missing=5) == Gap(5, counted=False)
    assert numbers.last == 8
    assert numbers.next(tags("ImageNumber", 1)) == 9


def test_frames_that_the_core_lost_at_the_start_of_the_next_sequence_are_in_the_gap() -> None:
    numbers = numbered("", 0, 1, 2)
    assert numbers.go_on(tags("ImageNumber", 7), missing=5) == Gap(7, counted=False)
    assert numbers.next(tags("ImageNumber", 8)) == 11


def test_where_nothing_is_known_nothing_is_left_out() -> None:
    numbers = numbered("", 0, 1, 2)
    gap = numbers.go_on(tags("ImageNumber", 0), missing=None)
    assert gap == Gap(None, counted=False)
    assert numbers.last == 3
    assert str(gap) == "how many frames are missing is not known"


def test_a_drivers_counter_that_begins_again_is_not_believed() -> None:
    numbers = numbered("FrameNr", 1, 2, 3, 4)
    assert numbers.go_on(tags("FrameNr", 1), missing=6) == Gap(6, counted=False)
    assert numbers.last == 10
    assert numbers.next(tags("FrameNr", 2)) == 11


def test_a_sequence_that_died_before_its_first_frame_begins_at_zero() -> None:
    numbers = numbered("FrameNr")
    assert numbers.go_on(tags("FrameNr", 77), missing=None) == Gap(None, counted=False)
    assert numbers.last == 0
    assert numbers.next(tags("FrameNr", 78)) == 1


def test_the_pace_of_the_frames_is_believed_more_than_what_the_camera_says() -> None:
    pace = Pace()
    for number in range(LEARNED_FROM + 1):
        pace.see(2 * number, 100.0 + 0.02 * number)
    last_s = 100.0 + 0.02 * LEARNED_FROM
    assert pace.missing_before(last_s + 1.0, usual_s=0.5) == 99, "0.01 s a frame, gaps counted"
    pace.begin_again()
    pace.see(500, 200.0)
    assert pace.missing_before(200.5, usual_s=0.5) == 49, "learned before, still known"


def test_before_the_pace_is_known_the_camera_is_asked_and_nothing_is_made_up() -> None:
    pace = Pace()
    assert pace.missing_before(5.0, usual_s=0.1) is None
    pace.see(0, 5.0)
    assert pace.missing_before(6.0, usual_s=0.1) == 9
    assert pace.missing_before(6.0, usual_s=None) is None
    assert pace.missing_before(4.0, usual_s=0.1) == 0, "a clock that was put back"


# --- what must not change while frames are recorded ---------------------------------------------------


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[CoreSource]:
    monkeypatch.setattr(core_source, "STATE_CHECK_S", 0.02)
    options = MicroManagerOptions(
        config_file=DEMO_CFG, exposure_ms=2, buffer_mb=64, properties={"Camera": {"FastImage": 1}}
    )
    source = open_micromanager(options)
    yield source
    source.close()


def read_until_fault(source: CoreSource) -> tuple[int, SourceError]:
    count, deadline = 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            count += source.read(0.1) is not None
        except SourceError as error:
            return count, error
    raise AssertionError("no fault came")


def test_an_exposure_that_is_changed_while_recording_is_a_fault(demo: CoreSource, context: zmq.Context) -> None:
    demo.start()
    assert demo.read(60) is not None
    demo._core.setExposure(3)
    count, error = read_until_fault(demo)
    assert "somebody changed the exposure from 2 ms to 3 ms" in error.what
    assert f"{count + 1:,} frames" in error.what, "every frame was given before"
    assert "leave region, exposure and binning alone" in error.todo
    assert not isinstance(error, CameraStoppedError)


def test_a_changed_camera_is_not_started_again(demo: CoreSource, context: zmq.Context) -> None:
    capture = Capture(demo, context, restarts=5)
    capture.start()
    changed = threading.Timer(0.1, demo._core.setExposure, (3,))
    changed.start()
    take_all(capture)
    assert "the exposure from 2 ms to 3 ms" in str(capture.fault)
    assert capture.restarts.used == 0
    capture.close()


def test_a_change_just_before_the_end_is_found_at_the_end(demo: CoreSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_source, "STATE_CHECK_S", 1e9)
    demo.start()
    assert demo.read(60) is not None
    demo._core.setExposure(3)
    demo.stop()
    _, error = read_until_fault(demo)
    assert "the exposure from 2 ms to 3 ms" in error.what


def test_a_camera_that_is_left_alone_is_no_fault(demo: CoreSource) -> None:
    demo.start()
    numbers = []
    enough = time.monotonic() + 0.3
    while time.monotonic() < enough:
        if (frame := demo.read(0.1)) is not None:
            numbers.append(frame.number)
    demo.stop()
    while not demo.exhausted:
        if (frame := demo.read(0.1)) is not None:
            numbers.append(frame.number)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 20


def test_every_change_is_named_and_what_a_camera_does_not_say_is_none() -> None:
    before = CameraState((0, 0, 64, 32), 10.0, "1")
    assert before.changed_to(before) == ""
    assert before.changed_to(CameraState((0, 0, 64, 32), 10.001, "1")) == "", "a camera that rounds"
    assert before.changed_to(CameraState((4, 8, 16, 32), 20.0, "2")) == (
        "the region from 64 × 32 px at column 0, row 0 to 16 × 32 px at column 4, row 8 and "
        "the exposure from 10 ms to 20 ms and the binning from 1 to 2"
    )
    assert before.changed_to(CameraState(None, None, None)) == "", "a camera that answers no more is another fault"
    assert CameraState(None, None, None).changed_to(before) == ""


def test_a_camera_that_answers_nothing_any_more_is_not_taken_for_a_changed_one(
    demo: CoreSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Error in device:\nno reply")

    demo.start()
    assert demo.read(60) is not None
    demo._core.stopSequenceAcquisition()
    with monkeypatch.context() as patched:
        for question in ("isSequenceRunning", "getROI", "getExposure", "getPropertyFromCache"):
            patched.setattr(demo._core, question, fail)
        _, error = read_until_fault(demo)
    assert "no reply" in error.what
    assert isinstance(error, CameraStoppedError), "starting it again may help"
