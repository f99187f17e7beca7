"""Opens the lanes of one acquisition, and closes them however it ends."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import zmq

from locstreamd.fit.lane import FitLane
from locstreamd.record.lane import RecordLane
from locstreamd.service.commits import Commits
from locstreamd.service.desk import Desk
from locstreamd.service.plan import Plan, Prepared

MB = 1_000_000


class Lanes:
    """The way of the frames to the disk and through the fit, and that of the results; use it as a context manager.

    Parameters
    ----------
    plan
        What to do; its source is closed with the lanes, and also where they cannot be opened.
    prepared
        What was settled for it.
    desk
        Has the context and the endpoints.

    Attributes
    ----------
    record, fit, commits
        The lanes.

    Raises
    ------
    LocstreamError
        The stack cannot be created, or no worker of another computer could connect.
    """

    def __init__(self, plan: Plan, prepared: Prepared, desk: Desk) -> None:
        config, context = plan.config, desk.context
        restarts = config.micromanager.restarts if config.micromanager is not None else 0
        with ExitStack() as stack:
            stack.callback(plan.source.close)
            self.record = RecordLane(plan.source, context, restarts)
            stack.callback(self.record.close)
            if plan.reread is not None:
                self.record.reread_from(plan.reread)
            elif config.acquisition.record_stack:
                limit, fsync = config.results.recorder_mb * MB, config.results.fsync_stack
                self.record.record_to(prepared.files.live_stack, desk.endpoint("record"), limit, fsync=fsync)
            self.commits = Commits(context, config.results.commit_hz)
            stack.callback(self.commits.close)
            work = desk.endpoint("work")
            self.fit = FitLane(self.record, context, work, prepared.task, config.workers, desk.gatehouse)
            stack.callback(self.fit.close)
            self._closing = stack.pop_all()

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """Sockets that say when there is something to do."""
        return [*self.record.sockets, self.fit.socket, self.commits.socket]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
