"""A dispatcher by itself, and fit workers by hand: they say and answer what a test wants."""

from __future__ import annotations

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
from locstreamd.fit.backlog import Backlog
from locstreamd.fit.dispatch import Dispatcher, Settled
from locstreamd.fit.work import TO_WORKER, Done, Join, Ready, ToWorker, Work
from locstreamd.gatehouse import Gatehouse
from locstreamd.record.frame_index import FrameIndex

CALIBRATION = CameraCalibration(130.0, offset_adu=100.0)
PATIENCE_S = 60.0
QUIET_MS = 300
FRAME_BYTES = 8


def join(**said: object) -> Join:
    """Return how a worker of these sources introduces itself, but for what is said differently."""
    return Join(**{"pid": 1, "version": __version__, "kernels": sources_digest(), "lanes": 8, **said})


class FakeWorker:
    """A worker by hand."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, keys: ClientKeys | None = None) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.reconnect_ivl = -1
        if keys is not None:
            secure_client(self.socket, keys)
        self.socket.connect(endpoint)

    def join(self, credits_: int, most: int = 0, **said: object) -> None:
        """Introduce itself, and be ready at once."""
        self.socket.send_multipart(pack(join(**said)))
        self.socket.send_multipart(pack(Ready(credits=credits_, most=most, calibration=CALIBRATION.digest())))

    def hear(self) -> list[ToWorker]:
        """Return what has come, once nothing more does."""
        heard: list[ToWorker] = []
        while self.socket.poll(QUIET_MS):
            message, buffers = TO_WORKER.unpack(list(self.socket.recv_multipart()))
            assert not isinstance(message, Work) or [len(b) for b in buffers] == [FRAME_BYTES]
            heard.append(message)
        return heard

    def take(self) -> list[int]:
        """Return the indices of the frames that have come."""
        return [message.index for message in self.hear() if isinstance(message, Work)]

    def answer(self, index: int, rows: int = 1, number: int | None = None) -> None:
        """Send the result of a frame; frames are numbered by tens."""
        table = empty(rows)
        table["frame"] = 10 * index if number is None else number
        self.socket.send_multipart(pack(Done(index=index, rows=rows, fit_ms=0.1), table.tobytes()))


class Bench:
    """A dispatcher with frames waiting, and the workers of a test.

    Parameters
    ----------
    endpoint
        Where workers connect.
    frames
        How many wait.
    timeout_s, astigmatism, listen
        As of `Dispatcher`; where it listens on the network, it asks for keys.
    """

    def __init__(
        self,
        endpoint: str,
        frames: int,
        timeout_s: float = 30.0,
        astigmatism: AstigmatismCalibration | None = None,
        listen: str = "",
    ) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.gatehouse = Gatehouse(self.context)
        self.endpoint = endpoint
        self.found: list[Settled] = []
        index = FrameIndex()
        backlog = Backlog(10**9)
        for i in range(frames):
            index.add(10 * i, 0.0)
            backlog.push(np.full((2, 2), i, np.uint16))
        self.dispatcher = Dispatcher(
            endpoint,
            self.context,
            backlog,
            index,
            CALIBRATION,
            2,
            2,
            FitOptions(),
            timeout_s,
            astigmatism,
            self.gatehouse,
            listen,
        )
        self.workers: list[FakeWorker] = []

    def worker(self) -> FakeWorker:
        """Return somebody who has connected and said nothing."""
        self.workers.append(FakeWorker(self.context, self.endpoint))
        return self.workers[-1]

    def join(self, pid: int | None, credits_: int = 2, lanes: int = 8, instance: str = "", most: int = 0) -> FakeWorker:
        """Return a worker that is ready."""
        worker, before = self.worker(), self.joined
        worker.join(credits_, most, pid=pid, lanes=lanes, instance=instance)
        self.until(lambda: self.joined > before)
        return worker

    @property
    def joined(self) -> int:
        """How many workers have become ready so far."""
        return [kind for kind, _ in self.dispatcher.news].count("WorkerJoined")

    def until(self, condition: Callable[[], bool]) -> None:
        """Have the dispatcher work until something is so; what became of frames meanwhile is in `found`."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.dispatcher.news
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
        for worker in self.workers:
            worker.socket.close()
        self.gatehouse.close()
        self.context.term()
