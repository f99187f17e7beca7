"""The server is killed in the middle, more than once: the client has every row of the file, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from locstream.results.layout import live_path
from locstream.results.reader import read_results
from locstream.stream.client import connect
from locstream.stream.digest import file_digest

pytestmark = pytest.mark.system
TESTS = Path(__file__).resolve().parents[1]
KILLS = 3


def test_killed_servers_cost_no_row(tmp_path: Path) -> None:
    stream, control = f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"
    command = [sys.executable, str(TESTS / "stream_server.py"), str(tmp_path), stream, control, "1500"]
    server = subprocess.Popen(command)
    kills = 0
    got = []
    try:
        with connect(stream, control=control, timeout_s=60) as client:
            for rows in client:
                got.append(rows)
                if kills < KILLS and sum(map(len, got)) > 5_000 * (kills + 1):
                    os.kill(server.pid, signal.SIGKILL)
                    server.wait()
                    server = subprocess.Popen(command)
                    kills += 1
            ended = client.ended
    finally:
        server.kill()
        server.wait()
    assert kills == KILLS
    path = live_path(tmp_path, "killed")
    assert np.concatenate(got).tobytes() == read_results(path).table.tobytes()
    assert ended is not None
    assert ended.verified
    assert ended.digest == file_digest(path)
