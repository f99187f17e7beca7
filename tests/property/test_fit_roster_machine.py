"""Workers come, answer, are lost and come back in any order: each frame is with one, waits, or is settled once."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fake_workers import join
from locstreamd.fit.roster import ATTEMPTS, Roster

IMAGE = np.zeros((2, 2), np.uint16)
INSTANCES = st.sampled_from(["a", "b", "c", "d", ""])


class RosterMachine(RuleBasedStateMachine):
    """A plain model beside the roster: which frames were given out, and what became of each."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster(8)
        self.connections = 0
        self.next_frame = 0
        self.waiting: set[int] = set()
        self.done: list[int] = []
        self.failed: list[int] = []
        self.given: dict[int, list[bytes]] = {}
        """Over which connections each frame was given, ever."""
        self.workers: dict[int, set[int]] = {}
        """To which workers, by number: one that introduces itself once more is another."""

    @initialize()
    def somebody_comes(self) -> None:
        self.come("a", 2, 4)

    @rule(instance=INSTANCES, credits_=st.integers(1, 3), most=st.integers(0, 6), anew=st.booleans())
    def come(self, instance: str, credits_: int, most: int, anew: bool = True) -> None:
        """Over a connection of its own, or once more over the last one."""
        self.connections += anew
        identity = b"%d" % self.connections
        for before in self.roster.connections_of(identity, instance):
            self.lose(before, blame=False)
        self.roster.add(identity, join(pid=None, instance=instance), None)
        member = self.roster.members[identity]
        member.credits, member.most = credits_, most

    @rule()
    def give(self) -> None:
        if (identity := self.roster.free()) is None:
            return
        again = self.roster.again()
        assert (again is None) == (not self.waiting)
        index = self.next_frame if again is None else again[0]
        if again is None:
            self.next_frame += 1
        else:
            assert index == min(self.waiting), "the oldest first"
            self.waiting.remove(index)
        self.roster.give(identity, index, IMAGE)
        self.given.setdefault(index, []).append(identity)
        self.workers.setdefault(index, set()).add(self.roster.members[identity].number)

    @precondition(lambda self: self.given)
    @rule(data=st.data(), fit_s=st.floats(0.0, 0.1) | st.none())
    def answer(self, data: st.DataObject, fit_s: float | None) -> None:
        """From anybody who ever had the frame, though they may have lost it or answered before; None refuses it."""
        index = data.draw(st.sampled_from(sorted(self.given)))
        identity = data.draw(st.sampled_from(self.given[index]))
        member = self.roster.members.get(identity)
        holds = member is not None and index in member.holds
        if member is not None:
            assert self.roster.settle(member, index, fit_s) == holds
        if holds:
            assert index not in self.done + self.failed
            self.done.append(index)

    @precondition(lambda self: self.roster.members)
    @rule(data=st.data(), blame=st.booleans())
    def be_lost(self, data: st.DataObject, blame: bool) -> None:
        self.lose(data.draw(st.sampled_from(sorted(self.roster.members))), blame=blame)

    def lose(self, identity: bytes, *, blame: bool) -> None:
        held = list(self.roster.members[identity].holds)
        _, failed = self.roster.lose(identity, blame=blame)
        if failed is not None:
            assert blame
            assert failed == held[0], "the one that it was fitting"
            assert len(self.workers[failed]) >= ATTEMPTS
            self.failed.append(failed)
        self.waiting |= set(held) - {failed}

    @invariant()
    def every_frame_is_somewhere_once(self) -> None:
        held = [index for member in self.roster.members.values() for index in member.holds]
        everywhere = held + sorted(self.waiting) + self.done + self.failed
        assert sorted(everywhere) == list(range(self.next_frame))
        assert self.roster.outstanding == len(held) + len(self.waiting)

    @invariant()
    def nobody_holds_more_than_it_takes(self) -> None:
        for member in self.roster.members.values():
            assert len(member.holds) <= max(member.credits, member.most)


TestRoster = RosterMachine.TestCase
TestRoster.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
