"""In whatever order runs are queued, fail, are killed, asked for and forgotten: none is lost, none is filed twice."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from locstream.bundle.bundle import Bundle
from locstream.bundle.files import RunFiles
from locstream.upload import uploader
from locstream.upload.filer import Check, Progress
from locstream.upload.queue import Queue
from locstream.upload.ticket import LONGEST_WAIT_S
from locstream.upload.uploader import Uploader
from upload_filers import AWAY, MAY_NOT, Killed

OUTCOMES = {"files": None, "away": AWAY, "may not": MAY_NOT, "killed": Killed()}


@pytest.fixture(autouse=True)
def _runs_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "open_bundles", lambda folder: (Runs.of(number) for number in range(5)))


class Runs:
    @staticmethod
    def of(number: int) -> Bundle:
        return Bundle(RunFiles(Path("/data"), f"run{number}"), f"run{number}", {}, {})


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.queue = Queue(Path(self.scratch.name))
        self.now_s = 1_000.0
        self.expected: dict[str, str] = {}
        self.filed: Counter[str] = Counter()
        self.outcome: BaseException | None = None

    def preflight(self) -> list[Check]:
        return []

    def file(self, bundle: Bundle, progress: Progress) -> str:
        progress("a block", 0, 1)
        assert self.expected[bundle.uuid] == "waiting"
        if self.outcome is not None:
            raise self.outcome
        self.filed[bundle.uuid] += 1
        return "here"

    @rule(number=st.integers(0, 4))
    def add(self, number: int) -> None:
        uuid = f"run{number}"
        self.queue.add(Runs.of(number), self.now_s)
        if self.expected.get(uuid) is None:
            self.filed[uuid] = 0
            self.expected[uuid] = "waiting"

    @rule(outcome=st.sampled_from(sorted(OUTCOMES)), kill_while_told=st.booleans())
    def work(self, outcome: str, kill_while_told: bool) -> None:
        self.outcome = OUTCOMES[outcome]

        def tell(text: str) -> None:
            if kill_while_told and text.endswith("begins"):
                raise Killed

        worker = Uploader(self.queue, self, clock=lambda: self.now_s, tell=tell)
        due = [t.uuid for t in self.queue.tickets() if t.state == "waiting" and t.not_before_s <= self.now_s]
        try:
            worker.work()
        except Killed:
            assert due
            return
        for uuid in due:
            self.expected[uuid] = {"files": "filed", "may not": "refused"}.get(outcome, "waiting")

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        uuid = data.draw(st.sampled_from(sorted(self.expected)))
        self.queue.forget(uuid)
        del self.expected[uuid]

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        uuid = data.draw(st.sampled_from(sorted(self.expected)))
        if self.expected[uuid] != "filed":
            self.queue.change(uuid, lambda ticket: ticket.again(self.now_s))
            self.expected[uuid] = "waiting"

    @rule(seconds=st.floats(0, 5000))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def every_run_is_there_in_its_state(self) -> None:
        found = {ticket.uuid: ticket for ticket in self.queue.tickets()}
        assert set(found) == set(self.expected)
        for uuid, ticket in found.items():
            assert ticket.state == self.expected[uuid] or (ticket.state, self.expected[uuid]) == (
                "uploading",
                "waiting",
            )
            assert ticket.not_before_s <= self.now_s + LONGEST_WAIT_S
            assert self.filed[uuid] == (self.expected[uuid] == "filed")

    def teardown(self) -> None:
        self.scratch.cleanup()


def test_no_run_is_lost_or_filed_twice() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
