"""A recorded stack comes again, frame by frame, as fast as it is taken or as it was recorded."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from locstream.errors import ConfigError, SourceError, StackError
from locstream.stacks.source import Image, SourceInfo
from locstreamd.record.replay import ReplaySource
from record_cameras import read_all


class MemoryStack:
    """A stack in memory; some of its frames may be damaged."""

    def __init__(self, frames: int, damaged: tuple[int, ...] = (), **info: float) -> None:
        self.frames = frames
        self.damaged = damaged
        self.info = SourceInfo(camera="old camera", width=4, height=3, frames=frames, **info)
        self.closed = 0
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.frames

    def read(self, index: int) -> Image:
        self.asked.append(index)
        if index in self.damaged:
            raise StackError(f"page {index} ends early", todo="copy the file again")
        return np.full((3, 4), index, np.uint16)

    def close(self) -> None:
        self.closed += 1


def replay(stack: MemoryStack, fps: float | None = None) -> ReplaySource:
    source = ReplaySource(stack, fps)
    source.start()
    return source


def test_every_frame_comes_once_in_order_with_its_pixels() -> None:
    source = replay(MemoryStack(25))
    frames = read_all(source)
    assert [frame.number for frame in frames] == list(range(25))
    assert [int(frame.image[2, 3]) for frame in frames] == list(range(25))
    assert source.exhausted
    assert source.read(0) is None


def test_without_a_rate_nothing_is_waited_for_and_nothing_is_lost() -> None:
    source = replay(MemoryStack(3))
    assert not source.paced
    assert [source.read(0) is not None for _ in range(3)] == [True] * 3


def test_frames_are_not_read_before_they_are_asked_for() -> None:
    stack = MemoryStack(100)
    source = replay(stack)
    source.read(0)
    source.read(0)
    assert stack.asked == [0, 1]


def test_the_stacks_own_words_are_the_sources() -> None:
    stack = MemoryStack(7, pixel_size_nm=130, exposure_ms=20)
    assert ReplaySource(stack).info == stack.info


def test_an_empty_stack_is_exhausted_at_once() -> None:
    source = replay(MemoryStack(0))
    assert source.exhausted
    assert source.read(0) is None


# --- the rate -------------------------------------------------------------------------------------


def test_with_a_rate_no_frame_comes_before_it_is_due() -> None:
    source = ReplaySource(MemoryStack(8), fps=200)
    assert source.paced
    begin = time.monotonic()
    source.start()
    for number in range(8):
        frame = None
        while frame is None:
            frame = source.read(0.5)
        assert frame.number == number
        assert time.monotonic() - begin >= number / 200


def test_a_frame_that_is_not_due_is_none_and_comes_later() -> None:
    source = replay(MemoryStack(3), fps=1)
    assert source.read(0) is not None
    assert source.read(0) is None
    assert source.read(0.001) is None
    assert not source.exhausted
    frame = source.read(5)
    assert frame is not None
    assert frame.number == 1


def test_a_late_reader_loses_nothing_and_does_not_delay_what_follows() -> None:
    source = replay(MemoryStack(10), fps=500)
    time.sleep(0.03)
    assert [frame.number for _ in range(10) if (frame := source.read(0))] == list(range(10))


@pytest.mark.parametrize("fps", [0, -5, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(ConfigError, match="not a positive number"):
        ReplaySource(MemoryStack(1), fps)


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "fps", "interval_s"),
    [
        ({"interval_ms": 20, "exposure_ms": 10}, None, 0.020),
        ({"exposure_ms": 10}, None, 0.010),
        ({"interval_ms": 20}, 400, 1 / 400),
    ],
)
def test_times_follow_the_rate_that_is_known(info: dict[str, float], fps: float | None, interval_s: float) -> None:
    before = time.time()
    frames = read_all(replay(MemoryStack(5, **info), fps))
    assert before <= frames[0].time_s <= time.time()
    steps = [late.time_s - early.time_s for early, late in itertools.pairwise(frames)]
    assert steps == pytest.approx([interval_s] * 4, abs=1e-5)


def test_without_any_rate_the_time_is_when_a_frame_was_read() -> None:
    source = replay(MemoryStack(2))
    first = source.read(0)
    time.sleep(0.02)
    second = source.read(0)
    assert first is not None
    assert second is not None
    assert second.time_s - first.time_s >= 0.019
    assert second.time_s == pytest.approx(time.time(), abs=5)


# --- ends -----------------------------------------------------------------------------------------


def test_a_damaged_frame_is_named_and_ends_the_replay() -> None:
    source = replay(MemoryStack(1200, damaged=(1003,)))
    assert [source.read(0).number for _ in range(1003)] == list(range(1003))
    with pytest.raises(SourceError, match="frame 1,003 of 1,200 cannot be read: page 1003 ends early") as raised:
        source.read(0)
    assert "1,003 frames before it" in raised.value.safe
    assert raised.value.todo == "copy the file again"
    assert isinstance(raised.value.__cause__, StackError)
    assert source.exhausted
    assert source.read(0) is None


def test_a_damaged_frame_without_advice_gets_some() -> None:
    class Mute(MemoryStack):
        def read(self, index: int) -> Image:
            raise StackError("no")

    with pytest.raises(SourceError) as raised:
        replay(Mute(1)).read(0)
    assert raised.value.todo


def test_stop_ends_at_once_for_nothing_is_queued() -> None:
    source = replay(MemoryStack(10))
    source.read(0)
    source.stop()
    assert source.exhausted
    assert source.read(1) is None


def test_close_gives_the_stack_back() -> None:
    stack = MemoryStack(3)
    source = replay(stack)
    source.close()
    assert stack.closed == 1
    source.close()
    assert source.exhausted
    assert source.read(0) is None
