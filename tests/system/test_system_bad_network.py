"""Clients whose connections are cut, stalled and refused at random: every row once, in order, as the file has them."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bad_network import BadNetwork
from locstream.localizations import Localizations
from locstream.results.layout import live_path
from locstream.results.reader import read_results
from locstream.stream import async_client, client
from locstream.stream.digest import file_digest
from locstream.stream.events import Ended, Rows
from stream_server import Server, ServerThread

pytestmark = pytest.mark.system

PATIENCE_S = 120.0
BATCHES = 60
LATE = 400
"""Row from which two of the clients want them."""


class Joined:
    """One client in a thread of its own, and what it got."""

    def __init__(self, start: int | None, stream: str, control: str) -> None:
        self.start = start
        self.first: int | None = None
        self.got: list[Localizations] = []
        self.ended: Ended | None = None
        self.problem: BaseException | None = None
        self.began = threading.Event()
        self._places = stream, control
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def follow(self, stream: str, control: str) -> None:
        raise NotImplementedError

    def note(self, event: object) -> None:
        self.began.set()
        match event:
            case Rows():
                self.first = event.row_first if self.first is None else self.first
                assert event.row_first == self.first + sum(map(len, self.got)), "rows are not in order"
                self.got.append(event.table)
            case Ended():
                self.ended = event

    def _run(self) -> None:
        try:
            self.follow(*self._places)
        except BaseException as problem:  # noqa: BLE001 - raised again in the test's own thread
            self.problem = problem

    def finish(self) -> Ended:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self.problem is not None:
            raise self.problem
        assert self.ended is not None
        return self.ended


class JoinedClient(Joined):
    """By `locstream.connect`."""

    def follow(self, stream: str, control: str) -> None:
        with client.connect(stream, control=control, start=self.start, timeout_s=PATIENCE_S) as following:
            for event in following.events():
                self.note(event)


class JoinedAsyncClient(Joined):
    """By the client for asyncio."""

    def follow(self, stream: str, control: str) -> None:
        async def follow() -> None:
            places = {"control": control, "start": self.start, "timeout_s": PATIENCE_S}
            async with async_client.connect(stream, **places) as following:
                async for event in following.events():
                    self.note(event)

        asyncio.run(follow())


def disturb(networks: Sequence[BadNetwork], chance: random.Random) -> None:
    """Do something bad to one line, and undo what was done to it before."""
    network = chance.choice(networks)
    network.stall(False)
    network.refuse(False)
    worst: list[Callable[[], None]] = [
        network.cut,
        lambda: network.stall(True),
        lambda: (network.cut(), network.refuse(True))[0],
    ]
    chance.choice(worst)()


def acquire(server: ServerThread, networks: Sequence[BadNetwork], chance: random.Random) -> None:
    """Commit and publish some rows."""
    for _ in range(BATCHES):
        server.do(lambda s: s.commit(chance.randint(1, 8), per_frame=chance.randint(1, 40)))
        if chance.random() < 0.2:
            disturb(networks, chance)


def end(server: ServerThread, networks: Sequence[BadNetwork], joined: Sequence[Joined]) -> None:
    """End the acquisition as soon as all have heard of it; then the lines are good again."""
    for each in joined:
        while not each.began.wait(0.2):
            assert each.problem is None, each.problem
            for network in networks:
                network.stall(False)
                network.refuse(False)
    server.do(Server.end)
    for network in networks:
        network.calm()
        network.stall(False)
        network.refuse(False)


@pytest.mark.parametrize("seed", [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(4, 41))])
def test_bad_lines_cost_no_row(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    stream, control = f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"
    with (
        ServerThread(lambda: Server(tmp_path, stream, control)) as server,
        BadNetwork(stream, cut_after_bytes=(2_000, 60_000), seed=seed) as streams,
        BadNetwork(control, cut_after_bytes=(2_000, 600_000), seed=seed + 1) as controls,
    ):
        server.do(lambda s: s.begin("a"))
        networks, places = [streams, controls], (streams.endpoint, controls.endpoint)
        early = [JoinedClient(0, *places), JoinedAsyncClient(0, *places), JoinedAsyncClient(None, *places)]
        acquire(server, networks, chance)
        late = [JoinedClient(0, *places), JoinedClient(LATE, *places), JoinedAsyncClient(LATE, *places)]
        acquire(server, networks, chance)
        end(server, networks, [*early, *late])
        ended = [each.finish() for each in (*early, *late)]
        cuts = streams.cuts + controls.cuts
    table = read_results(live_path(tmp_path, "a")).table
    assert len(table) > LATE
    assert cuts > 5
    for each, told in zip((*early, *late), ended, strict=True):
        first = told.rows if each.first is None else each.first  # who begins with what comes now may come last
        assert first == (each.start or 0) or each.start is None
        assert np.concatenate(each.got or [table[:0]]).tobytes() == table[first:].tobytes()
        assert (told.rows, told.missing) == (len(table), 0)
        assert told.digest == file_digest(live_path(tmp_path, "a"), first)
        assert told.verified is (True if each.start == 0 else None)
