"""One acquisition, from the first frame to the last committed row: the loop in which the lanes meet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import zmq

from locstream.errors import LocstreamError
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameOutcome
from locstream.stream.messages import Reply, Request, Status
from locstreamd.service.bulletin import Bulletin
from locstreamd.service.commits import Committed
from locstreamd.service.desk import Desk
from locstreamd.service.disk import DiskGuard
from locstreamd.service.events import Chronicle
from locstreamd.service.figures import Figures
from locstreamd.service.lanes import Lanes
from locstreamd.service.outcome import Outcome, State
from locstreamd.service.plan import Plan, Prepared
from locstreamd.service.stages import StagesOf

POLL_MS = 20
WORKERS_START_TIMEOUT_S = 180.0
DISK_CHECK_S = 0.5
CAMERA_PATIENCE_S = 5.0
"""How long a camera that was told to stop may take, once somebody is in a hurry."""


class Acquisition:
    """Records a source, has its frames fitted, commits and publishes what is found.

    Parameters
    ----------
    plan
        What to do; its source is closed at the end of `run`.
    prepared
        What was settled for it.
    desk
        Where it is watched and steered.
    watch
        Called with every `Status`.
    """

    def __init__(self, plan: Plan, prepared: Prepared, desk: Desk, watch: Callable[[Status], None]) -> None:
        self.state = State.STARTING
        self._plan = plan
        self._prepared = prepared
        self._desk = desk
        self._watch = watch
        self._figures = Figures(prepared.task, plan.config.load)
        self._disk = DiskGuard(prepared.files.folder, plan.config.results.reserve_mb)
        self._fault: LocstreamError | None = None
        self._stopped = self._hurried = False
        self._started_s = self._finished_s = self._acquiring_s = 0.0
        self._watched_at = self._disk_checked_at = 0.0

    def stop(self, *, hurry: bool = False) -> None:
        """Ask for no more frames. May be called from a signal handler.

        Parameters
        ----------
        hurry
            Leave frames that were taken unfitted, too; they are in the raw stack.
        """
        self._stopped = True
        self._hurried = self._hurried or hurry

    @property
    def acquired(self) -> int:
        """Frames that were taken so far."""
        return self._figures.ledger.snapshot().acquired

    @property
    def stopping(self) -> bool:
        """True once somebody has asked to stop."""
        return self._stopped

    def run(self) -> Outcome:
        """Acquire until the source ends, somebody stops it, or something fails; then fit the rest.

        Returns
        -------
        Outcome
            Faults of camera, disk and workers are in it, with everything that was taken safe on disk.

        Raises
        ------
        LocstreamError
            The acquisition could not be started; nothing was acquired.
        """
        with Lanes(self._plan, self._prepared, self._desk) as lanes:
            self._open(lanes)
            self._start()
            try:
                self._acquire()
                self._fit_the_rest()
                self._finished_s = time.time()
            except LocstreamError as fault:
                self._fault = self._fault or fault
                self._record_the_rest()
            return self._end()

    def _open(self, lanes: Lanes) -> None:
        """Connect the lanes, and tell those who follow what comes."""
        self._record, self._fit, self._commits = lanes.record, lanes.fit, lanes.commits
        self._events = Chronicle(self._commits.note)
        self._stages = StagesOf(self._record, self._fit, self._desk, self._commits, self._figures.gauges)
        self._bulletin = Bulletin(self._prepared, lanes, self._figures, self._disk, self._stages)
        self._desk.take_told()  # who was refused before is no event of this acquisition
        self._desk.publisher.begin(self._bulletin.hello())
        self._poller = zmq.Poller()
        for socket in (*lanes.sockets, self._desk.control.socket, self._desk.publisher.socket):
            self._poller.register(socket, zmq.POLLIN)

    def _start(self) -> None:
        """Have a worker ready, then start the camera; where that is not to be, those who follow are told."""
        try:
            self._wait_for_a_worker()
            if self._stopped:
                raise LocstreamError("stopped before the camera was started", safe="nothing was acquired")
            self._begin_results()
            self._record.start()
        except LocstreamError as fault:
            self._desk.publisher.end("stopped" if self._stopped else "faulted", 0, fault.what)
            raise
        self.state = State.ACQUIRING

    def _begin_results(self) -> None:
        """Make the results file, whose header says when the camera is started."""
        self._started_s = time.time()
        results = ResultsWriter(
            self._prepared.files.live_results,
            self._prepared.header.model_copy(update={"started_s": self._started_s}),
            calibration=self._prepared.task.calibration,
            fsync_interval_s=self._plan.config.results.fsync_interval_s,
        )
        self._commits.write_to(results)

    def _wait_for_a_worker(self) -> None:
        """Start the workers; the first compiles the kernels where no cache is warm."""
        deadline = time.monotonic() + WORKERS_START_TIMEOUT_S
        while not self._fit.workers and not self._stopped:
            if time.monotonic() > deadline:
                raise LocstreamError(
                    f"no fit worker was ready within {WORKERS_START_TIMEOUT_S:g} s",
                    safe="nothing was acquired",
                    todo=self._fit.waiting or "`locstream doctor` compiles the kernels and says how long it takes",
                )
            self._turn()

    def _acquire(self) -> None:
        """Take frames until the source has no more; the results follow as they come."""
        began = time.monotonic()
        asked_at: float | None = None
        while not self._record.finished:
            if self._stopped and asked_at is None:
                self._record.stop()
                asked_at = time.monotonic()
            if self._hurried and asked_at is not None and time.monotonic() - asked_at > CAMERA_PATIENCE_S:
                self._record.give_up_camera(CAMERA_PATIENCE_S)
            self._turn()
        self._fault = self._fault or self._record.fault
        self._acquiring_s = time.monotonic() - began

    def _fit_the_rest(self) -> None:
        """Catch up: every frame that was taken is fitted, however far behind fitting is."""
        self.state = State.FITTING
        while not (self._fit.idle and self._commits.idle) and not self._hurried:
            self._turn()
        self._fault = self._fault or self._record.fault

    def _record_the_rest(self) -> None:
        """After a fault behind the record lane: what the camera has given still goes to disk, unfitted."""
        for frame in self._record.rest():
            self._figures.ledger.acquire(frame.number)

    def _turn(self) -> None:
        """One turn of the loop: frames in, results back, commit, publish, answer."""
        self._poller.poll(POLL_MS)
        if self.state is State.ACQUIRING and not self._fit.full:
            for frame in self._record.intake():
                self._figures.take(frame)
                self._fit.push(frame.image)
        else:
            self._record.listen()
        self._events.camera(self._record.camera_events())
        self._events.deaths(self._stages.deaths)
        for kind, text in self._fit.take_news():
            self._events.note(kind, text)
        if not self._commits.full and (fitted := self._fit.turn()) is not None:
            self._commits.add(fitted)
        if (committed := self._commits.turn(hurry=self._fit.idle)) is not None:
            self._publish(committed)
        self._desk.tend(self.reply)
        for text in self._desk.take_told():
            self._events.note("Refused", text)
        self._look_around()

    def _publish(self, committed: Committed) -> None:
        """Publish what has been committed: what is seen is on disk."""
        self._figures.settle(committed)
        rows, records = committed.rows, committed.records
        for result, number in zip(committed.settled, records["frame"], strict=True):
            if result.outcome is FrameOutcome.FAILED:
                self._events.failed(int(number), result.reason)
        self._desk.publisher.batch(rows, int(records["frame"][0]), int(records["frame"][-1]))
        self._figures.gauges.note_published(records)

    def _look_around(self) -> None:
        """See now and then how much room the disk has, how far behind the results are, and show the status."""
        now = time.monotonic()
        if now - self._disk_checked_at >= DISK_CHECK_S:
            self._disk_checked_at = now
            self._check_disk()
        ladder, record = self._figures.ladder, self._record
        # a source that waits cannot be ahead
        if ladder.see(self._figures.lag_s(record.index) if record.paced else 0.0, self._fit.spilled):
            self._events.note("Load", f"{ladder.rung}, {ladder.lag_s:.1f} s behind the camera")
        if now - self._watched_at >= ladder.status_interval_s(self._plan.config.stream.status_hz):
            self._watched_at = now
            self._show_status()

    def _check_disk(self) -> None:
        if self.state is State.ACQUIRING and self._fault is None and (fault := self._disk.fault()) is not None:
            self._fault = fault
            self._record.stop()

    def _status(self) -> Status:
        return self._bulletin.status(self.state, self._fault)

    def _show_status(self) -> None:
        status = self._status()
        self._desk.publisher.status(status)
        self._watch(status)

    def reply(self, request: Request) -> Reply:
        """Answer a request while it runs."""
        match request.verb:
            case "status":
                return Reply(id=request.id, ok=True, status=self._status(), hello=self._desk.publisher.hello)
            case "stop":
                self.stop()
                return Reply(id=request.id, ok=True, message="the camera stops; what was taken is still fitted")
            case "abort":
                self.stop(hurry=True)
                return Reply(id=request.id, ok=True, message="the camera stops; frames that wait stay unfitted")
            case "start":
                return Reply(id=request.id, ok=False, message=f"{self._prepared.files.name} is being acquired")
            case other:
                return Reply(id=request.id, ok=False, message=f"unknown request {other!r}; known: status, stop, abort")

    def _end(self) -> Outcome:
        """Close the files in good order and say goodbye to whoever watches."""
        for finish in (self._record.finish, self._finish_results):
            try:
                finish()
            except LocstreamError as fault:
                self._fault = self._fault or fault
        self._fault = self._fault or self._record.fault
        self.state = State.DONE
        self._show_status()
        ledger = self._figures.ledger.snapshot()
        how: Literal["complete", "stopped", "faulted"]
        how = "faulted" if self._fault is not None else "stopped" if self._stopped else "complete"
        self._desk.publisher.end(how, ledger.acquired, self._fault.what if self._fault is not None else "")
        return Outcome(
            outcome=how,
            fault=self._fault,
            ledger=ledger,
            rows=self._commits.rows,
            started_s=self._started_s,
            finished_s=self._finished_s or time.time(),
            acquiring_s=self._acquiring_s,
            stages=self._stages(),
            quality=self._figures.quality,
            warnings=(*self._bulletin.warnings(), *self._events.sentences()),
        )

    def _finish_results(self) -> None:
        """Commit what has been fitted and what has happened, and close the file."""
        self._events.camera(self._record.camera_events())
        self._events.deaths(self._stages.deaths)
        for committed in self._commits.drain():
            self._publish(committed)
        if self._fault is not None:
            self._events.note("Fault", self._fault.what)
        self._events.end()
        for committed in self._commits.drain():
            self._publish(committed)
        self._commits.finish()
