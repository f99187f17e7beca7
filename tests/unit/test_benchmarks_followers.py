"""The clients of the benchmarks note every frame of a run, and when its rows came."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import followers
from followers import Followers, follow_all

from locstream.errors import LocstreamError
from locstream.results.layout import live_path
from locstream.results.reader import read_results
from stream_server import Server, ServerThread


def test_every_client_has_every_frame_later_than_the_camera(tmp_path: Path) -> None:
    ends = f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"
    with ServerThread(lambda: Server(tmp_path, *ends)) as server:
        server.do(lambda s: s.begin("a"))
        server.do(lambda s: [s.commit() for _ in range(10)])
        with Followers(tmp_path, 12, [ends[0], "--control", ends[1]]) as following:
            assert len(following.processes) == 2
            following.wait_until_following()
            server.do(lambda s: [s.commit() for _ in range(10)])
            server.do(Server.end)
            noted = following.finish()
    results = read_results(live_path(tmp_path, "a"))
    frames = np.unique(results.table["frame"])
    assert len(noted) == 12
    for each in noted:
        assert each.good
        np.testing.assert_array_equal(np.sort(each.frames), frames)
        assert len(each.latencies_ms(results, 0)) == len(frames)
    late = noted[0].latencies_ms(results, 60)
    times = dict(zip(results.frames["frame"].tolist(), results.frames["time_s"].tolist(), strict=True))
    came = dict(zip(noted[0].frames.tolist(), noted[0].came_s.tolist(), strict=True))
    np.testing.assert_allclose(np.sort(late), np.sort([1e3 * (came[f] - times[f]) for f in frames if f >= 60]))


def test_nobody_follows_with_no_client(tmp_path: Path) -> None:
    with Followers(tmp_path, 0, ["ipc:///tmp/nobody"]) as following:
        following.wait_until_following()
        assert following.finish() == []


def told(stream: str, control: str) -> argparse.Namespace:
    return argparse.Namespace(clients=2, stream=stream, control=control, history=None, keys=None)


class Greeting(Server):
    """Counts whom it greets."""

    greeted = 0

    def _greet(self) -> None:
        self.greeted += 1
        super()._greet()


def test_an_acquisition_without_rows_is_followed_to_its_end(tmp_path: Path) -> None:
    ends = f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"

    async def followed(server: ServerThread) -> list[followers.Followed]:
        async with asyncio.timeout(120):
            following = asyncio.create_task(follow_all(told(*ends)))
            while await asyncio.to_thread(server.do, lambda s: s.greeted) < 3:  # at its beginning, and both of them
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.do, Server.end)
            return await following

    with ServerThread(lambda: Greeting(tmp_path, *ends)) as server:
        server.do(lambda s: s.begin("a"))
        noted = asyncio.run(followed(server))
    assert [len(each.frames) for each in noted] == [0, 0]


def test_where_nobody_publishes_they_give_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "PATIENCE_S", 0.5)
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(follow_all(told(f"ipc://{tmp_path}/nobody", f"ipc://{tmp_path}/nobody-either")))
    assert caught.group_contains(LocstreamError, match="nothing came from")
