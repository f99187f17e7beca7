"""Late frames are suspected losses; frames with a gap in their numbers are not counted twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from locstreamd.record.intervals import LEARNED_FROM, IntervalWatch


def watch(times: list[float], numbers: list[int] | None = None) -> int:
    intervals = IntervalWatch()
    for number, time_s in zip(numbers or range(len(times)), times, strict=True):
        intervals.see(number, time_s)
    return intervals.suspected


def test_even_frames_are_not_suspicious() -> None:
    assert watch([0.01 * i for i in range(500)]) == 0


def test_jitter_is_not_suspicious() -> None:
    assert watch([0.01 * i + 0.002 * (i % 2) for i in range(500)]) == 0


def test_missing_frames_are_counted_by_the_time_they_would_have_taken() -> None:
    times = [0.01 * i for i in range(200) if i not in (120, 121, 122)]
    assert watch(times) == 3


def test_losses_while_it_still_learns_are_counted_too() -> None:
    times = [0.01 * i for i in range(200) if i != 7]
    assert watch(times) == 1


def test_a_gap_in_the_numbers_is_left_to_the_ledger() -> None:
    numbers = [i for i in range(200) if i not in (120, 121)]
    assert watch([0.01 * i for i in numbers], numbers) == 0


def test_too_few_frames_say_nothing() -> None:
    assert watch([0.0, 1.0, 50.0]) == 0


def test_a_clock_that_stands_still_says_nothing() -> None:
    assert watch([5.0] * (LEARNED_FROM + 20)) == 0


@given(st.sets(st.integers(60, 380), max_size=10))
def test_any_single_losses_are_found(lost: set[int]) -> None:
    lost = {i for i in lost if i + 1 not in lost}
    assert watch([0.02 * i for i in range(400) if i not in lost]) == len(lost)
