"""Hands frames to workers by credit and takes their rows; a dead worker's frames go to another."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import zmq

from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import CameraCalibration
from locstream.errors import LocstreamError, MessageError
from locstream.fitting import FitOptions
from locstream.fitting.residuals import Residuals
from locstream.localizations import Localizations
from locstream.results.frames import FrameOutcome
from locstream.stacks.source import Image
from locstream.stream.gate import heard
from locstream.stream.wire import Buffer, pack
from locstreamd.fit.answers import Answers
from locstreamd.fit.backlog import Backlog
from locstreamd.fit.member import Member
from locstreamd.fit.roster import ATTEMPTS, Roster
from locstreamd.fit.work import (
    FROM_WORKER,
    Beat,
    Done,
    FromWorker,
    Goodbye,
    Join,
    Leave,
    Ready,
    Refused,
    Rejoin,
    Work,
    refusal,
    setup_message,
)
from locstreamd.gatehouse import Gatehouse
from locstreamd.record.frame_index import FrameIndex

log = logging.getLogger("locstream")

WINDOW = 256
"""Frames that may be out or back ahead of the oldest one that is not settled: bounds what is held."""

UNDER_WAY_BYTES = 256_000_000
"""Pixels that may be with workers before those with a long way to go get no more than the others."""

BEAT_S = 1.0
"""How often a worker that somebody else started hears that the acquisition is there."""

MAX_MESSAGE_BYTES = 64_000_000


@dataclass(frozen=True)
class Settled:
    """What became of one frame."""

    index: int
    outcome: FrameOutcome
    rows: Localizations
    reason: str = ""
    residuals: Residuals | None = None
    """What its molecules leave unexplained, of one frame in some."""


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
    gatehouse
        Says who may work; None where workers of this computer alone can connect.
    listen
        Where workers with a key connect from other computers; "" for nowhere.

    Raises
    ------
    LocstreamError
        The address for other computers cannot be bound, or this one has no key.

    Attributes
    ----------
    rejected
        Messages that could not be decoded.
    last_refusal
        Why a worker was refused, or refused to work, last; "" where none did.
    fit_s
        Time the workers have spent fitting, all together, s.
    news
        Events about workers, kind and sentence, until somebody takes them away.
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
        gatehouse: Gatehouse | None = None,
        listen: str = "",
    ) -> None:
        self.rejected = 0
        self.last_refusal = ""
        self.news: list[tuple[str, str]] = []
        self.fit_s = 0.0
        self._failed: list[Settled] = []
        self._backlog = backlog
        self._index = index
        self._answers = Answers(
            index, calibration.pixel_size_nm, height, width, options.box_px, depth=astigmatism is not None
        )
        self._roster = Roster(UNDER_WAY_BYTES // (2 * height * width))
        setup, maps = setup_message(calibration, height, width, options, astigmatism)
        self._calibration = setup.calibration
        self._setup = pack(setup, *maps)
        self._timeout_s = timeout_s
        self._gatehouse = gatehouse
        self._beat_at = 0.0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 1_000
        self.socket.router_mandatory = True
        self.socket.sndhwm = 0  # bounded by credits
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self.socket.bind(endpoint)
        if gatehouse is not None and listen:
            try:
                gatehouse.listen(self.socket, "work", listen)
            except LocstreamError:
                self.socket.close()  # its context waits for it
                raise

    @property
    def workers(self) -> int:
        """Workers that are ready: set up, with their kernels compiled."""
        return len(self._roster.ready)

    @property
    def joining(self) -> int:
        """Workers that are not ready yet."""
        return len(self._roster.members) - self.workers

    @property
    def own_workers(self) -> int:
        """Those among them that the acquisition has started itself."""
        return sum(worker.pid is not None for worker in self._roster.ready)

    @property
    def lanes(self) -> int:
        """Molecules that the narrowest of the workers that are ready fits side by side; 0 where none is."""
        return min((worker.lanes for worker in self._roster.ready), default=0)

    @property
    def credits(self) -> int:
        """Frames that the workers may hold, all together."""
        return self._roster.credits

    @property
    def outstanding(self) -> int:
        """Frames that are with a worker or must be given out again."""
        return self._roster.outstanding

    @property
    def unusable(self) -> int:
        """Rows that were left out because no results file may hold them."""
        return self._answers.unusable

    def send(self, settled_up_to: int) -> None:
        """Give out frames while somebody has credit.

        Parameters
        ----------
        settled_up_to
            Index of the oldest frame that is not settled; frames further ahead than `WINDOW` wait.
        """
        while (identity := self._roster.free()) is not None:
            if (following := self._roster.again()) is None:
                if self._backlog.next_index >= settled_up_to + WINDOW:
                    return
                following = self._backlog.pop()
            if following is None:
                return
            self._give(identity, *following)

    def receive(self) -> list[Settled]:
        """Take what the workers have sent, and look after those that somebody else has started."""
        settled = []
        for user, (first, *frames) in heard(self.socket):
            identity = first.bytes
            if not self._may_work(identity, user):
                continue
            try:
                message, buffers = FROM_WORKER.unpack([frame.buffer for frame in frames])
                if (found := self._understand(identity, user, message, buffers)) is not None:
                    settled.append(found)
            except MessageError as error:
                self.rejected += 1
                if identity not in self._roster.members:
                    self._turn_away(identity, str(error))
        self._look_after_others()
        failed, self._failed = self._failed, []
        return settled + failed

    def bury(self, pids: Sequence[int]) -> list[Settled]:
        """Take the frames of workers of ours back that have died or hang; return those on which too many have died."""
        for identity in self._roster.of_pids(pids):
            self._lose(identity, "has died")
        failed, self._failed = self._failed, []
        return failed

    def hung(self) -> list[int]:
        """Return the process ids of workers of ours that have held a frame for longer than the time-out."""
        oldest = time.monotonic() - self._timeout_s
        return [w.pid for w in self._roster.members.values() if w.pid is not None and w.hangs(oldest)]

    def close(self) -> None:
        """Send the workers home. Safe to call twice."""
        if self.socket.closed:
            return
        for identity in self._roster.members:
            self._post(identity, pack(Leave()))
        if self._gatehouse is not None:
            self._gatehouse.release(self.socket)
        self.socket.close()

    def _may_work(self, identity: bytes, user: str | None) -> bool:
        """Return whether the sender of a message is admitted still; the answer to one who is not says so."""
        if self._gatehouse is None or not (why_not := self._gatehouse.why_not(user, "work")):
            return True
        self._gatehouse.count("work", "request", user or "")
        if identity in self._roster.members:
            self._lose(identity, "is admitted no longer")
        self._turn_away(identity, why_not)
        return False

    def _understand(
        self, identity: bytes, user: str | None, message: FromWorker, buffers: list[Buffer]
    ) -> Settled | None:
        """Do what a message asks for; return what has become of a frame, if it says so."""
        if isinstance(message, Join):
            self._welcome(identity, user, message)
            return None
        if (worker := self._roster.members.get(identity)) is None:
            self._post(identity, pack(Rejoin()))
            return None
        match message:
            case Ready():
                self._open_account(identity, worker, message)
            case Done():
                return self._done(worker, message, buffers)
            case Refused(index=int() as index):
                return self._failure(index, message.reason) if self._roster.settle(worker, index, 0.0) else None
            case Refused():
                self.last_refusal = f"a fit worker cannot work: {message.reason}"
                self._lose(identity, f"cannot work: {message.reason}", blame=False)
            case Goodbye():
                self._lose(identity, "has left", blame=False)
        return None

    def _welcome(self, identity: bytes, user: str | None, join: Join) -> None:
        if reason := refusal(join):
            self._turn_away(identity, reason)
            return
        for before in self._roster.connections_of(join.instance):
            self._lose(before, "has connected anew", blame=False)
        if self._post(identity, self._setup):
            self._roster.add(identity, join, user)

    def _open_account(self, identity: bytes, worker: Member, ready: Ready) -> None:
        if worker.credits:
            return
        if ready.calibration != self._calibration:
            self._lose(identity, "has another calibration of the camera", blame=False)
            self._turn_away(
                identity,
                f"it fits with the camera calibration {ready.calibration[:12]}, the acquisition has "
                f"{self._calibration[:12]}",
            )
            return
        worker.credits, worker.most = ready.credits, min(ready.most, WINDOW)
        self._tell("WorkerJoined", f"{worker.name} joined: {worker.vectors}")

    def _done(self, worker: Member, done: Done, buffers: list[Buffer]) -> Settled | None:
        if done.index not in worker.holds:
            return None  # it comes twice, or is another's by now: whose it is will answer, too
        rows = self._answers.rows(done, buffers)
        residuals = self._answers.residuals(done, buffers)
        self._roster.settle(worker, done.index, done.fit_ms / 1000)
        self.fit_s += done.fit_ms / 1000
        return Settled(done.index, FrameOutcome.FITTED, rows, residuals=residuals)

    def _look_after_others(self) -> None:
        """Send workers that others started a sign of life: where that cannot be sent, the worker is gone."""
        now = time.monotonic()
        if now - self._beat_at < BEAT_S:
            return
        self._beat_at = now
        gone = set() if self._gatehouse is None else self._gatehouse.take_gone("work")
        all_heard = not self.socket.poll(0)  # an answer that waits here is no silence
        for identity, worker in list(self._roster.members.items()):
            if worker.pid is not None:
                continue
            if worker.user in gone:
                self._lose(identity, "is admitted no longer", blame=False)
            elif not self._post(identity, pack(Beat())):
                self._lose(identity, "is gone")
            elif all_heard and worker.hangs(now - self._timeout_s):
                self._lose(identity, f"has not answered for {self._timeout_s:g} s")

    def _lose(self, identity: bytes, why: str, *, blame: bool = True) -> None:
        """Take the frames of a worker back, and say so where it was not ours."""
        worker, failed = self._roster.lose(identity, blame=blame)
        if failed is not None:
            self._failed.append(self._failure(failed, f"{ATTEMPTS} workers died while fitting it"))
        if worker.pid is None:
            frames = f"; the frames that it held ({len(worker.holds)}) go to others" if worker.holds else ""
            self._tell("WorkerLost", f"{worker.name} {why}{frames}")

    def _turn_away(self, identity: bytes, reason: str) -> None:
        text = f"a fit worker was turned away: {reason}"
        if text != self.last_refusal:  # it will try again and again
            self.last_refusal = text
            self._tell("WorkerRefused", text)
        self._post(identity, pack(Leave(reason=reason)))

    def _tell(self, kind: str, text: str) -> None:
        log.info("%s", text)
        self.news.append((kind, text))

    def _give(self, identity: bytes, index: int, image: Image) -> None:
        header = pack(Work(index=index, number=self._index.number(index)))
        if self._post(identity, [*header, image.data]):
            self._roster.give(identity, index, image)
        else:
            self._roster.put_back(index, image)
            self._lose(identity, "is gone")

    def _post(self, identity: bytes, parts: Sequence[Buffer]) -> bool:
        """Send to one worker; False where it is gone."""
        try:
            self.socket.send_multipart([identity, *parts], copy=False)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def _failure(self, index: int, reason: str) -> Settled:
        return Settled(index, FrameOutcome.FAILED, self._answers.none(), reason)
