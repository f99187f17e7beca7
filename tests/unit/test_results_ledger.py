"""The frame ledger balances, and refuses what would unbalance it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from locstream.results.frames import FRAME_RECORD, FrameOutcome, frame_records, written
from locstream.results.ledger import GAPS_KEPT, Ledger, LedgerSnapshot, snapshot_of
from results_example import batch

FITTED, SKIPPED, FAILED = FrameOutcome.FITTED, FrameOutcome.SKIPPED, FrameOutcome.FAILED


def test_a_new_ledger_is_empty_and_balanced() -> None:
    snapshot = Ledger().snapshot()
    assert snapshot == LedgerSnapshot()
    assert snapshot.balanced


def test_every_frame_is_in_one_place() -> None:
    ledger = Ledger()
    for number in range(5):
        ledger.acquire(number)
    ledger.settle(3, FITTED)
    ledger.settle(0, SKIPPED)
    ledger.settle(1, FAILED)
    found = ledger.snapshot()
    assert (found.acquired, found.fitted, found.skipped, found.failed, found.pending) == (5, 1, 1, 1, 2)
    assert found.last_acquired == 4
    assert found.balanced
    assert ledger.is_pending(2)
    assert not ledger.is_pending(3)


def test_what_the_camera_left_out_is_counted_beside_the_rest() -> None:
    ledger = Ledger()
    for number in (2, 3, 10):
        ledger.acquire(number)
    found = ledger.snapshot()
    assert found.acquired == 3
    assert found.camera_dropped == 8
    assert found.gaps == ((0, 2), (4, 6))
    assert found.balanced


def test_a_source_may_start_at_another_number() -> None:
    ledger = Ledger(first=100)
    ledger.acquire(100)
    assert ledger.snapshot().camera_dropped == 0
    with pytest.raises(ValueError, match="frame 99 came after frame 100"):
        ledger.acquire(99)


@pytest.mark.parametrize("number", [0, 1])
def test_numbers_only_increase(number: int) -> None:
    ledger = Ledger()
    ledger.acquire(1)
    with pytest.raises(ValueError, match="came after frame 1"):
        ledger.acquire(number)
    assert ledger.snapshot().acquired == 1


def test_a_frame_is_settled_once() -> None:
    ledger = Ledger()
    ledger.acquire(0)
    ledger.settle(0, FITTED)
    with pytest.raises(ValueError, match="settled already"):
        ledger.settle(0, FAILED)
    assert ledger.snapshot() == LedgerSnapshot(acquired=1, fitted=1, last_acquired=0)


def test_a_frame_that_never_came_cannot_be_settled() -> None:
    ledger = Ledger()
    ledger.acquire(5)
    with pytest.raises(ValueError, match="never acquired"):
        ledger.settle(6, FITTED)
    with pytest.raises(ValueError, match="camera dropped it"):
        ledger.settle(4, FITTED)


def test_the_list_of_gaps_is_bounded_and_their_count_is_not() -> None:
    ledger = Ledger()
    for number in range(1, 2 * (GAPS_KEPT + 50), 2):
        ledger.acquire(number)
    found = ledger.snapshot()
    assert len(found.gaps) == GAPS_KEPT
    assert found.gaps[0] == (0, 1)
    assert found.camera_dropped == GAPS_KEPT + 50


def test_a_snapshot_that_does_not_add_up_says_so() -> None:
    assert not LedgerSnapshot(acquired=3, fitted=1, pending=1).balanced


def test_a_snapshot_is_json() -> None:
    ledger = Ledger()
    ledger.acquire(3)
    plain = ledger.snapshot().as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["gaps"] == [[0, 3]]
    assert plain["pending"] == 1


def test_the_snapshot_of_records_counts_each_outcome() -> None:
    _, records = batch(10, 300)
    found = snapshot_of(records)
    for outcome, count in ((FITTED, found.fitted), (SKIPPED, found.skipped), (FAILED, found.failed)):
        assert count == np.count_nonzero(records["outcome"] == outcome)
        assert count > 0
    assert found.pending == 0
    assert found.camera_dropped == 10


def test_records_take_scalars_and_columns() -> None:
    records = frame_records([4, 5], 0.5, [2, 0], [FITTED, FAILED])
    assert records.dtype == FRAME_RECORD
    assert records.tolist() == [(4, 0.5, 2, 1), (5, 0.5, 0, 3)]
    assert len(frame_records([], [], [], [])) == 0


def test_space_that_was_never_written_is_no_frame() -> None:
    records = np.zeros(4, FRAME_RECORD)
    assert written(records) == 0
    records[:2] = frame_records([4, 5], 0.0, 0, FITTED)
    assert written(records) == 2
    records["outcome"] = 77
    assert written(records) == 0


def test_records_count_up_to_the_first_that_is_out_of_order() -> None:
    assert written(frame_records([1, 2, 7, 7, 8], 0.0, 0, FITTED)) == 3
    assert written(frame_records([1, 2, 7, 3, 8], 0.0, 0, FITTED)) == 3
    assert written(frame_records([1, 2, 7], 0.0, 0, FITTED)) == 3
    assert written(np.zeros(0, FRAME_RECORD)) == 0
