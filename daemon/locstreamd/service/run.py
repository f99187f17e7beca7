"""The whole way of one run: source → acquisition → finished files → summary."""

from __future__ import annotations

import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from locstream.bundle.files import RunFiles
from locstream.bundle.finish import Ending, finish_run, finish_stack
from locstream.bundle.summary import Summary, summary_text
from locstream.calibration.camera import CameraCalibration
from locstream.errors import LocstreamError
from locstream.results.final import finalize
from locstream.results.header import ResultsHeader
from locstream.stacks.source import FrameSource, Image
from locstream.stream.messages import Status
from locstreamd.record.simulated import SimulatedSource
from locstreamd.service.acquisition import Acquisition
from locstreamd.service.cameras import Fallback, calibration_for
from locstreamd.service.config import Config
from locstreamd.service.desk import Desk
from locstreamd.service.disk import DiskGuard
from locstreamd.service.live_line import LiveLine
from locstreamd.service.outcome import Outcome


@dataclass(frozen=True)
class Plan:
    """What one run does.

    Parameters
    ----------
    config
        The configuration in effect.
    source
        Where frames come from, open and not started; closed by the run.
    fallback
        The calibration where the configuration has no entry for the camera.
    reread
        Gives a frame by its index where the source is a stack on disk; nothing is then recorded.
    pixel_size_nm
        Wins over what the configuration and the source say, nm.
    """

    config: Config
    source: FrameSource
    fallback: Fallback | None = None
    reread: Callable[[int], Image] | None = None
    pixel_size_nm: float | None = None


def run_plan(plan: Plan) -> int:
    """Acquire, fit, finish the files, print the summary; return the exit status.

    Raises
    ------
    LocstreamError
        Nothing could be started, or the run ended in a fault; says what is safe and what to do.
    """
    line = LiveLine()
    try:
        prepared = prepare(plan)
        for warning in (*plan.source.info.warnings, *prepared.warnings):
            print(f"warning: {warning}", file=sys.stderr)
        with Desk(prepared.header.acquisition_id, plan.config.stream) as desk:
            desk.announce(prepared.files.name)
            acquisition = acquisition_of(plan, prepared, desk, line.show)
            with _stopping_on_signals(acquisition):
                outcome = acquire(acquisition, prepared.files)
        line.end()
    finally:
        plan.source.close()
    files = prepared.files
    print(f"finishing the files in {files.folder} …")
    try:
        print(summary_text(finish(plan, prepared, outcome)))
    except (LocstreamError, KeyboardInterrupt) as error:
        if outcome.fault is not None:
            print(f"{outcome.fault}\n", file=sys.stderr)
        if isinstance(error, LocstreamError):
            raise
        raise LocstreamError(
            "interrupted while the files were being finished",
            safe=f"every committed frame is in {files.folder}",
            todo=f"`locstream recover {files.folder}` finishes them",
        ) from error
    if outcome.fault is not None:
        raise outcome.fault
    return 0


@dataclass(frozen=True)
class Prepared:
    """What is settled before the camera starts."""

    files: RunFiles
    calibration: CameraCalibration
    header: ResultsHeader
    warnings: tuple[str, ...]


def prepare(plan: Plan) -> Prepared:
    """Find the calibration, make the folder, see that nothing would be overwritten.

    Raises
    ------
    LocstreamError
        One of these is not possible; nothing was started.
    """
    config, info = plan.config, plan.source.info
    files = RunFiles(config.acquisition.folder, config.acquisition.name)
    calibration, warnings = calibration_for(config, info, plan.fallback, plan.pixel_size_nm)
    files.prepare()
    recorded = plan.reread is None and config.acquisition.record_stack
    DiskGuard(files.folder, config.results.reserve_mb).check_before(info, recorded=recorded)
    header = ResultsHeader.from_source(
        info,
        calibration,
        acquisition_id=uuid.uuid4().hex,
        name=files.name,
        started_s=time.time(),
        fit=config.fit.model_dump(mode="json"),
        config=config.model_dump(mode="json"),
    )
    return Prepared(files, calibration, header, tuple(warnings))


def acquisition_of(plan: Plan, prepared: Prepared, desk: Desk, watch: Callable[[Status], None]) -> Acquisition:
    """Return the acquisition of a plan, watched and steered at `desk`."""
    return Acquisition(
        plan.config,
        plan.source,
        prepared.calibration,
        prepared.files,
        prepared.header,
        desk,
        reread=plan.reread,
        watch=watch,
    )


def acquire(acquisition: Acquisition, files: RunFiles) -> Outcome:
    """Run an acquisition; where it cannot even start, leave nothing behind."""
    try:
        return acquisition.run()
    except LocstreamError:
        files.discard_unstarted()
        raise


def finish(plan: Plan, prepared: Prepared, outcome: Outcome) -> Summary:
    """Give every file its final name and form.

    Raises
    ------
    LocstreamError
        The disk refuses; says what is safe and what to do.
    """
    files = prepared.files
    ledger = outcome.ledger
    fault = outcome.fault.what if outcome.fault is not None else None
    finalize(
        files.live_results, files.results, {"outcome": outcome.outcome, "fault": fault, "ledger": ledger.as_dict()}
    )
    finish_stack(files, plan.source.info)
    if isinstance(plan.source, SimulatedSource):
        plan.source.write_truth(files.truth)
    settled = ledger.acquired - ledger.pending
    fitting_s = outcome.finished_s - outcome.started_s
    ending = Ending(
        outcome=outcome.outcome,
        fault=fault,
        ledger=ledger,
        started_s=outcome.started_s,
        finished_s=outcome.finished_s,
        acquired_fps=ledger.acquired / outcome.acquiring_s if outcome.acquiring_s else None,
        fitted_fps=settled / fitting_s if fitting_s else None,
        latency_ms=outcome.latency_ms if plan.source.paced else None,
        warnings=(*prepared.warnings, *outcome.warnings),
    )
    return finish_run(files, plan.source.info, ending, plan.config.render)


@contextmanager
def _stopping_on_signals(acquisition: Acquisition) -> Iterator[None]:
    """Let Ctrl-C or a service manager's SIGTERM stop the camera; a second one leaves frames unfitted."""

    def on_signal(number: int, frame: object) -> None:
        acquisition.stop(hurry=acquisition.stopping)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
