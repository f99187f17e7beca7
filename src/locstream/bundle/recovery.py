"""Finishes what a killed run left: the stack repaired, pictures and summary made from what was committed."""

from __future__ import annotations

import time
from pathlib import Path

from locstream.bundle.files import RunFiles
from locstream.bundle.finish import Ending, finish_run, finish_stack
from locstream.bundle.summary import Summary
from locstream.errors import ResultsError
from locstream.rendering.options import RenderOptions
from locstream.results.header import ResultsHeader
from locstream.results.layout import FINAL
from locstream.results.ledger import snapshot_of
from locstream.results.reader import ResultsReader
from locstream.stacks.live import repair_live_stack
from locstream.stacks.source import SourceInfo

FAULT = "the run was killed before it could finish; its files were recovered"


def unfinished_runs(folder: Path) -> list[RunFiles]:
    """Return the runs in a folder that have results of ours under their final name and no summary."""
    found = []
    for results in sorted(folder.glob(f"*{FINAL}")):
        files = RunFiles(folder, results.name.removesuffix(FINAL))
        if not files.summary.exists() and _is_ours(results):
            found.append(files)
    return found


def recover_run(files: RunFiles) -> Summary:
    """Complete the files of one such run and return its summary. Doing it again is harmless.

    Raises
    ------
    LocstreamError
        The stack cannot be repaired, or the disk refuses; says what is safe.
    """
    with ResultsReader(files.results) as results:
        header = results.header
        records = results.frames()
    source = source_info(header)
    warnings = []
    if files.live_stack.exists():
        pages = repair_live_stack(files.live_stack)
        if pages > len(records):
            warnings.append(
                f"{pages - len(records):,} frames are in the raw stack and were not fitted; "
                f"`locstream replay {files.stack}` fits all of it"
            )
        finish_stack(files, source)
    ending = Ending(
        outcome="faulted",
        fault=FAULT,
        ledger=snapshot_of(records),
        started_s=header.started_s,
        finished_s=float(records["time_s"][-1]) if len(records) else time.time(),
        warnings=tuple(warnings),
    )
    options = RenderOptions.model_validate(header.config.get("render", {}))
    return finish_run(files, source, ending, options, overwrite=True)


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


def _is_ours(results: Path) -> bool:
    """Tell a file of ours from one that Picasso itself has written."""
    try:
        with ResultsReader(results):
            return True
    except ResultsError:
        return False
