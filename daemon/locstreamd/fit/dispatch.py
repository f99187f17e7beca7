"""Hands frames to workers by credit and takes their rows; a dead worker's frames go to another."""

from __future__ import annotations

import heapq
import logging
import time
from dataclasses import dataclass, field

import numpy as np
import zmq

from locstream import __version__
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import CameraCalibration
from locstream.errors import MessageError
from locstream.fitting import FitOptions
from locstream.fitting.residuals import Residuals
from locstream.formats.picasso import storable
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.results.frames import FrameOutcome
from locstream.stacks.source import Image
from locstream.stream.arrivals import arrived
from locstream.stream.wire import pack
from locstreamd.fit.backlog import Backlog
from locstreamd.fit.work import FROM_WORKER, Done, Join, Leave, Ready, Refused, Work, setup_message
from locstreamd.record.frame_index import FrameIndex

log = logging.getLogger("locstream")

ATTEMPTS = 3
"""A frame on which so many workers died is marked failed, and the run goes on."""

WINDOW = 256
"""Frames that may be out or back ahead of the oldest one that is not settled: bounds what is held."""


@dataclass(frozen=True)
class Settled:
    """What became of one frame."""

    index: int
    outcome: FrameOutcome
    rows: Localizations
    reason: str = ""
    residuals: Residuals | None = None
    """What its molecules leave unexplained, of one frame in some."""


@dataclass
class _Worker:
    """A worker that has joined, and the frames it holds; its credits come when it is ready."""

    pid: int
    lanes: int
    vectors: str
    number: int
    credits: int = 0
    holds: dict[int, tuple[Image, float]] = field(default_factory=dict)


class Dispatcher:
    """The work socket: ROUTER here, one DEALER in each worker.

    Parameters
    ----------
    endpoint
        Where workers connect.
    context
        The context of the acquisition.
    backlog
        Frames to be fitted, in order.
    index
        Frame numbers by index.
    calibration, height, width, options
        What every worker is set up with.
    timeout_s
        A worker that holds a frame for longer counts as hung.
    astigmatism
        Has the workers give every row its depth; None for rows without.

    Attributes
    ----------
    rejected
        Messages that could not be decoded.
    unusable
        Rows that were left out because no results file may hold them.
    last_refusal
        Why a worker was refused, or refused to work, last; "" where none did.
    fit_s
        Time the workers have spent fitting, all together, s.
    joined
        Sentences about workers that have become ready, until somebody takes them away.
    """

    def __init__(
        self,
        endpoint: str,
        context: zmq.Context[zmq.Socket[bytes]],
        backlog: Backlog,
        index: FrameIndex,
        calibration: CameraCalibration,
        height: int,
        width: int,
        options: FitOptions,
        timeout_s: float,
        astigmatism: AstigmatismCalibration | None = None,
    ) -> None:
        self.rejected = 0
        self.unusable = 0
        self.last_refusal = ""
        self.joined: list[str] = []
        self._failed: list[Settled] = []
        self.fit_s = 0.0
        self._pixel_size_nm = calibration.pixel_size_nm
        self._shape = (height, width)
        self._dtype = LOCALIZATION if astigmatism is None else LOCALIZATION_3D
        self._box = options.box_px
        self._backlog = backlog
        self._index = index
        setup, maps = setup_message(calibration, height, width, options, astigmatism)
        self._setup = pack(setup, *maps)
        self._timeout_s = timeout_s
        self._workers: dict[bytes, _Worker] = {}
        self._joined = 0
        self._again: list[tuple[int, Image]] = []
        self._attempts: dict[int, int] = {}
        self._out: set[int] = set()
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 1_000
        self.socket.router_mandatory = True
        self.socket.sndhwm = 0  # bounded by credits
        self.socket.bind(endpoint)

    @property
    def workers(self) -> int:
        """Workers that are ready: set up, with their kernels compiled."""
        return sum(worker.credits > 0 for worker in self._workers.values())

    @property
    def lanes(self) -> int:
        """Molecules that the narrowest of the workers that are ready fits side by side; 0 where none is."""
        return min((worker.lanes for worker in self._workers.values() if worker.credits), default=0)

    @property
    def credits(self) -> int:
        """Frames that the workers may hold, all together."""
        return sum(worker.credits for worker in self._workers.values())

    @property
    def outstanding(self) -> int:
        """Frames that are with a worker or must be given out again."""
        return len(self._out) + len(self._again)

    def send(self, settled_up_to: int) -> None:
        """Give out frames while somebody has credit.

        Parameters
        ----------
        settled_up_to
            Index of the oldest frame that is not settled; frames further ahead than `WINDOW` wait.
        """
        while free := [(len(w.holds), identity) for identity, w in self._workers.items() if len(w.holds) < w.credits]:
            if self._again:
                index, image = heapq.heappop(self._again)
            else:
                if self._backlog.next_index >= settled_up_to + WINDOW or (popped := self._backlog.pop()) is None:
                    return
                index, image = popped
            self._give(min(free)[1], index, image)

    def receive(self) -> list[Settled]:
        """Take what the workers have sent."""
        settled = []
        for identity, *parts in arrived(self.socket):
            try:
                message, buffers = FROM_WORKER.unpack(parts)
                match message:
                    case Join():
                        self._welcome(identity, message)
                    case Ready():
                        self._open_account(identity, message)
                    case Done():
                        rows = self._usable(self._rows(message, buffers))
                        residuals = self._residuals(message, buffers)
                        if self._take_back(identity, message.index):
                            self.fit_s += message.fit_ms / 1000
                            settled.append(Settled(message.index, FrameOutcome.FITTED, rows, residuals=residuals))
                    case Refused(index=int() as index):
                        if self._take_back(identity, index):
                            settled.append(self._failure(index, message.reason))
                    case Refused():
                        self.last_refusal = f"a fit worker cannot work: {message.reason}"
            except MessageError:
                self.rejected += 1
        failed, self._failed = self._failed, []
        return settled + failed

    def bury(self, pids: list[int]) -> list[Settled]:
        """Take the frames of dead or hung workers back; return those on which too many have died."""
        failed = []
        for identity, worker in list(self._workers.items()):
            if worker.pid not in pids:
                continue
            del self._workers[identity]
            for index, (image, _) in worker.holds.items():
                self._out.discard(index)
                self._attempts[index] = self._attempts.get(index, 0) + 1
                if self._attempts[index] < ATTEMPTS:
                    heapq.heappush(self._again, (index, image))
                else:
                    del self._attempts[index]
                    failed.append(self._failure(index, f"{ATTEMPTS} workers died while fitting it"))
        return failed

    def hung(self) -> list[int]:
        """Return the process ids of workers that have held a frame for longer than the time-out."""
        oldest = time.monotonic() - self._timeout_s
        return [w.pid for w in self._workers.values() if any(given < oldest for _, given in w.holds.values())]

    def close(self) -> None:
        """Send the workers home. Safe to call twice."""
        if self.socket.closed:
            return
        for identity in list(self._workers):
            self._post(identity, pack(Leave()))
        self.socket.close()

    def _welcome(self, identity: bytes, join: Join) -> None:
        if join.version != __version__:
            self.last_refusal = (
                f"a fit worker of version {join.version} wanted to join an acquisition of version {__version__}; "
                "install the same version on both sides"
            )
            self._post(identity, pack(Leave()))
            return
        if self._post(identity, self._setup):
            self._joined += 1
            self._workers[identity] = _Worker(join.pid, join.lanes, join.vectors, self._joined)

    def _open_account(self, identity: bytes, ready: Ready) -> None:
        if (worker := self._workers.get(identity)) is not None:
            worker.credits = ready.credits
            text = f"worker {worker.number} joined: {worker.vectors}"
            log.info("%s", text)
            self.joined.append(text)

    def _give(self, identity: bytes, index: int, image: Image) -> None:
        header = pack(Work(index=index, number=self._index.number(index)))
        if self._post(identity, [*header, image.data]):
            self._workers[identity].holds[index] = (image, time.monotonic())
            self._out.add(index)
        else:
            heapq.heappush(self._again, (index, image))
            self._failed += self.bury([self._workers[identity].pid])

    def _post(self, identity: bytes, parts: list[bytes | memoryview]) -> bool:
        """Send to one worker; False where it is gone."""
        try:
            self.socket.send_multipart([identity, *parts], copy=False)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def _rows(self, done: Done, buffers: list[bytes | memoryview]) -> Localizations:
        """Return the rows of a frame that was given out. Raises `MessageError` for what cannot be those."""
        if done.index not in self._out:
            raise MessageError(f"frame index {done.index} is with no worker")
        if not buffers or len(buffers[0]) != done.rows * self._dtype.itemsize:
            raise MessageError(f"frame index {done.index}: the announced {done.rows} rows are not what came")
        rows = np.frombuffer(buffers[0], self._dtype)
        number = self._index.number(done.index)
        if np.any(rows["frame"] != number):
            raise MessageError(f"frame index {done.index}: rows of another frame than {number}")
        return rows

    def _residuals(self, done: Done, buffers: list[bytes | memoryview]) -> Residuals | None:
        """Return what a frame's molecules leave unexplained, if it was looked at."""
        if not done.residual_spots:
            return None
        if len(buffers) != 2 or len(buffers[1]) != 4 * self._box**2:
            raise MessageError(f"frame index {done.index}: the residuals are not those of a box of {self._box} px")
        total = np.frombuffer(buffers[1], "<f4").reshape(self._box, self._box)
        return Residuals(total, done.residual_spots) if np.isfinite(total).all() else None

    def _failure(self, index: int, reason: str) -> Settled:
        return Settled(index, FrameOutcome.FAILED, empty(0, self._dtype), reason)

    def _usable(self, rows: Localizations) -> Localizations:
        """Leave out and count rows that no results file may hold; a worker of ours never sends one."""
        usable = storable(rows, self._pixel_size_nm, *self._shape)
        self.unusable += int(np.count_nonzero(~usable))
        return rows if usable.all() else rows[usable]

    def _take_back(self, identity: bytes, index: int) -> bool:
        """Note that a worker has finished a frame; False where the frame was another's by then."""
        worker = self._workers.get(identity)
        if worker is None or worker.holds.pop(index, None) is None:
            return False
        self._out.discard(index)
        self._attempts.pop(index, None)
        return True
