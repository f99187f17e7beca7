"""Frames that take longer than they should hide lost ones; a late frame that is made up for does not."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from locstreamd.record.intervals import WINDOW, IntervalWatch


def watch(times: list[float], numbers: list[int] | None = None) -> int:
    intervals = IntervalWatch()
    for number, time_s in zip(numbers or range(len(times)), times, strict=True):
        intervals.see(number, time_s)
    return intervals.suspected


def test_even_frames_are_not_suspicious() -> None:
    assert watch([0.01 * i for i in range(2000)]) == 0


def test_jitter_is_not_suspicious() -> None:
    rng = random.Random(3)
    assert watch([0.01 * i + rng.uniform(0, 0.005) for i in range(2000)]) == 0


def test_a_late_frame_that_is_made_up_for_is_not_suspicious() -> None:
    """A busy computer: the time is taken late, the frames after it come at once."""
    for late in range(40, 160):
        times = [0.01 * i for i in range(400)]
        for k in range(8):
            times[late + k] = max(times[late + k], times[late] + 0.08)
        assert watch(times) == 0, late


def test_missing_frames_are_counted_by_the_time_they_would_have_taken() -> None:
    times = [0.01 * i for i in range(400) if i not in (120, 121, 122)]
    assert watch(times) == 3


def test_a_gap_in_the_numbers_is_left_to_the_ledger() -> None:
    numbers = [i for i in range(400) if i not in (120, 121)]
    assert watch([0.01 * i for i in numbers], numbers) == 0


def test_too_few_frames_say_nothing() -> None:
    assert watch([0.0, 1.0, 50.0]) == 0


def test_a_clock_that_stands_still_says_nothing() -> None:
    assert watch([5.0] * (3 * WINDOW)) == 0


@given(st.sets(st.integers(60, 380), max_size=10))
def test_any_single_losses_are_found(lost: set[int]) -> None:
    assert watch([0.02 * i for i in range(600) if i not in lost]) == len(lost)
