"""A program that pauses while the publisher dies goes on: libzmq's heartbeats would abort it (issue 4767)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

FLOOD = """
import sys
import zmq
from locstream.stream.messages import Batch, Hello
from locstream.stream.wire import pack
socket = zmq.Context().socket(zmq.XPUB)
socket.sndhwm = 10
socket.bind(sys.argv[1])
socket.recv()
hello = Hello(acquisition="a", seq=0, name="n", software="s", width=1, height=1, pixel_size_nm=1.0, started_s=0.0)
socket.send_multipart([b"hello", *pack(hello)])
seq = 0
while True:
    batch = Batch(acquisition="a", seq=seq, frame_first=seq, frame_last=seq, row_first=50 * seq, rows=50)
    socket.send_multipart([b"localizations", *pack(batch, bytes(3_000))])
    seq += 1
"""
PROGRAM = """
import sys
from locstream.stream.client import connect
rows = iter(connect(sys.argv[1], start=None, timeout_s=60))
next(rows)
print("reading", flush=True)
sys.stdin.readline()
for _ in range(50):
    next(rows)
print("still here", flush=True)
"""


def test_a_paused_program_survives_the_publisher(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/s"
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, endpoint])
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "reading\n"
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(1.5)  # its queue fills
        flood.kill()
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(2.5)  # a heartbeat would be due
        out, err = program.communicate("go on\n", timeout=30)
    finally:
        for process in (flood, program):
            process.kill()
            process.wait()
    assert (program.returncode, out, err) == (0, "still here\n", "")
