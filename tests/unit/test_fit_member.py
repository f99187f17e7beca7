"""How many frames a worker may hold: two, and as many more as are on a long way."""

from __future__ import annotations

import numpy as np
import pytest

from fake_workers import join
from locstreamd.fit import member as members
from locstreamd.fit.member import SLOW_S, Member
from locstreamd.fit.roster import Roster

IMAGE = np.zeros((2, 2), np.uint16)


class Clock:
    """Time as the test makes it pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(members, "time", clock)
    return clock


def ready(credits_: int = 2, most: int = 64) -> Member:
    return Member(1, None, "", 16, "", None, credits_, most)


def turn(worker: Member, clock: Clock, round_trip_s: float, fit_s: float, index: int = 0) -> None:
    """Have a worker fit a frame while it holds no other."""
    worker.give(index, IMAGE)
    clock.now += round_trip_s + fit_s
    assert worker.settle(index, fit_s)


def test_nobody_knows_the_way_before_the_first_answer() -> None:
    assert ready().allowance(spare=True) == 2


@pytest.mark.parametrize(
    ("round_trip_s", "fit_s", "expected"),
    [
        (5 / 128, 1 / 256, 2 + 10),
        (5 / 128, 5 / 128, 2 + 1),
        (0.0, 1 / 256, 2),
        (0.04, 1 / 256, 2 + 11),
        (0.9, 0.001, 64),
        (0.9, 1e-310, 64),
    ],
)
def test_it_gets_what_it_could_fit_during_a_round_trip(
    clock: Clock, round_trip_s: float, fit_s: float, expected: int
) -> None:
    worker = ready()
    turn(worker, clock, round_trip_s, fit_s)
    assert worker.allowance(spare=True) == expected
    assert worker.allowance(spare=False) == 2


def test_with_so_many_it_is_never_idle(clock: Clock) -> None:
    """A line of 20 ms each way and a fit of 4 ms: every frame is there before the one ahead of it is done."""
    worker, fit_s, way_s = ready(), 1 / 256, 5 / 256
    turn(worker, clock, 2 * way_s, fit_s)
    frames = worker.allowance(spare=True)
    assert frames * fit_s >= 2 * way_s + fit_s
    assert (frames - 2) * fit_s < 2 * way_s + fit_s, "and no more than that"


def test_one_that_takes_no_more_gets_no_more(clock: Clock) -> None:
    worker = ready(most=0)
    turn(worker, clock, 0.5, 0.001)
    assert worker.allowance(spare=True) == 2


def test_a_frame_behind_another_says_nothing_of_the_way(clock: Clock) -> None:
    worker = ready()
    turn(worker, clock, 0.01, 0.01)
    before = worker.round_trip_s
    worker.give(1, IMAGE)
    worker.give(2, IMAGE)
    clock.now += 1.0
    worker.settle(2, 0.01)
    assert worker.round_trip_s == before
    worker.settle(1, 0.01)
    assert worker.round_trip_s > before


def test_a_frame_that_was_refused_says_nothing_of_the_way_or_of_the_fit(clock: Clock) -> None:
    worker = ready()
    turn(worker, clock, 0.1, 0.01)
    before = worker.allowance(spare=True)
    for index in range(20):
        worker.give(index, IMAGE)
        clock.now += 0.001
        assert worker.settle(index, None)
        assert not worker.settle(index, None)
    assert worker.allowance(spare=True) == before > 2


def test_a_line_that_is_full_gets_no_more(clock: Clock) -> None:
    worker = ready()
    turn(worker, clock, SLOW_S, 0.001)
    assert worker.allowance(spare=True) == 2
    for index in range(1, 30):
        turn(worker, clock, 0.01, 0.001, index)
    assert worker.allowance(spare=True) > 2, "until it is quick again"


def test_it_hangs_by_its_oldest_frame(clock: Clock) -> None:
    worker = ready()
    assert not worker.hangs(clock.now)
    worker.give(0, IMAGE)
    clock.now += 10
    worker.give(1, IMAGE)
    assert worker.hangs(clock.now - 9)
    worker.settle(0, 0.1)
    assert not worker.hangs(clock.now - 9)


def test_memory_bounds_all_together(clock: Clock) -> None:
    """Beyond what may be under way, those with a long way get no more than the others."""

    roster = Roster(spare_frames=5)
    for identity in (b"1", b"2"):
        roster.add(identity, join(pid=None), None)
        worker = roster.members[identity]
        worker.credits, worker.most = 2, 64
        turn(worker, clock, 0.5, 0.001)
    given = 0
    while (identity_of_free := roster.free()) is not None:
        roster.give(identity_of_free, given, IMAGE)
        given += 1
    assert given == 5
    assert roster.credits == 4
