"""Hands on what is queued, one run after another, in a process of its own that the acquisition does not notice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from locstream.bundle.bundle import Bundle, open_bundles
from locstream.errors import LocstreamError
from locstream.upload.filer import CancelledError, Filer, UnreachableError
from locstream.upload.queue import Queue
from locstream.upload.ticket import Ticket

BUSY_EVERY_S = 5.0


class Uploader:
    """Works through a queue; holds its lock.

    Parameters
    ----------
    queue
        The queue; `Queue.uploader_lock` is held by the caller.
    filer
        Where runs go.
    busy
        Says whether an acquisition runs; nothing is sent then.
    tell
        Told in sentences what happens.
    show
        Told of a run what is being done, and how many bytes of how many have arrived.
    clock, sleep
        Seconds since the epoch; waits so many seconds.
    """

    def __init__(
        self,
        queue: Queue,
        filer: Filer,
        *,
        busy: Callable[[], bool] = lambda: False,
        tell: Callable[[str], None] = lambda text: None,
        show: Callable[[str, str, int, int], None] = lambda name, what, done, total: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._queue, self._filer, self._busy, self._tell, self._show = queue, filer, busy, tell, show
        self._clock, self._sleep = clock, sleep
        self._asked_s = float("-inf")
        self._stopping = False
        queue.clean()
        for ticket in queue.tickets():
            if ticket.state == "uploading":  # of an uploader that was killed: we hold the lock
                queue.change(ticket.uuid, lambda found: found.interrupted(clock()))

    def stop(self) -> None:
        """Ask to end after the block at hand. May be called from a signal handler."""
        self._stopping = True

    def work(self) -> int:
        """Hand on what is due now, until nothing is; return how many runs were tried."""
        tried = 0
        while not self._stopping and (ticket := self._queue.due(self._clock())) is not None:
            try:
                self._wait_while_busy()
                self._hand_on(ticket)
            except CancelledError:
                self._queue.change(ticket.uuid, lambda found: found.interrupted(self._clock()))
                continue
            tried += 1
        return tried

    def _hand_on(self, ticket: Ticket) -> None:
        if self._queue.change(ticket.uuid, lambda found: found.begun(self._clock())) is None:
            return
        self._tell(f"{ticket.name}: begins")
        try:
            bundle = _bundle(ticket)
            bundle.check()
            url = self._filer.file(bundle, lambda what, done, total: self._between_blocks(ticket, what, done, total))
        except UnreachableError as error:
            why = error.what
            self._settle(ticket, f"waits: {why}", lambda found: found.postponed(self._clock(), why))
        except LocstreamError as error:
            why, todo = error.what, error.todo
            self._settle(ticket, f"refused: {why}", lambda found: found.refused(self._clock(), why, todo))
        else:
            self._settle(ticket, f"is filed: {url}", lambda found: found.filed(self._clock(), url))

    def _settle(self, ticket: Ticket, said: str, how: Callable[[Ticket], Ticket]) -> None:
        self._queue.change(ticket.uuid, how)
        self._tell(f"{ticket.name}: {said}")

    def _between_blocks(self, ticket: Ticket, what: str, done: int, total: int) -> None:
        self._wait_while_busy()
        if not self._queue.has(ticket.uuid):
            raise CancelledError
        self._show(ticket.name, what, done, total)

    def _wait_while_busy(self) -> None:
        if self._stopping:
            raise CancelledError
        if self._clock() - self._asked_s < BUSY_EVERY_S:
            return
        told = False
        while self._busy():
            if not told:
                self._tell("waits for the acquisition to end")
                told = True
            self._sleep(BUSY_EVERY_S)
            if self._stopping:
                raise CancelledError
        self._asked_s = self._clock()


def be_gentle(nice: int) -> None:
    """Let every other process of this computer go first.

    Parameters
    ----------
    nice
        Niceness added, 0 to 19.
    """
    os.nice(nice)


def _bundle(ticket: Ticket) -> Bundle:
    found = [bundle for bundle in open_bundles(Path(ticket.folder)) if bundle.uuid == ticket.uuid]
    if not found:
        raise LocstreamError(
            f"{ticket.folder} no longer holds the run {ticket.name}",
            todo=f"`locstream upload add` the folder it was moved to, or `locstream upload forget {ticket.name}`",
        )
    return found[0]
