"""Finishes a run: results and stack under their final names, pictures, summary.

The same steps serve the end of an acquisition and the recovery of one that was killed; each may be cut
off anywhere and done again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from locstream.bundle.files import RunFiles
from locstream.bundle.images import write_reconstruction
from locstream.bundle.summary import Outcome, Summary, summarize, write_summary
from locstream.rendering.options import RenderOptions
from locstream.results.ledger import LedgerSnapshot
from locstream.results.reader import ResultsReader
from locstream.stacks.live import repair_live_stack
from locstream.stacks.ome import finalize_ome_tiff
from locstream.stacks.ome_xml import StackMetadata
from locstream.stacks.source import SourceInfo


@dataclass(frozen=True)
class Ending:
    """How a run ended, as far as its files do not say.

    Parameters
    ----------
    outcome, fault
        ``complete``, ``stopped`` or ``faulted``; the fault in a sentence.
    ledger
        The frame ledger at the end.
    started_s, finished_s
        Seconds since the epoch.
    acquired_fps, fitted_fps, latency_ms
        Speed; None where not known.
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
    latency_ms: tuple[float, float] | None = None
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
        files.live_stack.unlink()  # stopped before the first frame
        return None
    with ResultsReader(files.results) as results:
        header, records = results.header, results.frames()
    whole = len(records) == pages
    known = header.calibration
    metadata = StackMetadata(
        source=replace(source, pixel_size_nm=header.pixel_size_nm),
        name=files.name,
        times_s=records["time_s"] if whole else (),
        frame_numbers=records["frame"] if whole else (),
        offset_adu=known.offset_adu if known is not None else None,
        gain_e_per_adu=known.gain_e_per_adu if known is not None else None,
        read_noise_e=known.read_noise_e if known is not None else None,
        quantum_efficiency=known.quantum_efficiency if known is not None else None,
        em_gain=known.em_gain if known is not None else None,
        annotations={"AcquisitionID": header.acquisition_id, "Localizations": files.results.name},
    )
    finalize_ome_tiff(files.live_stack, files.stack, metadata)
    return files.stack


def finish_run(
    files: RunFiles, source: SourceInfo, ending: Ending, options: RenderOptions, *, overwrite: bool = False
) -> Summary:
    """Render the finished results and write the summary; return it.

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
        Replace pictures and summary of an earlier try.

    Raises
    ------
    LocstreamError
        A file exists already, or the disk refuses; says what is safe.
    """
    with ResultsReader(files.results) as results:
        header = results.header
        pictures = write_reconstruction(
            results.blocks(),
            files.folder,
            files.name,
            header.height,
            header.width,
            header.pixel_size_nm,
            options,
            overwrite=overwrite,
        )
        made = (files.results, files.results.with_suffix(".yaml"), pictures.png, pictures.ome_tiff)
        latency_p50_ms, latency_p99_ms = ending.latency_ms or (None, None)
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
            latency_p50_ms=latency_p50_ms,
            latency_p99_ms=latency_p99_ms,
            files=[*(p for p in (files.stack, files.truth) if p.exists()), *made, files.summary],
            warnings=[*ending.warnings, *pictures.warnings],
        )
    write_summary(files.summary, summary, overwrite=overwrite)
    return summary
