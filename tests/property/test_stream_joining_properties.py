"""Whatever is lost, doubled or delayed on the way: every row once, in order, equal to the file by digest."""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from locstream.formats.picasso import as_stored
from locstream.localizations import LOCALIZATION
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.layout import final_path, live_path
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.digest import RowsDigest, file_digest
from locstream.stream.events import Began, Ended, Event, Rows
from locstream.stream.joining import HELD_OVERHEAD_BYTES, Joining
from locstream.stream.messages import HISTORY_REPLIES, HISTORY_REQUESTS, STREAM, Batch, Chunk, End, Fetch, Hello, Status
from locstream.stream.wire import Buffer, pack
from locstreamd.view.history import History
from results_example import PIXEL_SIZE_NM, batch, header

PER_FRAME = 4


class Microscope:
    """Acquisitions one after another: every batch is committed, then published."""

    def __init__(self, folder: Path) -> None:
        self.history = History()
        self.published: list[list[Buffer]] = []
        self.files: dict[str, Path] = {}
        self._folder = folder
        self._writer: ResultsWriter | None = None
        self._seq = self._rows = self._frame = 0

    @property
    def running(self) -> bool:
        return self._writer is not None

    def begin(self) -> None:
        self.name = f"run{len(self.files)}"
        live = live_path(self._folder, self.name)
        self._writer = ResultsWriter(live, header(acquisition_id=self.name))
        self.files[self.name] = final_path(live)
        self.history.begin(self.name, live, final_path(live))
        self._seq = self._rows = self._frame = 0
        self._digest = RowsDigest()
        self.greet()

    def greet(self) -> None:
        hello = Hello(
            acquisition=self.name, seq=self._seq, name="n", software="s", width=64, height=48,
            pixel_size_nm=PIXEL_SIZE_NM, started_s=0.0,
        )  # fmt: skip
        self.published.append(pack(hello))

    def commit(self, frames: int, seed: int) -> None:
        assert self._writer is not None
        rows, records = batch(self._frame, frames, seed=seed, per_frame=PER_FRAME)
        self._writer.append(rows, records)
        stored = as_stored(rows, PIXEL_SIZE_NM)
        self._digest.add(stored)
        message = Batch(
            acquisition=self.name, seq=self._take_seq(), frame_first=self._frame, frame_last=self._frame + frames - 1,
            row_first=self._rows, rows=len(rows),
        )  # fmt: skip
        self.published.append(pack(message, stored.tobytes()))
        self._frame += frames
        self._rows += len(rows)

    def status(self) -> None:
        status = Status(acquisition=self.name, seq=self._take_seq(), state="acquiring", ledger=LedgerSnapshot())
        self.published.append(pack(status))

    def end(self, *, finished: bool = True) -> None:
        assert self._writer is not None
        self._writer.close()
        end = End(
            acquisition=self.name, seq=self._take_seq(), outcome="complete", frames=self._frame, rows=self._rows,
            digest=self._digest.hexdigest(),
        )  # fmt: skip
        self.history.end(self.name, end if self._rows % 2 else None)
        self.published.append(pack(end))
        if finished:
            finalize(self._writer.path, self.files[self.name])
        else:
            self.files[self.name] = self._writer.path
        self._writer = None

    def _take_seq(self) -> int:
        self._seq += 1
        return self._seq - 1


class Watcher:
    """Drives a `Joining` as a client does, and holds it to its promises."""

    def __init__(self, joining: Joining, microscope: Microscope) -> None:
        self.joining = joining
        self.given: dict[str, RowsDigest] = {}
        self.first: dict[str, int] = {}
        self.next: dict[str, int] = {}
        self.ended: dict[str, Ended] = {}
        self._microscope = microscope
        self._asked: deque[list[Buffer]] = deque()

    def hear(self, parts: list[Buffer]) -> None:
        message, buffers = STREAM.unpack(parts)
        self.see(self.joining.hear(message, buffers))

    def ask(self) -> None:
        if (fetch := self.joining.request()) is not None:
            request, _ = HISTORY_REQUESTS.unpack(pack(fetch))
            assert isinstance(request, Fetch)
            self._asked.append(self._microscope.history.answer(request))

    def answered(self) -> bool:
        if not self._asked:
            return False
        chunk, buffers = HISTORY_REPLIES.unpack(self._asked.popleft())
        assert isinstance(chunk, Chunk), chunk
        self.see(self.joining.take(chunk, buffers))
        return True

    def lose_answers(self) -> None:
        self._asked.clear()
        self.joining.forget_request()

    def see(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Began():
                    assert event.acquisition not in self.given, "an acquisition began twice"
                    self.given[event.acquisition] = RowsDigest()
                case Rows():
                    first = self.first.setdefault(event.acquisition, event.row_first)
                    assert event.row_first == self.next.get(event.acquisition, first)
                    self.next[event.acquisition] = event.row_first + len(event.table)
                    self.given[event.acquisition].add(event.table)
                case Ended():
                    assert event.acquisition not in self.ended
                    self.ended[event.acquisition] = event


ACTIONS = [
    "begin", "end", "commit", "commit", "commit", "commit", "status", "deliver", "deliver", "deliver", "burst", "lose",
    "lose many", "double", "reconnect", "stir", "ask", "answer", "answer", "lose answers", "nudge",
]  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(
    actions=st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=60),
    start=st.none() | st.integers(0, 400),
    held_rows=st.sampled_from([0, 1, 30, 100_000]),
    fetch_rows=st.sampled_from([0, 1, 7, 50]),
    joins_at=st.integers(0, 40),
    seed=st.integers(0, 2**31),
)
def test_every_row_comes_once_and_in_order(
    actions: list[str], start: int | None, held_rows: int, fetch_rows: int, joins_at: int, seed: int
) -> None:
    chance = random.Random(seed)
    limit = held_rows * (LOCALIZATION.itemsize + HELD_OVERHEAD_BYTES)
    with TemporaryDirectory() as folder:
        microscope = Microscope(Path(folder))
        microscope.begin()
        watcher = Watcher(Joining(start, held_limit_bytes=limit, fetch_rows=fetch_rows), microscope)
        inbox: deque[list[Buffer]] = deque()
        for turn, action in enumerate(actions):
            act(action, microscope, watcher, inbox, chance, turn >= joins_at)
            assert watcher.joining.held_bytes <= limit
        if microscope.running:
            microscope.end(finished=chance.random() < 0.2)
        microscope.begin()  # the next acquisition: its greeting tells of the end before it
        microscope.commit(2, seed)
        inbox.extend(microscope.published)
        microscope.published.clear()
        settle(watcher, inbox)
        microscope.end(finished=False)
        inbox.extend(microscope.published)
        settle(watcher, inbox)
        check(microscope, watcher, start)
        microscope.history.close()


def act(
    action: str, microscope: Microscope, watcher: Watcher, inbox: deque[list[Buffer]], chance: random.Random, on: bool
) -> None:
    """Let one thing happen at the microscope, on the way, or at the watcher."""
    match action:
        case "begin" if not microscope.running and len(microscope.files) < 4:
            microscope.begin()
        case "end" if microscope.running:
            microscope.end(finished=chance.random() < 0.2)
        case "commit" if microscope.running:
            microscope.commit(chance.randint(1, 12), chance.randint(0, 99))
        case "status" if microscope.running:
            microscope.status()
        case "deliver" if inbox:
            watcher.hear(inbox.popleft())
        case "burst":
            while inbox:
                watcher.hear(inbox.popleft())
        case "lose" if inbox:
            inbox.popleft()
        case "lose many":
            inbox.clear()
        case "double" if inbox:
            inbox.append(inbox[0])
        case "reconnect":
            inbox.clear()
            if microscope.running:
                microscope.greet()
        case "stir":
            stirred = list(inbox)
            chance.shuffle(stirred)
            inbox.clear()
            inbox.extend(stirred)
        case "ask" if on:
            watcher.ask()
        case "answer":
            watcher.answered()
        case "lose answers":
            watcher.lose_answers()
        case "nudge":
            watcher.joining.nudge()
    if on:
        inbox.extend(microscope.published)
    microscope.published.clear()


def settle(watcher: Watcher, inbox: deque[list[Buffer]]) -> None:
    """Deliver everything, and answer until nothing more is asked."""
    while inbox:
        watcher.hear(inbox.popleft())
    watcher.lose_answers()
    for _ in range(20_000):
        watcher.ask()
        if not watcher.answered():
            return
    pytest.fail("it never stops asking")


def check(microscope: Microscope, watcher: Watcher, start: int | None) -> None:
    began = list(watcher.given)
    assert began[-1] == microscope.name
    assert began == list(microscope.files)[len(microscope.files) - len(began) :] or len(set(began)) == len(began)
    assert list(watcher.ended) == began
    for acquisition, ended in watcher.ended.items():
        path = microscope.files[acquisition]
        first = watcher.first.get(acquisition, ended.rows)
        if acquisition != began[0]:
            assert first == 0 or not ended.rows
        elif start is not None:
            assert first == min(start, ended.rows) or first == start
        assert ended.missing == 0
        assert ended.digest == watcher.given[acquisition].hexdigest() == file_digest(path, first)
        assert ended.verified is not False
        assert (ended.verified is True) == (
            ended.end is not None and first == 0 and (acquisition != began[0] or start == 0)
        )
