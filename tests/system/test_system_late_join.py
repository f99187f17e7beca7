"""Clients of a real run: early, late, from the middle, resting for most of it, with the publisher killed under them."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from child_processes import PUBLISHER, children
from locstream.localizations import Localizations
from locstream.results.reader import read_results
from locstream.stream import async_client
from locstream.stream.client import connect
from locstream.stream.digest import file_digest
from locstream.stream.events import Ended
from locstream.stream.runtime import Connection
from spawned_run import SpawnedRun
from waiting import until

pytestmark = pytest.mark.system

SETTINGS = """
[simulation]
width = 128
height = 128
frames = 900
exposure_ms = 8.0
emitters_per_frame = 25
[workers]
count = 1
"""
FIRST = 500
"""Row from which one of the clients wants them."""
PATIENCE_S = 120.0


@dataclass
class Joined:
    """What one client got; one that rests reads no more after its first rows until it may go on."""

    start: int | None
    go_on: threading.Event | None = None
    got: list[Localizations] = field(default_factory=list)
    missing: int = -1
    ended: Ended | None = None

    def follow(self, connection: Connection) -> None:
        with connect(
            connection.stream,
            start=self.start,
            control=connection.control,
            history=connection.history,
            timeout_s=60,
        ) as client:
            for rows in client:
                self.got.append(rows)
                if self.go_on is not None:
                    assert self.go_on.wait(PATIENCE_S)
            self.missing, self.ended = client.missing, client.ended

    def follow_asynchronously(self, connection: Connection) -> None:
        asyncio.run(self._follow(connection))

    async def _follow(self, connection: Connection) -> None:
        async with async_client.connect(
            connection.stream,
            start=self.start,
            control=connection.control,
            history=connection.history,
            timeout_s=60,
        ) as client:
            async for rows in client:
                self.got.append(rows)
                if self.go_on is not None:
                    assert await asyncio.to_thread(self.go_on.wait, PATIENCE_S)
            self.missing, self.ended = client.missing, client.ended

    @property
    def rows(self) -> Localizations:
        return np.concatenate(self.got)


def kill_the_publisher(run: SpawnedRun) -> bool:
    found = children(PUBLISHER, run.process.pid)
    for publisher in found:
        publisher.kill()
    return bool(found)


def join(clients: list[Joined], others: list[Joined], connection: Connection) -> list[threading.Thread]:
    """Follow with clients and with clients for asyncio, each in a thread of its own."""
    how = [*(client.follow for client in clients), *(client.follow_asynchronously for client in others)]
    threads = [threading.Thread(target=follow, args=(connection,)) for follow in how]
    for thread in threads:
        thread.start()
    return threads


def test_every_client_gets_every_row_once(tmp_path: Path) -> None:
    go_on = threading.Event()
    early, resting, late, middle = Joined(0), Joined(0, go_on), Joined(0), Joined(FIRST)
    early_async, resting_async, late_async, middle_async = Joined(0), Joined(0, go_on), Joined(0), Joined(FIRST)
    with SpawnedRun(tmp_path, SETTINGS) as run:
        threads = join([early, resting], [early_async, resting_async], run.connection())
        run.wait_for_frames(200)
        until(lambda: resting.got and resting_async.got)
        assert kill_the_publisher(run)
        run.wait_for_frames(400)
        threads += join([late, middle], [late_async, middle_async], run.connection())
        run.wait_for_frames(600)
        assert kill_the_publisher(run)
        assert len(resting.got) == len(resting_async.got) == 1, "they have read nothing since"
        go_on.set()
        frames = run.finish()["frames"]
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        table = read_results(run.files.results).table
        digest = file_digest(run.files.results)
    assert frames["acquired"] == frames["fitted"] == 900
    for client in (early, resting, late, early_async, resting_async, late_async):
        assert client.rows.tobytes() == table.tobytes()
        assert client.ended is not None
        assert client.ended.verified
        assert client.ended.digest == digest
        assert client.missing == 0
    for client in (middle, middle_async):
        assert client.rows.tobytes() == table[FIRST:].tobytes()
        assert client.missing == 0
