"""Finishes what a killed run left: every committed localization, every complete page, and what comes of them.

Every step leaves files from which the same call goes on: results are committed frame by frame, and files get their
final names whole. So it may be cut off anywhere and done again, and what is finished is not touched any more.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from locstream.bundle.files import EMPTY_STACK_BYTES, RunFiles
from locstream.bundle.finish import Ending, finish_run, finish_stack
from locstream.bundle.fit_pages import How, Progress, fit_pages
from locstream.bundle.remains import Remains
from locstream.bundle.run_lock import RunLock
from locstream.bundle.stored_settings import stored_settings
from locstream.bundle.summary import Summary
from locstream.bundle.whole_file import remove_left_over
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import CameraCalibration
from locstream.errors import ResultsError
from locstream.fitting import FitOptions
from locstream.rendering.options import RenderOptions
from locstream.results.file import ResultsWriter
from locstream.results.header import ResultsHeader
from locstream.results.layout import DAMAGED, FINAL, LIVE
from locstream.results.ledger import LedgerSnapshot
from locstream.results.reader import ResultsReader
from locstream.results.recover import clean, recover_results
from locstream.results.repair import repair
from locstream.stacks.disk import StackInUseError
from locstream.stacks.live_frames import read_pages_info
from locstream.stacks.live_repair import being_written, repair_live_stack
from locstream.stacks.ome import finalize_ome_tiff
from locstream.stacks.ome_xml import StackMetadata
from locstream.stacks.open import open_stack
from locstream.stacks.source import SourceInfo

FAULT = "the run was killed before it could finish; its files were recovered"
RECORDER_PATIENCE_S = 60.0
"""A recorder outlives its acquisition until all that it had been given is written."""
FSYNC_INTERVAL_S = 2.0
LIVE_STACK = ".live.tif"
RUN_LOCK = ".run.lock"


@dataclass(frozen=True)
class RecoveredRun:
    """What became of one run.

    Parameters
    ----------
    name
        Name of the run.
    summary
        What it came to; None where there is nothing to summarize.
    said
        What the user must know then.
    """

    name: str
    summary: Summary | None
    said: str = ""


def unfinished_runs(folder: Path) -> list[RunFiles]:
    """Return the runs in a folder that are not finished, or still going on, by name.

    Parameters
    ----------
    folder
        Folders inside it are not looked into.
    """
    names = {path.name.removesuffix(end) for end in (LIVE, LIVE_STACK) for path in folder.glob(f"*{end}")}
    for results in folder.glob(f"*{FINAL}"):
        files = RunFiles(folder, results.name.removesuffix(FINAL))
        if not files.summary.exists() and _is_ours(results):
            names.add(files.name)
    return [RunFiles(folder, name) for name in sorted(names)]


def recover_run(files: RunFiles, progress: Progress = lambda done, total: None) -> RecoveredRun:
    """Complete the files of one unfinished run.

    Results are cut back to the last commit, and the stack to its last complete page. Frames in the stack that were
    never fitted are fitted as the run would have done it. Then every file gets its final name and form.

    Parameters
    ----------
    files
        Names of the run.
    progress
        Told while frames are fitted.

    Raises
    ------
    FileInUseError
        The run is still going on; nothing was touched.
    LocstreamError
        Results or stack are damaged beyond repair, or the disk refuses; says what is safe.
    """
    with RunLock(files):
        growing = files.live_results.exists() or files.live_stack.exists()
        if not growing and (files.summary.exists() or not files.results.exists()):
            return RecoveredRun(files.name, None, "it has just been recovered by another process")
        _wait_for_recorder(files)
        for left in files.folder.glob(f".{glob.escape(files.name)}_*.part"):
            remove_left_over(left)  # of pictures and a summary that were being written
        if not (files.live_results.exists() or files.results.exists()):
            return _recover_stack_alone(files)
        if files.live_results.exists():
            if (remains := _look(files)).nothing:
                return _discard(files, remains.header.height * remains.header.width * 2)
            _recover_results(files, remains, progress)
        return RecoveredRun(files.name, _finish(files))


def clean_folder(folder: Path) -> None:
    """Remove what processes that were killed have left beside finished runs: locks, and files that never began."""
    clean(folder)
    for lock in folder.glob(f"*{RUN_LOCK}"):
        try:
            RunLock(RunFiles(folder, lock.name.removesuffix(RUN_LOCK))).release()
        except ResultsError:  # in use, or not ours to remove
            continue


def source_info(header: ResultsHeader) -> SourceInfo:
    """Return what a header keeps of the source."""
    return SourceInfo(
        camera=header.camera,
        width=header.width,
        height=header.height,
        serial=header.serial,
        frames=header.frames_expected,
        pixel_size_nm=header.pixel_size_nm,
        exposure_ms=header.exposure_ms,
        interval_ms=header.interval_ms,
        bit_depth=header.bit_depth,
        roi_x=header.roi_x,
        roi_y=header.roi_y,
        details=header.source,
    )


def _wait_for_recorder(files: RunFiles) -> None:
    deadline = time.monotonic() + RECORDER_PATIENCE_S
    while files.live_stack.exists() and being_written(files.live_stack):
        if time.monotonic() > deadline:
            raise StackInUseError(
                f"{files.live_stack} is still being written, although the acquisition has ended",
                safe="every page that is complete",
                todo="wait until its recorder has written what it had been given, then run `locstream recover` again",
            )
        time.sleep(0.1)


def _look(files: RunFiles) -> Remains:
    repair(files.live_results)
    if files.live_stack.exists():
        repair_live_stack(files.live_stack)
    return Remains.of(files)


def _discard(files: RunFiles, frame_bytes: int = 0) -> RecoveredRun:
    """Remove what is left of a run that was killed before its first frame was complete."""
    said = "it was killed before its first frame; nothing had been recorded"
    stack = files.live_stack
    if stack.exists() and stack.stat().st_size > EMPTY_STACK_BYTES + frame_bytes:
        kept = stack.replace(stack.with_name(stack.name + DAMAGED))
        said = f"no page of its stack can be read, as a power cut may leave it; it is kept as {kept}"
    files.discard_unstarted()
    stack.unlink(missing_ok=True)
    return RecoveredRun(files.name, None, said)


def _recover_results(files: RunFiles, remains: Remains, progress: Progress) -> None:
    """Bring the results up to the last page of the stack, and finish them."""
    if remains.unfitted and remains.calibration is not None and remains.stack is not None:
        how = _how(remains.header, remains.calibration)
        with (
            closing(open_stack(remains.stack)) as stack,
            ResultsWriter.resume(files.live_results, fsync_interval_s=FSYNC_INTERVAL_S) as results,
        ):
            fit_pages(stack, remains.pages, results, how, progress)
        remains = _look(files)
    told = {
        "outcome": "recovered",
        "fault": FAULT,
        "ledger": remains.ledger().as_dict(),
        "warnings": remains.warnings(files),
    }
    recover_results(files.live_results, told)


def _how(header: ResultsHeader, calibration: CameraCalibration) -> How:
    astigmatism = stored_settings(AstigmatismCalibration, header.astigmatism, header) if header.depth else None
    return How(calibration, stored_settings(FitOptions, header.fit, header), astigmatism)


def _recover_stack_alone(files: RunFiles) -> RecoveredRun:
    """Finish a stack beside which there are no results: killed at once, or these were lost in a power cut."""
    pages = repair_live_stack(files.live_stack)
    if not pages:
        return _discard(files)
    with closing(open_stack(files.live_stack)) as stack:
        source = SourceInfo(camera="", width=stack.info.width, height=stack.info.height)
    numbers, times_s = read_pages_info(files.live_stack)
    metadata = StackMetadata(source, name=files.name, frame_numbers=numbers, times_s=times_s)
    finalize_ome_tiff(files.live_stack, files.stack, metadata)
    return RecoveredRun(
        files.name,
        None,
        f"{pages:,} frames are in {files.stack}, and there are no results beside them: "
        f"`locstream replay {files.stack}` fits them",
    )


def _finish(files: RunFiles) -> Summary:
    """Give the rest its final form, once the results have theirs; how the run ended stands in them."""
    with ResultsReader(files.results) as results:
        header, records, told = results.header, results.frames(), results.summary
    source = source_info(header)
    finish_stack(files, source)
    warnings = list(told.get("warnings", ()))
    if told.get("outcome", "recovered") != "recovered":
        warnings.append("the run had ended, and `locstream recover` finished its files")
    known_s = records["time_s"][np.isfinite(records["time_s"])]
    ending = Ending(
        outcome=told.get("outcome", "recovered"),
        fault=told.get("fault", FAULT),
        ledger=_ledger(told["ledger"]),
        started_s=header.started_s,
        finished_s=float(known_s[-1]) if len(known_s) else header.started_s,
        warnings=tuple(warnings),
    )
    options = stored_settings(RenderOptions, header.config.get("render", {}), header)
    return finish_run(files, source, ending, options, overwrite=True)


def _ledger(told: Mapping[str, Any]) -> LedgerSnapshot:
    return LedgerSnapshot(**{**told, "gaps": tuple((first, count) for first, count in told["gaps"])})


def _is_ours(results: Path) -> bool:
    """Tell a file of ours from one that Picasso itself has written."""
    try:
        with ResultsReader(results):
            return True
    except ResultsError:
        return False
