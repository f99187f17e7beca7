"""Whatever a camera counts and however often it is started again: numbers go up, gaps are what is said of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from locstream.results.ledger import Ledger
from locstreamd.record.frame_tags import FrameNumbers
from locstreamd.record.mmcore import Metadata

STEPS = st.lists(st.integers(1, 5), min_size=1, max_size=20)
"""From one count to the next within a sequence; more than 1 is a loss."""
RESTARTS = st.lists(st.tuples(st.none() | st.integers(0, 1000), st.integers(0, 3), STEPS), max_size=6)
"""Frames missing by the time that passed, count of the first frame, and the steps behind it."""


def tags(name: str, count: int) -> Metadata:
    return Metadata({name: str(count)})


@given(STEPS, RESTARTS)
def test_the_cores_numbers(steps: list[int], restarts: list[tuple[int | None, int, list[int]]]) -> None:
    numbers, ledger, known = FrameNumbers(), Ledger(), 0
    count = -1
    for step in steps:
        known += step - 1
        count += step
        ledger.acquire(numbers.next(tags("ImageNumber", count)))
    for missing, first, steps_then in restarts:
        gap = numbers.go_on(tags("ImageNumber", first), missing)
        assert not gap.counted
        assert gap.missing == (first or None if missing is None else max(missing, first))
        known += gap.missing or 0
        ledger.acquire(numbers.last)
        count = first
        for step in steps_then:
            known += step - 1
            count += step
            ledger.acquire(numbers.next(tags("ImageNumber", count)))
    snapshot = ledger.snapshot()
    assert snapshot.camera_dropped == known, "the ledger lists exactly what was said to be missing"
    assert snapshot.last_acquired == numbers.last


@given(st.integers(0, 2**31), STEPS, st.lists(st.tuples(st.integers(1, 500), STEPS), max_size=6))
def test_a_driver_that_counts_on_is_always_right(
    start: int, steps: list[int], restarts: list[tuple[int, list[int]]]
) -> None:
    numbers, count = FrameNumbers("FrameNr"), start
    assert numbers.next(tags("FrameNr", count)) == 0
    for jump, steps_then in [(0, steps), *restarts]:
        if jump:
            count += jump
            gap = numbers.go_on(tags("FrameNr", count), missing=7)
            assert (gap.missing, gap.counted) == (jump - 1, True)
        for step in steps_then:
            count += step
            numbers.next(tags("FrameNr", count))
        assert numbers.last == count - start
