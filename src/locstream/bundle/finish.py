"""Finishes a run: results and stack under their final names, pictures, summary.

The same steps serve the end of an acquisition and the recovery of one that was killed; each may be cut
off anywhere and done again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from locstream.bundle.crate import write_crate
from locstream.bundle.files import RunFiles
from locstream.bundle.further_tables import write_further_tables
from locstream.bundle.images import write_reconstruction
from locstream.bundle.kept_inputs import keep_inputs
from locstream.bundle.metadata import Metadata
from locstream.bundle.options import BundleOptions
from locstream.bundle.provenance import describe
from locstream.bundle.stored_settings import stored_settings
from locstream.bundle.summary import Outcome, Summary, summarize, summary_json, write_summary
from locstream.bundle.whole_stack import check_whole
from locstream.errors import StackError
from locstream.rendering.ome_zarr import zarr_is_there
from locstream.rendering.options import RenderOptions
from locstream.results.ledger import LedgerSnapshot
from locstream.results.reader import ResultsReader
from locstream.stacks.live_frames import read_pages_info
from locstream.stacks.live_repair import repair_live_stack
from locstream.stacks.ome import finalize_ome_tiff
from locstream.stacks.ome_xml import StackMetadata
from locstream.stacks.source import SourceInfo
from locstream.stream.quality import Quality
from locstream.stream.stages import Latency

NO_OME_ZARR = 'there is no OME-Zarr: the Python package zarr is not installed; `pip install "locstream[zarr]"`'


@dataclass(frozen=True)
class Ending:
    """How a run ended, as far as its files do not say.

    Parameters
    ----------
    outcome, fault
        ``complete``, ``stopped``, ``faulted`` or ``recovered``; the fault in a sentence.
    ledger
        The frame ledger at the end.
    started_s, finished_s
        Seconds since the epoch.
    acquired_fps, fitted_fps
        Speed; None where not known.
    committed, published
        From a frame to its localizations committed on disk, and published; None where not known.
    warnings
        Sentences the user must see.
    """

    outcome: Outcome
    fault: str | None
    ledger: LedgerSnapshot
    started_s: float
    finished_s: float
    acquired_fps: float | None = None
    fitted_fps: float | None = None
    committed: Latency | None = None
    published: Latency | None = None
    warnings: tuple[str, ...] = ()


def finish_stack(files: RunFiles, source: SourceInfo) -> Path | None:
    """Turn the live stack, if there is one, into NAME.ome.tif; return its path.

    Parameters
    ----------
    files
        Names of the run; its results are finished.
    source
        What the source said of itself.

    Raises
    ------
    StackError
        The stack cannot be completed; its pages stay readable as they are.
    """
    if not files.live_stack.exists():
        return files.stack if files.stack.exists() else None
    pages = repair_live_stack(files.live_stack)
    if not pages:
        _without_a_page(files)
        return None
    with ResultsReader(files.results) as results:
        header = results.header
    taken = read_pages_info(files.live_stack)
    known = header.calibration
    told = stored_settings(Metadata, header.config.get("metadata", {}), header)
    metadata = StackMetadata(
        source=replace(source, pixel_size_nm=header.pixel_size_nm),
        name=files.name,
        description="\n".join(text for text in (told.title, told.description) if text),
        times_s=taken.times_s,
        frame_numbers=taken.numbers,
        offset_adu=known.offset_adu if known is not None else None,
        gain_e_per_adu=known.gain_e_per_adu if known is not None else None,
        read_noise_e=known.read_noise_e if known is not None else None,
        quantum_efficiency=known.quantum_efficiency if known is not None else None,
        em_gain=known.em_gain if known is not None else None,
        experiment=told.experiment(),
        annotations={**told.pairs(), "AcquisitionID": header.acquisition_id, "Localizations": files.results.name},
    )
    finalize_ome_tiff(files.live_stack, files.stack, metadata)
    return files.stack


def _without_a_page(files: RunFiles) -> None:
    """Remove a stack that was stopped before its first frame; keep one whose first page cannot be read."""
    if files.stack_is_empty:
        files.live_stack.unlink()
        return
    kept = files.live_stack.with_name(files.live_stack.name + ".damaged")
    files.live_stack.replace(kept)
    raise StackError(
        f"the first page of the raw stack of {files.name} cannot be read, and so none behind it",
        safe=f"the file is kept as it is: {kept}",
        todo="the frames are in it, one behind another; ask for help before you delete it",
    )


def finish_run(
    files: RunFiles, source: SourceInfo, ending: Ending, options: RenderOptions, *, overwrite: bool = False
) -> Summary:
    """Render the finished results, keep what made them, describe it all and write the summary; return it.

    The summary comes last: a run that has one is finished.

    Parameters
    ----------
    files
        Names of the run; its results are finished.
    source
        What the source said of itself.
    ending
        How the run ended.
    options
        How to render.
    overwrite
        Replace pictures, tables and summary of an earlier try.

    Raises
    ------
    LocstreamError
        A file exists already, the disk refuses, or the raw stack is cut short; says what is safe.
    """
    with ResultsReader(files.results) as results:
        header = results.header
        bundle = stored_settings(BundleOptions, header.config.get("bundle", {}), header)
        metadata = stored_settings(Metadata, header.config.get("metadata", {}), header)
        zarr_wanted = "ome-zarr" in bundle.also
        pictures = write_reconstruction(
            results.blocks(),
            files,
            header.height,
            header.width,
            header.pixel_size_nm,
            options,
            ome_zarr=zarr_wanted and zarr_is_there(),
            overwrite=overwrite,
        )
        write_further_tables(files, results, bundle, overwrite=overwrite)
        missing = keep_inputs(files, header, overwrite=overwrite)
        if zarr_wanted and not zarr_is_there():
            missing = (*missing, NO_OME_ZARR)
        there = [path for path in files.finished if path.exists() and path != files.summary]
        committed, published = ending.committed, ending.published
        summary = summarize(
            results.blocks(),
            name=files.name,
            acquisition_id=header.acquisition_id,
            outcome=ending.outcome,
            fault=ending.fault,
            started_s=ending.started_s,
            finished_s=ending.finished_s,
            source=source,
            pixel_size_nm=header.pixel_size_nm,
            ledger=ending.ledger,
            acquired_fps=ending.acquired_fps,
            fitted_fps=ending.fitted_fps,
            latency_p50_ms=published.p50_ms if published is not None else None,
            latency_p99_ms=published.p99_ms if published is not None else None,
            committed_p50_ms=committed.p50_ms if committed is not None else None,
            committed_p99_ms=committed.p99_ms if committed is not None else None,
            quality=_quality(results),
            files=[*there, files.summary, files.crate],
            warnings=[*ending.warnings, *pictures.warnings, *missing],
        )
    if files.stack.exists():
        check_whole(files.stack)
    written = {files.summary.name: summary_json(summary)}
    write_crate(files, *describe(files, header, summary, metadata, written))
    write_summary(files.summary, summary, overwrite=overwrite)
    return summary


def _quality(results: ResultsReader) -> Quality | None:
    """Return what the results keep of the fits' quality; a run that was killed has none."""
    kept = results.summary.get("quality")
    return None if kept is None else msgspec.convert(kept, Quality)
