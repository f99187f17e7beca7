"""``locstream fit``: a finished stack, all cores, no sockets; the same files as a replay leaves."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from locstream.bundle.finish import Ending, finish_run
from locstream.bundle.run_lock import RunLock
from locstream.bundle.summary import Summary
from locstream.bundle.summary_text import summary_text
from locstream.calibrating.fit_quality import FitQuality
from locstream.errors import LocstreamError
from locstream.fitting.fit import fit_frames
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.ledger import Ledger
from locstream.stacks.open import open_stack
from locstream.stacks.source import Image, Stack
from locstream.upload.hook import queue_if_asked
from locstreamd.service.cameras import estimated
from locstreamd.service.commands import add_stack_arguments, stack_config
from locstreamd.service.config import Config
from locstreamd.service.plan import Prepared, settle


def command(arguments: Sequence[str]) -> int:
    """Fit a recorded stack with every processor. `locstream replay` does the same through the live pipeline."""
    parser = argparse.ArgumentParser(prog="locstream fit", description=command.__doc__)
    add_stack_arguments(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="threads to fit with (one a processor)")
    given = parser.parse_args(arguments)
    if given.threads is not None and given.threads < 1:
        raise LocstreamError(f"--threads {given.threads}: at least 1 is needed", safe="nothing was started")
    config = stack_config(given)
    with closing(open_stack(given.stack)) as stack:
        print(summary_text(fit_stack(config, stack, given.pixel_size_nm, given.threads, given.stack)))
    return 0


def fit_stack(
    config: Config, stack: Stack, pixel_size_nm: float | None, threads: int | None, path: Path | None
) -> Summary:
    """Fit every frame of a stack and leave results, pictures and summary.

    Parameters
    ----------
    config
        How, and where to.
    stack
        The frames.
    pixel_size_nm
        Wins over what the configuration and the stack say, nm.
    threads
        To fit with; None for one a processor.
    path
        Where the stack lies, for the results; None for one that does not stay.

    Raises
    ------
    LocstreamError
        A frame cannot be read, files exist already, or the disk refuses; says what is safe.
    """
    info = stack.info
    prepared = settle(config, info, estimated(stack), pixel_size_nm, path)
    files, header, task = prepared.files, prepared.header, prepared.task
    for warning in (*info.warnings, *prepared.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    with RunLock(files):
        quality = FitQuality(task.options, task.calibration)
        ledger = _fit_into(prepared, stack, threads, quality).snapshot()
        finished_s = time.time()
        learned = {
            "outcome": "complete",
            "ledger": ledger.as_dict(),
            "quality": msgspec.to_builtins(quality.report()),
        }
        finalize(files.live_results, files.results, learned)
        ending = Ending(
            "complete",
            None,
            ledger,
            header.started_s,
            finished_s,
            fitted_fps=len(stack) / (finished_s - header.started_s),
            warnings=(*prepared.warnings, *quality.changes()),
        )
        summary = finish_run(files, info, ending, config.render)
        queue_if_asked(files)
    return summary


def _fit_into(prepared: Prepared, stack: Stack, threads: int | None, quality: FitQuality) -> Ledger:
    """Fit every frame into the live results; return where they all are."""
    ledger, bar, task = Ledger(), ProgressBar(len(stack)), prepared.task
    with ResultsWriter(prepared.files.live_results, prepared.header, calibration=task.calibration) as results:
        tables = fit_frames(
            _frames(stack),
            task.calibration,
            task.options,
            astigmatism=task.astigmatism,
            threads=threads,
            progress=bar.show,
        )
        for number, rows in enumerate(tables):
            results.append(rows, frame_records(number, prepared.header.started_s, len(rows), FrameOutcome.FITTED))
            quality.add(rows)
            ledger.acquire(number)
            ledger.settle(number, FrameOutcome.FITTED)
    bar.end()
    return ledger


def _frames(stack: Stack) -> Iterator[Image]:
    for index in range(len(stack)):
        yield stack.read(index)


class ProgressBar:
    """A bar with frames done, rate and time to go; in a terminal one line, elsewhere one at every tenth."""

    WIDTH = 30

    def __init__(self, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._shown = -1.0
        self._terminal = sys.stderr.isatty()

    def show(self, done: int) -> None:
        """Show how many frames are done."""
        share = done / self._total
        if share < 1 and share - self._shown < (0.002 if self._terminal else 0.1):
            return
        self._shown = share
        rate = done / max(time.monotonic() - self._began, 1e-9)
        bar = "█" * round(self.WIDTH * share)
        text = f"{bar:<{self.WIDTH}} {done:,} / {self._total:,} frames, {rate:,.0f} frames/s"
        text += f", {(self._total - done) / rate:.0f} s to go"
        print(
            f"\r{text}  " if self._terminal else text, end="" if self._terminal else "\n", file=sys.stderr, flush=True
        )

    def end(self) -> None:
        """Go on below the bar."""
        if self._terminal:
            print(file=sys.stderr)
