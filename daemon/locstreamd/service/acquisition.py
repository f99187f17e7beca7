"""One acquisition, from the first frame to the last committed row: the loop in which the lanes meet."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal

import zmq

from locstream import __version__
from locstream.bundle.files import RunFiles
from locstream.calibrating.check import CalibrationCheck
from locstream.calibration.camera import CameraCalibration
from locstream.errors import LocstreamError
from locstream.results.file import ResultsWriter
from locstream.results.frames import FrameOutcome
from locstream.results.header import ResultsHeader
from locstream.results.ledger import Ledger
from locstream.stacks.source import FrameSource, Image
from locstream.stream.messages import Hello, Reply, Request, Status, own_fields
from locstreamd.fit.lane import FitLane
from locstreamd.record.lane import RecordLane
from locstreamd.service.commits import Commits, Committed
from locstreamd.service.config import Config
from locstreamd.service.depth import Fit
from locstreamd.service.desk import Desk
from locstreamd.service.disk import DiskGuard
from locstreamd.service.events import Chronicle
from locstreamd.service.load import Ladder
from locstreamd.service.outcome import Outcome, State
from locstreamd.service.stages import StagesOf
from locstreamd.view.gauges import Gauges, Medians

POLL_MS = 20
WORKERS_START_TIMEOUT_S = 180.0
DISK_CHECK_S = 0.5
CAMERA_PATIENCE_S = 5.0
"""How long a camera that was told to stop may take, once somebody is in a hurry."""
MB = 1_000_000
MOST_MB = 1e12
"""Stands for a disk that does not say how much room it has."""


class Acquisition:
    """Records a source, has its frames fitted, commits and publishes what is found.

    Parameters
    ----------
    config
        What to do.
    source
        Where frames come from; closed at the end of `run`.
    calibration
        The camera's, cropped to the frames.
    fit
        How to fit, with what gives depth.
    files
        Where everything goes; the folder is prepared.
    header
        What the results file says of the run.
    desk
        Where it is watched and steered.
    reread
        Gives a frame by its index where the source is a stack on disk already; nothing is then recorded.
    watch
        Called with every `Status`.
    """

    def __init__(
        self,
        config: Config,
        source: FrameSource,
        calibration: CameraCalibration,
        fit: Fit,
        files: RunFiles,
        header: ResultsHeader,
        desk: Desk,
        *,
        reread: Callable[[int], Image] | None = None,
        watch: Callable[[Status], None] = lambda status: None,
    ) -> None:
        self.state = State.STARTING
        self._config = config
        self._source = source
        self._calibration = calibration
        self._how = fit
        self._files = files
        self._header = header
        self._desk = desk
        self._reread = reread
        self._watch = watch
        self._ledger = Ledger()
        self._gauges = Gauges()
        self._check = CalibrationCheck(calibration, source.info.height, source.info.width, fit.options)
        self._disk = DiskGuard(files.folder, config.results.reserve_mb)
        self._fault: LocstreamError | None = None
        self._stopped = self._hurried = False
        self._started_s = self._finished_s = self._acquiring_s = 0.0
        self._watched_at = self._disk_checked_at = 0.0
        self._ladder = Ladder(config.load)
        self._medians = Medians()

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
        return self._ledger.snapshot().acquired

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
        with ExitStack() as stack:
            self._open(stack)
            self._wait_for_a_worker()
            if self._stopped:
                raise LocstreamError("stopped before the camera was started", safe="nothing was acquired")
            self._begin_results()
            self._record.start()
            self.state = State.ACQUIRING
            try:
                self._acquire()
                self._fit_the_rest()
                self._finished_s = time.time()
            except LocstreamError as fault:
                self._fault = self._fault or fault
                self._record_the_rest()
            return self._end()

    def _open(self, stack: ExitStack) -> None:
        """Open everything; what was opened is closed again however the run ends."""
        info, config = self._source.info, self._config
        stack.callback(self._source.close)
        context = self._desk.context
        restarts = config.micromanager.restarts if config.micromanager is not None else 0
        self._record = RecordLane(self._source, context, restarts)
        stack.callback(self._record.close)
        if self._reread is not None:
            self._record.reread_from(self._reread)
        elif config.acquisition.record_stack:
            limit = config.results.recorder_mb * MB
            path, fsync = self._files.live_stack, config.results.fsync_stack
            self._record.record_to(path, self._desk.endpoint("record"), limit, fsync=fsync)
        self._commits = Commits(context, config.results.commit_hz)
        stack.callback(self._commits.close)
        self._events = Chronicle(self._commits.note)
        self._fit = FitLane(
            self._record,
            context,
            self._desk.endpoint("work"),
            self._calibration,
            info.height,
            info.width,
            self._how.options,
            config.workers,
            self._how.astigmatism,
            self._desk.gatehouse,
        )
        stack.callback(self._fit.close)
        self._stages = StagesOf(self._record, self._fit, self._desk, self._commits, self._gauges)
        self._desk.take_told()  # who was refused before is no event of this acquisition
        self._desk.publisher.begin(self._hello())
        self._poller = zmq.Poller()
        desk = self._desk.control.socket, self._desk.publisher.socket
        for socket in (*self._record.sockets, self._fit.socket, self._commits.socket, *desk):
            self._poller.register(socket, zmq.POLLIN)

    def _begin_results(self) -> None:
        """Make the results file, whose header says when the camera is started."""
        self._started_s = time.time()
        results = ResultsWriter(
            self._files.live_results,
            self._header.model_copy(update={"started_s": self._started_s}),
            calibration=self._calibration,
            fsync_interval_s=self._config.results.fsync_interval_s,
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
                    todo=self._fit.waiting,
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
                self._fault = LocstreamError(
                    f"the camera did not stop within {CAMERA_PATIENCE_S:g} s; it was left as it is",
                    safe="every frame that came is recorded",
                    todo="switch the camera off and on before the next acquisition",
                )
                self._record.give_up_camera()
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
        self._record.stop()
        poller = zmq.Poller()
        for socket in self._record.sockets:
            poller.register(socket, zmq.POLLIN)
        while not self._record.finished:
            poller.poll(POLL_MS)
            for frame in self._record.intake():
                self._ledger.acquire(frame.number)

    def _turn(self) -> None:
        """One turn of the loop: frames in, results back, commit, publish, answer."""
        self._poller.poll(POLL_MS)
        if self.state is State.ACQUIRING and not self._fit.full:
            for frame in self._record.intake():
                self._ledger.acquire(frame.number)
                self._fit.push(frame.image)
                if self._ladder.analyses:
                    self._check.see(frame.image)
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
        rows, records = committed.rows, committed.records
        for result, number in zip(committed.settled, records["frame"], strict=True):
            self._ledger.settle(int(number), result.outcome)
            if result.residuals is not None:
                self._check.quality.add_residuals(result.residuals)
            if result.outcome is FrameOutcome.FAILED:
                self._events.failed(int(number), result.reason)
        self._gauges.add_batch(rows, records)
        if self._ladder.analyses:
            self._check.fitted(rows)
        self._desk.publisher.batch(rows, int(records["frame"][0]), int(records["frame"][-1]))
        self._gauges.note_published(records)

    def _look_around(self) -> None:
        """See now and then how much room the disk has, how far behind the results are, and show the status."""
        now = time.monotonic()
        if now - self._disk_checked_at >= DISK_CHECK_S:
            self._disk_checked_at = now
            self._check_disk()
        if self._ladder.see(self._lag_s, self._fit.spilled):
            self._events.note("Load", f"{self._ladder.rung}, {self._ladder.lag_s:.1f} s behind the camera")
        if now - self._watched_at >= self._ladder.status_interval_s(self._config.stream.status_hz):
            self._watched_at = now
            self._show_status()

    def _check_disk(self) -> None:
        if self.state is State.ACQUIRING and self._fault is None and (fault := self._disk.fault()) is not None:
            self._fault = fault
            self._record.stop()

    @property
    def _lag_s(self) -> float:
        """Age of the oldest frame without a result on disk; a source that waits cannot be ahead."""
        ledger, index = self._ledger.snapshot(), self._record.index
        if not self._record.paced or not ledger.pending:
            return 0.0
        return max(0.0, time.time() - index.time_s(ledger.acquired - ledger.pending))

    def _show_status(self) -> None:
        status = self._status()
        self._desk.publisher.status(status)
        self._watch(status)

    def _status(self) -> Status:
        ledger = self._ledger.snapshot()
        if self._ladder.analyses:
            self._medians = self._gauges.medians()
        fps_acquired, fps_fitted = self._gauges.rates(ledger.acquired, ledger.acquired - ledger.pending)
        return Status(
            acquisition=self._header.acquisition_id,
            seq=0,
            state=self.state.value,
            ledger=ledger,
            localizations=self._commits.rows,
            fps_acquired=fps_acquired,
            fps_fitted=fps_fitted,
            queued=self._fit.queued,
            workers=self._fit.workers,
            lanes=self._fit.lanes,
            load=self._ladder.rung.value,
            lag_s=self._ladder.lag_s,
            disk_free_mb=min(self._disk.free_mb, MOST_MB),
            suspected_drops=self._suspected_drops,
            warning=self._fault.what if self._fault is not None else self._warning,
            stages=self._stages(),
            quality=self._check.quality.report(),
            **self._medians._asdict(),
        )

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
                return Reply(id=request.id, ok=False, message=f"{self._files.name} is being acquired")
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
        ledger = self._ledger.snapshot()
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
            quality=self._check.quality.report(),
            warnings=tuple(self._warnings()),
        )

    def _finish_results(self) -> None:
        """Commit what has been fitted and what has happened, and close the file."""
        self._events.camera(self._record.camera_events())
        for committed in self._commits.drain():
            self._publish(committed)
        if self._fault is not None:
            self._events.note("Fault", self._fault.what)
        self._events.end()
        for committed in self._commits.drain():
            self._publish(committed)
        self._commits.finish()

    @property
    def _warning(self) -> str:
        waiting = [self._fit.waiting] if self._fit.waiting and self.state is not State.DONE else []
        return " ".join([*waiting, *self._check.sentences()])

    @property
    def _suspected_drops(self) -> int:
        """Frames that seem to be missing; a source that waits has no pace to be late for."""
        return self._record.intervals.suspected if self._source.paced else 0

    def _warnings(self) -> list[str]:
        """Return what the ledger does not say already."""
        found = self._check.sentences()
        if self._suspected_drops:
            found.append(
                f"by their times, {self._suspected_drops:,} frames more may be missing between those that came"
            )
        if deaths := self._record.recorder_deaths:
            found.append(
                f"the writer of the raw stack died {deaths} times and was started again; no frame was lost by it"
            )
        return found + self._events.sentences()

    def _hello(self) -> Hello:
        info = self._source.info
        return Hello(
            acquisition=self._header.acquisition_id,
            seq=0,
            name=self._files.name,
            software=f"locstream {__version__}",
            width=info.width,
            height=info.height,
            pixel_size_nm=self._calibration.pixel_size_nm,
            started_s=time.time(),
            fields=own_fields(depth=self._header.depth),
            folder=str(self._files.folder.resolve()),
        )
