"""Clients of a real run: early, late, from the middle, pausing, with the publisher killed under them."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from locstream.localizations import Localizations
from locstream.results.reader import read_results
from locstream.stream import async_client
from locstream.stream.client import connect
from locstream.stream.digest import file_digest
from locstream.stream.joining import Ended
from locstream.stream.runtime import Connection
from spawned_run import SpawnedRun

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


@dataclass
class Joined:
    """What one client got."""

    start: int | None
    pause_s: float = 0.0
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
                time.sleep(self.pause_s)
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
                await asyncio.sleep(self.pause_s)
            self.missing, self.ended = client.missing, client.ended

    @property
    def rows(self) -> Localizations:
        return np.concatenate(self.got)


def kill_the_publisher(run: SpawnedRun) -> bool:
    for child in psutil.Process(run.process.pid).children():
        if "locstreamd.view.publisher_process" in child.cmdline():
            child.kill()
            return True
    return False


def join(clients: list[Joined], others: list[Joined], connection: Connection) -> list[threading.Thread]:
    """Follow with clients and with clients for asyncio, each in a thread of its own."""
    how = [*(client.follow for client in clients), *(client.follow_asynchronously for client in others)]
    threads = [threading.Thread(target=follow, args=(connection,)) for follow in how]
    for thread in threads:
        thread.start()
    return threads


def test_every_client_gets_every_row_once(tmp_path: Path) -> None:
    early, pausing, late, middle = Joined(0), Joined(0, pause_s=0.01), Joined(0), Joined(FIRST)
    early_async, pausing_async, late_async, middle_async = (
        Joined(0), Joined(0, pause_s=0.01), Joined(0), Joined(FIRST)
    )  # fmt: skip
    with SpawnedRun(tmp_path, SETTINGS) as run:
        threads = join([early, pausing], [early_async, pausing_async], run.connection())
        run.wait_for_frames(200)
        assert kill_the_publisher(run)
        run.wait_for_frames(400)
        threads += join([late, middle], [late_async, middle_async], run.connection())
        run.wait_for_frames(600)
        assert kill_the_publisher(run)
        frames = run.finish()["frames"]
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        table = read_results(run.files.results).table
        digest = file_digest(run.files.results)
    assert frames["acquired"] == frames["fitted"] == 900
    for client in (early, pausing, late, early_async, pausing_async, late_async):
        assert client.rows.tobytes() == table.tobytes()
        assert client.ended is not None
        assert client.ended.verified
        assert client.ended.digest == digest
        assert client.missing == 0
    for client in (middle, middle_async):
        assert client.rows.tobytes() == table[FIRST:].tobytes()
        assert client.missing == 0
