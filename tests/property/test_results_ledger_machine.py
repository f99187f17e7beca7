"""The ledger against a plain model that remembers everything, for any order of events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.ledger import Ledger, snapshot_of


class LedgerMachine(RuleBasedStateMachine):
    """Frames come with gaps and are settled in any order; wrong calls are refused and change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.frames: dict[int, FrameOutcome | None] = {}
        self.next = 0

    @rule(gap=st.sampled_from([0, 0, 0, 1, 7, 10**6]))
    def acquire(self, gap: int) -> None:
        number = self.next + gap
        self.ledger.acquire(number)
        self.frames[number] = None
        self.next = number + 1

    @precondition(lambda self: None in self.frames.values())
    @rule(data=st.data(), outcome=st.sampled_from(FrameOutcome))
    def settle(self, data: st.DataObject, outcome: FrameOutcome) -> None:
        number = data.draw(st.sampled_from([n for n, o in self.frames.items() if o is None]))
        self.ledger.settle(number, outcome)
        self.frames[number] = outcome

    @precondition(lambda self: self.next)
    @rule(back=st.integers(1, 10))
    def acquire_again(self, back: int) -> None:
        with pytest.raises(ValueError, match="came after"):
            self.ledger.acquire(self.next - back)

    @rule(number=st.integers(0, 30), outcome=st.sampled_from(FrameOutcome))
    def settle_anything(self, number: int, outcome: FrameOutcome) -> None:
        if self.frames.get(number, outcome) is not None:
            with pytest.raises(ValueError, match="cannot be settled"):
                self.ledger.settle(number, outcome)
        else:
            self.ledger.settle(number, outcome)
            self.frames[number] = outcome

    @invariant()
    def agrees_with_the_model(self) -> None:
        found = self.ledger.snapshot()
        outcomes = list(self.frames.values())
        assert found.balanced
        assert found.acquired == len(self.frames)
        assert found.pending == outcomes.count(None)
        assert found.fitted == outcomes.count(FrameOutcome.FITTED)
        assert found.skipped == outcomes.count(FrameOutcome.SKIPPED)
        assert found.failed == outcomes.count(FrameOutcome.FAILED)
        assert found.camera_dropped == self.next - len(self.frames)
        assert found.last_acquired == (max(self.frames) if self.frames else None)
        assert sum(count for _, count in found.gaps) == found.camera_dropped
        assert all(first not in self.frames and first + count in self.frames for first, count in found.gaps)


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLedger = LedgerMachine.TestCase


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 50, 10**8]), st.sampled_from(FrameOutcome)), max_size=40))
def test_the_snapshot_of_records_is_that_of_a_ledger_that_saw_the_frames(
    steps: list[tuple[int, FrameOutcome]],
) -> None:
    ledger = Ledger()
    numbers: list[int] = []
    for gap, outcome in steps:
        numbers.append((numbers[-1] + 1 if numbers else 0) + gap)
        ledger.acquire(numbers[-1])
        ledger.settle(numbers[-1], outcome)
    records = frame_records(numbers, 0.0, 0, [outcome for _, outcome in steps])
    assert snapshot_of(records) == ledger.snapshot()
