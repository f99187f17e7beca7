"""What watchers can do to an acquisition, from carelessness or on purpose. None of it may reach the record."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import zmq

from spawned_run import LOCSTREAM, SpawnedRun

SUBSCRIBERS = 5
PAUSE_S = 0.005
STEP = 50
"""Messages between two pauses: as many a second as a client written in Python can send."""

Disturbance = Callable[[SpawnedRun, float], None]
"""Disturbs a run until it ends; the number scales how much is done."""


def _sub(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, room: int) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    socket.rcvhwm = room
    socket.subscribe(b"")
    socket.connect(endpoint)
    return socket


def never_reading(run: SpawnedRun, scale: float) -> None:
    """Five subscribers take everything and read nothing."""
    with zmq.Context() as context, ExitStack() as stack:
        for _ in range(SUBSCRIBERS):
            stack.enter_context(_sub(context, run.connection().stream, room=1))
        run.process.wait()


def stopped_viewer(run: SpawnedRun, scale: float) -> None:
    """A program that watches is stopped (SIGSTOP) while it reads."""
    watching = subprocess.Popen(
        [LOCSTREAM, "tail", run.connection().stream], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGSTOP)
    try:
        run.process.wait()
    finally:
        watching.kill()
        watching.communicate()


def reconnecting(run: SpawnedRun, scale: float) -> None:
    """A thousand clients come, subscribe, are greeted, and go."""
    endpoint = run.connection().stream
    with zmq.Context() as context:
        for _ in range(round(1_000 * scale)):
            with _sub(context, endpoint, room=10) as socket:
                if not socket.poll(5_000):
                    raise AssertionError(f"nobody greets: {run.printed}")
            time.sleep(PAUSE_S)


def malformed(run: SpawnedRun, scale: float) -> None:
    """A hundred thousand messages on each socket that mean nothing."""
    count = round(100_000 * scale)
    with zmq.Context() as context, ExitStack() as stack:
        connection = run.connection()
        sockets = [
            stack.enter_context(_nonsense(context, zmq.DEALER, connection.control)),
            stack.enter_context(_nonsense(context, zmq.DEALER, run.work_endpoint())),
            stack.enter_context(_nonsense(context, zmq.XSUB, connection.stream)),
        ]
        words = nonsense(1)
        for _ in range(0, count, STEP):
            if run.process.poll() is not None:
                raise AssertionError("the run ended before the last message was sent")
            for socket in sockets:
                for _ in range(STEP):
                    socket.send_multipart(next(words))


@contextmanager
def _nonsense(context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    """Give a socket that waits where the other side is slower, and loses nothing at its end."""
    with context.socket(kind) as socket:
        socket.linger = 10_000
        socket.sndtimeo = 60_000
        socket.connect(endpoint)
        yield socket


def nonsense(seed: int) -> Iterator[list[bytes]]:
    """Yield messages of random parts without end."""
    chance = random.Random(seed)
    while True:
        yield [chance.randbytes(chance.randrange(1, 60)) for _ in range(chance.randrange(1, 4))]


DISTURBANCES: dict[str, Disturbance] = {
    "5 subscribers that never read": never_reading,
    "a viewer that is stopped": stopped_viewer,
    "1,000 clients that come and go": reconnecting,
    "100,000 malformed messages on each socket": malformed,
}
