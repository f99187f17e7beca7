"""The way of a frame through the fit: backlog → dispatcher → worker → collector."""

from __future__ import annotations

import zmq

from locstream.errors import LocstreamError
from locstream.localizations import Localizations
from locstream.results.frames import FrameRecords
from locstream.stacks.source import Image
from locstream.stream.stages import Queue
from locstreamd.addresses import Address
from locstreamd.fit.answers import Settled
from locstreamd.fit.backlog import Backlog
from locstreamd.fit.collect import Collector
from locstreamd.fit.dispatch import Dispatcher
from locstreamd.fit.pool import WorkerPool
from locstreamd.fit.roster import WINDOW
from locstreamd.fit.task import Task
from locstreamd.fit.work_socket import WorkSocket
from locstreamd.gatehouse import Gatehouse
from locstreamd.record.lane import RecordLane
from locstreamd.service.config import WorkerSettings

MB = 1_000_000
DEATHS_BEFORE_THE_FIRST_IS_READY = 3


class FitLane:
    """Fits every frame once, whoever dies on the way, and gives results back in order.

    Parameters
    ----------
    record
        Where frames can be read back from, and their numbers.
    context, endpoint
        Of the work socket.
    task
        What the workers are set up with.
    settings
        How many workers, how patient, how much memory.
    gatehouse
        Lets in workers of other computers; needed where the settings name an address for them.

    Raises
    ------
    LocstreamError
        The address for other workers cannot be bound, or this computer has no key.
    """

    def __init__(
        self,
        record: RecordLane,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        task: Task,
        settings: WorkerSettings,
        gatehouse: Gatehouse | None = None,
    ) -> None:
        # Frames that are lost when nobody takes them wait on disk; a source that can wait, waits.
        fetch = record.read if record.paced and record.can_read_back else None
        self._backlog = Backlog(settings.backlog_mb * MB, fetch, lambda: record.on_disk)
        self._collector = Collector(record.index)
        work = WorkSocket(context, endpoint, gatehouse, settings.listen)
        self._dispatcher = Dispatcher(work, self._backlog, record.index, task, settings.timeout_s)
        self._crew = self._dispatcher.crew
        self._listen = settings.listen
        self._pool = WorkerPool(endpoint, settings.own, settings.nice)
        self._one_ready = False
        self._record = record
        self._frame_bytes = task.frame_bytes
        self._room = -(-settings.backlog_mb * MB // self._frame_bytes)

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The work socket."""
        return self._dispatcher.socket

    @property
    def workers(self) -> int:
        """Workers that are ready and live."""
        return self._crew.ready

    @property
    def lanes(self) -> int:
        """Molecules that the narrowest worker fits side by side; 0 before one is ready."""
        return self._crew.lanes

    def take_news(self) -> list[tuple[str, str]]:
        """Return what has happened to workers since the last call, each as kind and sentence."""
        return self._crew.take_news()

    @property
    def waiting(self) -> str:
        """Why frames wait for a worker of another computer; "" where one is there, or comes by itself."""
        if self.workers or self._pool.places:
            return ""
        if self._crew.joining:
            return "a fit worker has connected and compiles its kernels (once)"
        refusal = f" ({self._crew.last_refusal})" if self._crew.last_refusal else ""
        port = Address.parse(self._listen).port
        return (
            f"no fit worker is connected{refusal}: run `locstream worker --connect tcp://THIS-COMPUTER:{port} "
            "--keys NAME.key.json` on another computer"
        )

    @property
    def queued(self) -> int:
        """Frames that wait for a worker, in memory or on disk."""
        return len(self._backlog)

    @property
    def spilled(self) -> int:
        """Frames that wait for a worker on disk only."""
        return self._backlog.spilled

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Frames that wait for a worker in memory and on disk, are with one, or wait for an older one's result."""
        backlog, dispatcher = self._backlog, self._dispatcher
        return (
            Queue("backlog_memory", backlog.held, self._room, backlog.held_bytes),
            Queue("backlog_disk", backlog.spilled),
            Queue("workers", dispatcher.outstanding, dispatcher.credits, dispatcher.outstanding * self._frame_bytes),
            Queue("collector", self._collector.waiting, WINDOW),
        )

    @property
    def busy_s(self) -> float:
        """Time the workers have spent fitting, all together, s."""
        return self._dispatcher.fit_s

    @property
    def deaths(self) -> int:
        """Workers that have died."""
        return self._pool.deaths

    @property
    def rejected(self) -> int:
        """Messages from workers that could not be understood."""
        return self._dispatcher.rejected

    @property
    def left_out(self) -> int:
        """Rows that no results file may hold."""
        return self._dispatcher.unusable

    @property
    def full(self) -> bool:
        """True where no more frames may be pushed."""
        return self._backlog.full

    @property
    def idle(self) -> bool:
        """True where every frame that was pushed has been returned by `turn`."""
        return not len(self._backlog) and not self._dispatcher.outstanding

    def push(self, image: Image) -> None:
        """Queue the next acquired frame."""
        self._backlog.push(image)

    def turn(self) -> tuple[Localizations, FrameRecords, list[Settled]] | None:
        """Give out work, take results, look after the workers; return what is next in order, if anything.

        Raises
        ------
        LocstreamError
            No worker can be had, or a frame cannot be read back from disk.
        """
        for settled in [*self._dispatcher.receive(), *self._look_after_workers()]:
            self._collector.add(settled)
        if self._record.abandoned:
            self._backlog.forget_unwritten()
        self._dispatcher.send(self._collector.settled_up_to)
        return self._collector.batch()

    def close(self) -> None:
        """Send the workers home."""
        self._dispatcher.close()
        self._pool.close()

    def _look_after_workers(self) -> list[Settled]:
        self._one_ready = self._one_ready or self._crew.own > 0
        # The first compiles the kernels for all; together they would each do it.
        dead = self._pool.tend(at_most=None if self._one_ready else 1)
        if not self._one_ready and not self.workers and self._pool.deaths >= DEATHS_BEFORE_THE_FIRST_IS_READY:
            raise LocstreamError(
                f"the fit workers end at once ({self._pool.deaths} starts)",
                safe="every frame that was taken is in the raw stack",
                todo=self._crew.last_refusal or "run `locstream worker --connect ipc:///tmp/nobody` to see the reason",
            )
        hung = self._crew.hung()
        for pid in hung:
            self._pool.kill(pid)
        return self._dispatcher.bury([*dead, *hung])
