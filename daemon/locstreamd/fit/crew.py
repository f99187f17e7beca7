"""The workers of an acquisition as they come and go: let in or turned away, looked after, and lost."""

from __future__ import annotations

import logging
import time
from collections import deque

from locstream.stream.wire import pack
from locstreamd.fit.member import Member
from locstreamd.fit.roster import WINDOW, Roster
from locstreamd.fit.task import Task, setup_message
from locstreamd.fit.work import Beat, Join, Leave, Ready, refusal
from locstreamd.fit.work_socket import WorkSocket

log = logging.getLogger("locstream")

BEAT_S = 1.0
"""How often a worker that somebody else started hears that the acquisition is there."""
REMEMBERED = 32
"""Refusals that are not told again: who is turned away tries again and again."""


class Crew:
    """Who works for an acquisition, and what there is to tell of it.

    Parameters
    ----------
    work
        Where workers connect.
    roster
        Who holds which frame.
    task
        What every worker is set up with.
    timeout_s
        A worker that holds a frame for longer counts as hung.

    Attributes
    ----------
    last_refusal
        Why a worker was refused, or refused to work, last; "" where none did.
    """

    def __init__(self, work: WorkSocket, roster: Roster, task: Task, timeout_s: float) -> None:
        self.last_refusal = ""
        self._work = work
        self._roster = roster
        setup, maps = setup_message(task)
        self._calibration = setup.calibration
        self._setup = pack(setup, *maps)
        self._timeout_s = timeout_s
        self._beat_at = 0.0
        self._news: list[tuple[str, str]] = []
        self._refusals: deque[str] = deque(maxlen=REMEMBERED)
        self._given_up: list[int] = []

    @property
    def ready(self) -> int:
        """Workers that are set up, with their kernels compiled."""
        return len(self._roster.ready)

    @property
    def joining(self) -> int:
        """Workers that are not ready yet."""
        return len(self._roster.members) - self.ready

    @property
    def own(self) -> int:
        """Those among the ready that the acquisition has started itself."""
        return sum(worker.pid is not None for worker in self._roster.ready)

    @property
    def lanes(self) -> int:
        """Molecules that the narrowest of the ready fits side by side; 0 where none is."""
        return min((worker.lanes for worker in self._roster.ready), default=0)

    def take_news(self) -> list[tuple[str, str]]:
        """Return what has happened to workers since the last call, each as kind and sentence."""
        news, self._news = self._news, []
        return news

    def take_given_up(self) -> list[int]:
        """Return the indices of the frames since the last call on which too many workers were lost."""
        given_up, self._given_up = self._given_up, []
        return given_up

    def may_work(self, identity: bytes, user: str | None) -> bool:
        """Return whether the sender of a message is admitted still; one who is not is told, and loses its frames."""
        if not (why_not := self._work.refuse(user)):
            return True
        if identity in self._roster.members:
            self.lose(identity, "is admitted no longer")
        self.turn_away(identity, why_not)
        return False

    def welcome(self, identity: bytes, user: str | None, join: Join) -> None:
        """Set a worker up that has introduced itself, or turn it away."""
        if reason := refusal(join):
            self.turn_away(identity, reason)
            return
        for before in self._roster.connections_of(identity, join.instance):
            self.lose(before, "has connected anew", blame=False)
        if self._work.post(identity, self._setup):
            self._roster.add(identity, join, user)

    def open_account(self, identity: bytes, worker: Member, ready: Ready) -> None:
        """Let a worker have frames that says that it is ready; only the first time counts."""
        if worker.credits:
            return
        if ready.calibration != self._calibration:
            self.lose(identity, "has another calibration of the camera", blame=False)
            self.turn_away(
                identity,
                f"it fits with the camera calibration {ready.calibration[:12]}, the acquisition has "
                f"{self._calibration[:12]}",
            )
            return
        worker.credits, worker.most = ready.credits, min(ready.most, WINDOW)
        self._tell("WorkerJoined", f"{worker.name} joined: {worker.vectors:.80}")

    def dismiss(self, identity: bytes, reason: str) -> None:
        """Give a worker up that cannot do what it was set up with."""
        self.last_refusal = f"a fit worker cannot work: {reason}"
        self.lose(identity, f"cannot work: {reason}", blame=False)

    def turn_away(self, identity: bytes, reason: str) -> None:
        """Tell somebody why they get no work."""
        self.last_refusal = f"a fit worker was turned away: {reason}"
        if reason not in self._refusals:
            self._refusals.append(reason)
            self._tell("WorkerRefused", self.last_refusal)
        self._work.post(identity, pack(Leave(reason=reason)))

    def lose(self, identity: bytes, why: str, *, blame: bool = True) -> None:
        """Take the frames of a worker back, and say so where it was not ours."""
        worker, given_up = self._roster.lose(identity, blame=blame)
        if given_up is not None:
            self._given_up.append(given_up)
        if worker.pid is None:
            frames = f"; the frames that it held ({len(worker.holds)}) go to others" if worker.holds else ""
            self._tell("WorkerLost", f"{worker.name} {why}{frames}")

    def look_after_others(self) -> None:
        """Send workers that others started a sign of life: where that cannot be sent, the worker is gone."""
        now = time.monotonic()
        if now - self._beat_at < BEAT_S:
            return
        self._beat_at = now
        gone = self._work.take_gone()
        all_heard = self._work.quiet  # an answer that waits here is no silence
        for identity, worker in list(self._roster.members.items()):
            if worker.pid is not None:
                continue
            if worker.user in gone:
                self.lose(identity, "is admitted no longer", blame=False)
            elif not self._work.post(identity, pack(Beat())):
                self.lose(identity, "is gone")
            elif all_heard and worker.hangs(now - self._timeout_s):
                self.lose(identity, f"has not answered for {self._timeout_s:g} s")

    def hung(self) -> list[int]:
        """Return the process ids of workers of ours that have held a frame for longer than the time-out."""
        oldest = time.monotonic() - self._timeout_s
        return [w.pid for w in self._roster.members.values() if w.pid is not None and w.hangs(oldest)]

    def send_home(self) -> None:
        """Tell all that no more work will come."""
        for identity in self._roster.members:
            self._work.post(identity, pack(Leave()))

    def _tell(self, kind: str, text: str) -> None:
        log.info("%s", text)
        self._news.append((kind, text))
