"""The clients of the benchmarks note every frame of a run, and when its rows came."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from followers import Followers

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
