"""The whole way of one run: source → acquisition → finished files → summary."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from locstream.bundle.files import RunFiles
from locstream.bundle.finish import Ending, finish_run, finish_stack
from locstream.bundle.run_lock import RunLock
from locstream.bundle.summary import Summary
from locstream.bundle.summary_text import summary_text
from locstream.errors import LocstreamError
from locstream.results.final import finalize
from locstream.stream.messages import Status
from locstream.upload.hook import queue_if_asked
from locstreamd.record.simulated import SimulatedSource
from locstreamd.service.acquisition import Acquisition
from locstreamd.service.desk import Desk
from locstreamd.service.live_line import LiveLine
from locstreamd.service.metrics import metrics
from locstreamd.service.outcome import Outcome
from locstreamd.service.plan import Plan, Prepared, prepare
from locstreamd.view.link import CATCH_UP_S

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPING = b"\nthe camera stops; what was taken is still fitted. Again to leave the rest unfitted.\n"
HURRYING = b"\nframes that wait stay unfitted; they are in the raw stack.\n"


def run_plan(plan: Plan) -> int:
    """Acquire, fit, finish the files, print the summary; return the exit status.

    Raises
    ------
    LocstreamError
        Nothing could be started, or the run ended in a fault; says what is safe and what to do.
    """
    with ExitStack() as until_finished:
        try:
            show = until_finished.enter_context(metrics(plan.config.metrics))
            prepared = prepare(plan)
            until_finished.enter_context(RunLock(prepared.files))
            desk = until_finished.enter_context(Desk(prepared.header.acquisition_id, plan.config.stream))
            outcome = _record(plan, prepared, desk, show)
        finally:
            plan.source.close()
        print(f"finishing the files in {prepared.files.folder} …")
        _finish_and_tell(plan, prepared, outcome)
        if desk.publisher.subscribers:
            print(f"those who follow ({desk.publisher.subscribers}) may catch up, {CATCH_UP_S:g} s at most", flush=True)
    if outcome.fault is not None:
        raise outcome.fault
    return 0


def _record(plan: Plan, prepared: Prepared, desk: Desk, show: Callable[[Status], None]) -> Outcome:
    """Acquire with a live line in the terminal, until the end, a signal or a fault."""
    line = LiveLine()

    def watch(status: Status) -> None:
        line.show(status)
        show(status)

    for warning in (*plan.source.info.warnings, *prepared.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    if desk.listening:
        print(desk.listening)
    desk.announce(prepared.files.name)
    acquisition = Acquisition(plan, prepared, desk, watch)
    with _stopping_on_signals(acquisition):
        outcome = acquire(acquisition, prepared.files)
    desk.hang_up()
    line.end()
    return outcome


def _finish_and_tell(plan: Plan, prepared: Prepared, outcome: Outcome) -> None:
    """Finish the files and print the summary; where that fails, a fault of the acquisition is told as well."""
    try:
        print(summary_text(finish(plan, prepared, outcome)))
    except (LocstreamError, KeyboardInterrupt) as error:
        if outcome.fault is not None and error is not outcome.fault:
            print(f"{outcome.fault}\n", file=sys.stderr)
        if isinstance(error, LocstreamError):
            raise
        folder = prepared.files.folder
        raise LocstreamError(
            "interrupted while the files were being finished",
            safe=f"every committed frame is in {folder}",
            todo=f"`locstream recover {folder}` finishes them",
        ) from error


def acquire(acquisition: Acquisition, files: RunFiles) -> Outcome:
    """Run an acquisition; where it cannot even start, leave nothing behind."""
    try:
        return acquisition.run()
    except LocstreamError:
        if not acquisition.acquired:
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
    if outcome.fault is not None and not files.folder.exists():
        raise outcome.fault  # the disk is gone, and with it all that could be finished
    ledger = outcome.ledger
    fault = outcome.fault.what if outcome.fault is not None else None
    latency = {"committed": outcome.stages.committed, "published": outcome.stages.published}
    learned = {
        "outcome": outcome.outcome,
        "fault": fault,
        "ledger": ledger.as_dict(),
        "speed": {"acquired_fps": outcome.acquired_fps, "fitted_fps": outcome.fitted_fps},
        "latency": msgspec.to_builtins(latency),
        "quality": msgspec.to_builtins(outcome.quality),
    }
    finalize(files.live_results, files.results, learned)
    finish_stack(files, plan.source.info)
    if isinstance(plan.source, SimulatedSource):
        plan.source.write_truth(files.truth)
    ending = Ending(
        outcome=outcome.outcome,
        fault=fault,
        ledger=ledger,
        started_s=outcome.started_s,
        finished_s=outcome.finished_s,
        acquired_fps=outcome.acquired_fps,
        fitted_fps=outcome.fitted_fps,
        committed=outcome.stages.committed,
        published=outcome.stages.published,
        warnings=(*prepared.warnings, *outcome.warnings),
    )
    summary = finish_run(files, plan.source.info, ending, plan.config.render)
    queue_if_asked(files)
    return summary


@contextmanager
def _stopping_on_signals(acquisition: Acquisition) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM or a closing terminal stop the camera; a second one leaves frames unfitted."""
    asked = 0

    def on_signal(number: int, frame: object) -> None:
        nonlocal asked
        asked += 1
        acquisition.stop(hurry=asked > 1)
        # Not by print: the handler may have come in the middle of one.
        os.write(2, STOPPING if asked == 1 else HURRYING)

    before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
