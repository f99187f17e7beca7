"""A dispatcher by itself, and fit workers by hand: they say and answer what a test wants."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
import zmq

from locstream import __version__
from locstream.calibration import CameraCalibration
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.fitting import FitOptions
from locstream.kernel_cache import sources_digest
from locstream.localizations import empty
from locstream.stream.keys import ClientKeys, secure_client
from locstream.stream.wire import pack
from locstreamd.fit.answers import Settled
from locstreamd.fit.backlog import Backlog
from locstreamd.fit.dispatch import Dispatcher
from locstreamd.fit.task import Task
from locstreamd.fit.work import TO_WORKER, Done, Join, Ready, ToWorker, Work
from locstreamd.fit.work_socket import WorkSocket
from locstreamd.gatehouse import Gatehouse
from locstreamd.record.frame_index import FrameIndex

CALIBRATION = CameraCalibration(130.0, offset_adu=100.0)
PATIENCE_S = 60.0
FRAME_BYTES = 8
SO_FAR = b"so far"
"""Sent behind all that the dispatcher has said: what comes before it is that, and nothing is waited for in vain."""

_numbers = itertools.count()


def join(**said: object) -> Join:
    """Return how a worker of these sources introduces itself, but for what is said differently."""
    return Join(**{"pid": 1, "version": __version__, "kernels": sources_digest(), "lanes": 8, **said})


class FakeWorker:
    """A worker by hand, at a connection of its own."""

    def __init__(self, work: WorkSocket, endpoint: str, keys: ClientKeys | None = None) -> None:
        self._post = work.post
        self._identity = b"worker %d" % next(_numbers)
        self.socket = work.socket.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.reconnect_ivl = -1
        self.socket.setsockopt(zmq.IDENTITY, self._identity)
        if keys is not None:
            secure_client(self.socket, keys)
        self.socket.connect(endpoint)

    def say(self, *parts: bytes | memoryview) -> None:
        """Send a message."""
        self.socket.send_multipart(parts)

    def join(self, credits_: int, most: int = 0, **said: object) -> None:
        """Introduce itself, and be ready at once."""
        self.say(*pack(join(**said)))
        self.say(*pack(Ready(credits=credits_, most=most, calibration=CALIBRATION.digest())))

    def hear(self) -> list[ToWorker]:
        """Return what the dispatcher has said so far; nothing where it has not heard of this connection."""
        heard: list[ToWorker] = []
        if not self._post(self._identity, [SO_FAR]):
            return heard
        while (parts := self._received()) != [SO_FAR]:
            message, buffers = TO_WORKER.unpack(parts)
            assert not isinstance(message, Work) or [len(b) for b in buffers] == [FRAME_BYTES]
            heard.append(message)
        return heard

    def _received(self) -> list[bytes]:
        assert self.socket.poll(1_000 * PATIENCE_S), "the connection is lost"
        return list(self.socket.recv_multipart())

    def take(self) -> list[int]:
        """Return the indices of the frames that have come."""
        return [message.index for message in self.hear() if isinstance(message, Work)]

    def answer(self, index: int, rows: int = 1, number: int | None = None) -> None:
        """Send the result of a frame; frames are numbered by tens."""
        table = empty(rows)
        table["frame"] = 10 * index if number is None else number
        self.say(*pack(Done(index=index, rows=rows, fit_ms=0.1), table.tobytes()))


class Bench:
    """A dispatcher with frames waiting, and the workers of a test.

    Parameters
    ----------
    endpoint
        Where workers connect.
    frames
        How many wait.
    timeout_s
        As of `Dispatcher`.
    astigmatism
        As of `Task`.
    listen
        As of `WorkSocket`; there it asks for keys.
    """

    def __init__(
        self,
        endpoint: str,
        frames: int,
        timeout_s: float = 30.0,
        astigmatism: AstigmatismCalibration | None = None,
        listen: str = "",
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.gatehouse = Gatehouse(self._context)
        self.found: list[Settled] = []
        index = FrameIndex()
        backlog = Backlog(10**9)
        for i in range(frames):
            index.add(10 * i, 0.0)
            backlog.push(np.full((2, 2), i, np.uint16))
        work = WorkSocket(self._context, endpoint, self.gatehouse, listen)
        task = Task(CALIBRATION, 2, 2, FitOptions(), astigmatism)
        self.dispatcher = Dispatcher(work, backlog, index, task, timeout_s)
        self._work = work
        self._endpoint = endpoint
        self._workers: list[FakeWorker] = []
        self._news: list[tuple[str, str]] = []

    @property
    def news(self) -> list[tuple[str, str]]:
        """What has happened to workers, kind and sentence."""
        self._news += self.dispatcher.crew.take_news()
        return self._news

    def worker(self, endpoint: str = "", keys: ClientKeys | None = None) -> FakeWorker:
        """Return somebody who has connected and said nothing."""
        self._workers.append(FakeWorker(self._work, endpoint or self._endpoint, keys))
        return self._workers[-1]

    def join(self, pid: int | None, credits_: int = 2, lanes: int = 8, instance: str = "", most: int = 0) -> FakeWorker:
        """Return a worker that is ready."""
        worker, before = self.worker(), self.joined
        worker.join(credits_, most, pid=pid, lanes=lanes, instance=instance)
        self.until(lambda: self.joined > before)
        return worker

    @property
    def joined(self) -> int:
        """How many workers have become ready so far."""
        return [kind for kind, _ in self.news].count("WorkerJoined")

    def until(self, condition: Callable[[], bool]) -> None:
        """Have the dispatcher work until something is so; what became of frames meanwhile is in `found`."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.news
            self.dispatcher.socket.poll(10)
            self.found += self.dispatcher.receive()
            self.gatehouse.tend()

    def results(self, n: int) -> list[Settled]:
        """Return what becomes of so many frames."""
        self.until(lambda: len(self.found) >= n)
        found, self.found = self.found, []
        return found

    def close(self) -> None:
        """Close everything."""
        self.dispatcher.close()
        for worker in self._workers:
            worker.socket.close()
        self.gatehouse.close()
        self._context.term()
