"""Hands frames to workers by credit and takes their rows; a dead worker's frames go to another."""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from locstream.errors import MessageError
from locstream.stacks.source import Image
from locstream.stream.wire import Buffer, pack
from locstreamd.fit.answers import Answers, Settled
from locstreamd.fit.backlog import Backlog
from locstreamd.fit.crew import Crew
from locstreamd.fit.member import Member
from locstreamd.fit.roster import ATTEMPTS, UNDER_WAY_BYTES, WINDOW, Roster
from locstreamd.fit.task import Task
from locstreamd.fit.work import FROM_WORKER, Done, FromWorker, Goodbye, Join, Ready, Refused, Rejoin, Work
from locstreamd.fit.work_socket import WorkSocket
from locstreamd.record.frame_index import FrameIndex


class Dispatcher:
    """Every frame is with one worker, waits, or is settled; each once.

    Parameters
    ----------
    work
        Where workers connect.
    backlog
        Frames to be fitted, in order.
    index
        Frame numbers by index.
    task
        What every worker is set up with.
    timeout_s
        A worker that holds a frame for longer counts as hung.

    Attributes
    ----------
    crew
        The workers.
    rejected
        Messages that could not be decoded.
    fit_s
        Time the workers have spent fitting, all together, s.
    """

    def __init__(self, work: WorkSocket, backlog: Backlog, index: FrameIndex, task: Task, timeout_s: float) -> None:
        self.rejected = 0
        self.fit_s = 0.0
        self._work = work
        self._backlog = backlog
        self._index = index
        self._answers = Answers(index, task)
        self._roster = Roster(UNDER_WAY_BYTES // task.frame_bytes)
        self.crew = Crew(work, self._roster, task, timeout_s)

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """Readable where a worker has sent something."""
        return self._work.socket

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
        for identity, user, parts in self._work.heard():
            if not self.crew.may_work(identity, user):
                continue
            try:
                message, buffers = FROM_WORKER.unpack(parts)
                if (found := self._understand(identity, user, message, buffers)) is not None:
                    settled.append(found)
            except MessageError as error:
                self.rejected += 1
                if identity not in self._roster.members:
                    self.crew.turn_away(identity, str(error))
        self.crew.look_after_others()
        return settled + self._given_up()

    def bury(self, pids: Sequence[int]) -> list[Settled]:
        """Take the frames of workers of ours back that have died or hang; return those on which too many have died."""
        for identity in self._roster.of_pids(pids):
            self.crew.lose(identity, "has died")
        return self._given_up()

    def close(self) -> None:
        """Send the workers home. Safe to call twice."""
        if not self.socket.closed:
            self.crew.send_home()
            self._work.close()

    def _understand(
        self, identity: bytes, user: str | None, message: FromWorker, buffers: list[Buffer]
    ) -> Settled | None:
        """Do what a message asks for; return what has become of a frame, if it says so."""
        if isinstance(message, Join):
            self.crew.welcome(identity, user, message)
            return None
        if (worker := self._roster.members.get(identity)) is None:
            self._work.post(identity, pack(Rejoin()))
            return None
        match message:
            case Ready():
                self.crew.open_account(identity, worker, message)
            case Done():
                return self._done(worker, message, buffers)
            case Refused(index=int() as index):
                settled = self._roster.settle(worker, index, None)
                return self._answers.failed(index, message.reason) if settled else None
            case Refused():
                self.crew.dismiss(identity, message.reason)
            case Goodbye():
                self.crew.lose(identity, "has left", blame=False)
        return None

    def _done(self, worker: Member, done: Done, buffers: list[Buffer]) -> Settled | None:
        if done.index not in worker.holds:
            return None  # it comes twice, or is another's by now: whose it is will answer, too
        settled = self._answers.fitted(done, buffers)
        self._roster.settle(worker, done.index, done.fit_ms / 1000)
        self.fit_s += done.fit_ms / 1000
        return settled

    def _give(self, identity: bytes, index: int, image: Image) -> None:
        header = pack(Work(index=index, number=self._index.number(index)))
        if self._work.post(identity, [*header, image.data]):
            self._roster.give(identity, index, image)
        else:
            self._roster.put_back(index, image)
            self.crew.lose(identity, "is gone")

    def _given_up(self) -> list[Settled]:
        """Return the frames since the last call on which too many workers were lost."""
        reason = f"{ATTEMPTS} workers died while fitting it"
        return [self._answers.failed(index, reason) for index in self.crew.take_given_up()]
