"""What a run came to, in one small file: NAME_summary.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator

import locstream
from locstream.bundle.medians import Median, PerFrame
from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.localizations import Localizations, precision_nm
from locstream.results.ledger import LedgerSnapshot
from locstream.stacks.source import SourceInfo
from locstream.stream.quality import Quality

Outcome = Literal["complete", "stopped", "faulted", "recovered"]
"""``recovered``: it was killed, and its files were finished later; every recorded frame that could be was fitted."""


class Part(BaseModel):
    """A group of facts in a summary."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Source(Part):
    """Where the frames came from."""

    camera: str
    serial: str
    width_px: int
    height_px: int
    pixel_size_nm: float
    """Edge of a camera pixel in the sample, nm, as the positions were computed with."""
    exposure_ms: float | None
    interval_ms: float | None


class Frames(Part):
    """The frame ledger at the end: acquired = fitted + pending + skipped + failed."""

    acquired: int
    fitted: int
    pending: int
    skipped: int
    failed: int
    camera_dropped: int
    """Frame numbers the camera left out; no part of `acquired`."""


class Found(Part):
    """The localizations; medians are within 0.2 %, and None where there is nothing to take one of."""

    total: int
    per_frame_median: float | None
    """Over the fitted frames, those without a localization included."""
    per_frame_mean: float | None
    photons_median: float | None
    background_median: float | None
    """Photons per pixel."""
    sigma_nm_median: float | None
    """Standard deviation of the fitted Gaussian, mean of x and y, nm."""
    precision_nm_median: float | None
    """Mean of the uncertainties of x and y, nm."""


class Speed(Part):
    """How fast it went; None where not known."""

    acquired_fps: float | None
    fitted_fps: float | None
    latency_p50_ms: float | None
    """From the camera's frame to its published localizations, ms."""
    latency_p99_ms: float | None
    committed_p50_ms: float | None = None
    """From the camera's frame to its localizations committed on disk, ms."""
    committed_p99_ms: float | None = None


class Fits(Part):
    """How well the fits of the last molecules describe their data; None where not known."""

    chi2_median: float
    """Chi-square per degree of freedom; 1 where the model is that of the image."""
    chi2_excess: float
    """Share of molecules above the 1 % point, which 0.01 of them exceed by chance."""
    residual_rms: float | None
    """What is left of the image around a molecule beyond chance, standard deviations of the pixel's noise."""
    width_first_nm: float | None
    """Median width of the molecules in the first ten seconds with enough of them, nm."""
    width_last_nm: float | None
    """The same of the last ones, nm: another one tells that focus was lost."""
    z_first_nm: float | None
    z_last_nm: float | None


class Summary(Part):
    """A run in one page."""

    summary_version: Literal[1] = 1
    name: str
    acquisition_id: str
    software: str
    outcome: Outcome
    fault: str | None
    """What stopped the run, in a sentence; None unless the outcome is "faulted" or "recovered"."""
    started: AwareDatetime
    """UTC, ISO 8601."""
    finished: AwareDatetime
    """UTC, ISO 8601."""
    duration_s: float
    source: Source
    frames: Frames
    localizations: Found
    speed: Speed
    fits: Fits | None = None
    files: tuple[str, ...]
    """File names in the run's folder."""
    warnings: tuple[str, ...]
    """Sentences the user must see."""

    @model_validator(mode="after")
    def _fault_is_told(self) -> Self:
        if (self.outcome in ("faulted", "recovered")) != bool(self.fault):
            raise ValueError(f"outcome {self.outcome!r} with fault {self.fault!r}: a fault, and only one, is told")
        return self


def summarize(
    rows: Localizations | Iterable[Localizations],
    *,
    name: str,
    acquisition_id: str,
    outcome: Outcome,
    started_s: float,
    finished_s: float,
    source: SourceInfo,
    pixel_size_nm: float,
    ledger: LedgerSnapshot,
    fault: str | None = None,
    acquired_fps: float | None = None,
    fitted_fps: float | None = None,
    latency_p50_ms: float | None = None,
    latency_p99_ms: float | None = None,
    committed_p50_ms: float | None = None,
    committed_p99_ms: float | None = None,
    quality: Quality | None = None,
    files: Iterable[Path | str] = (),
    warnings: Iterable[str] = (),
) -> Summary:
    """Put together what a run came to.

    The medians come from counts of the values' leading bits, so memory stays the same (about 8 MB and 8
    bytes a frame) however many rows there are, and each lies within 0.2 % of the exact one.

    Parameters
    ----------
    rows
        The localizations: a table of dtype `LOCALIZATION`, or batches of one in any order.
    name, acquisition_id
        Of the run.
    outcome, fault
        How it ended; the fault in a sentence where it is "faulted" or "recovered".
    started_s, finished_s
        Seconds since the epoch.
    source
        What the source said of itself; its warnings are kept.
    pixel_size_nm
        Pixel size that the positions were computed with, nm.
    ledger
        The frame ledger at the end.
    acquired_fps, fitted_fps
        Frames per second, None where not known.
    latency_p50_ms, latency_p99_ms
        From frame to published localizations, ms, None where not known.
    committed_p50_ms, committed_p99_ms
        From frame to localizations committed on disk, ms, None where not known.
    quality
        What was known of the fits at the end; None where nothing is.
    files
        What the run left behind; their names are kept, not their folder.
    warnings
        Sentences; those about the ledger are added here.

    Raises
    ------
    ResultsError
        A row's frame number is `MAX_FRAMES` or more: the table is damaged.
    """
    return Summary(
        name=name,
        acquisition_id=acquisition_id,
        software=f"locstream {locstream.__version__}",
        outcome=outcome,
        fault=fault,
        started=datetime.fromtimestamp(started_s, UTC),
        finished=datetime.fromtimestamp(finished_s, UTC),
        duration_s=round(finished_s - started_s, 3),
        source=Source(
            camera=source.camera,
            serial=source.serial,
            width_px=source.width,
            height_px=source.height,
            pixel_size_nm=pixel_size_nm,
            exposure_ms=source.exposure_ms,
            interval_ms=source.interval_ms,
        ),
        frames=Frames(**{field: getattr(ledger, field) for field in Frames.model_fields}),
        localizations=_found(rows, ledger.fitted),
        speed=Speed(
            acquired_fps=acquired_fps,
            fitted_fps=fitted_fps,
            latency_p50_ms=latency_p50_ms,
            latency_p99_ms=latency_p99_ms,
            committed_p50_ms=committed_p50_ms,
            committed_p99_ms=committed_p99_ms,
        ),
        fits=_fits(quality),
        files=tuple(Path(f).name for f in files),
        warnings=tuple(dict.fromkeys([*source.warnings, *warnings, *_ledger_warnings(ledger)])),
    )


def summary_json(summary: Summary) -> bytes:
    """Return a summary as it lies in its file: JSON, UTF-8, indented."""
    return f"{summary.model_dump_json(indent=2)}\n".encode()


def write_summary(path: Path, summary: Summary, *, overwrite: bool = False) -> None:
    """Write a summary as JSON (UTF-8, indented), complete or not at all.

    Raises
    ------
    LocstreamError
        The file exists and is not to be replaced, or the disk refuses.
    """
    try:
        with whole_file(path, overwrite=overwrite) as part:
            part.write_bytes(summary_json(summary))
    except OSError as error:
        raise LocstreamError(
            f"the summary {path} could not be written: {error.strerror or error}",
            safe="writing it changes no other file; frames and localizations are as they were",
            todo="make room on the disk or choose another folder",
        ) from error


def _found(rows: Localizations | Iterable[Localizations], fitted: int) -> Found:
    total, per_frame = 0, PerFrame()
    photons, background, sigma, precision = Median(), Median(), Median(), Median()
    for batch in [rows] if isinstance(rows, np.ndarray) else rows:
        total += len(batch)
        per_frame.add(batch["frame"])
        photons.add(batch["photons"])
        background.add(batch["background"])
        sigma.add((batch["sigma_x_nm"] + batch["sigma_y_nm"]) / 2)
        precision.add(precision_nm(batch))
    counts = per_frame.over(fitted)
    return Found(
        total=total,
        per_frame_median=float(np.median(counts)) if counts.size else None,
        per_frame_mean=float(f"{counts.mean():.4g}") if counts.size else None,
        photons_median=photons.value,
        background_median=background.value,
        sigma_nm_median=sigma.value,
        precision_nm_median=precision.value,
    )


def _fits(quality: Quality | None) -> Fits | None:
    if quality is None or not quality.fits:
        return None
    return Fits(
        chi2_median=quality.chi2,
        chi2_excess=quality.chi2_excess,
        residual_rms=quality.residual_rms if quality.residual_spots else None,
        width_first_nm=quality.width_first_nm,
        width_last_nm=quality.width_now_nm,
        z_first_nm=quality.z_first_nm,
        z_last_nm=quality.z_now_nm,
    )


def _ledger_warnings(ledger: LedgerSnapshot) -> Sequence[str]:
    sentences = []
    if ledger.camera_dropped:
        sentences.append(f"the camera dropped {ledger.camera_dropped:,} frames")
    if ledger.failed:
        sentences.append(f"{ledger.failed:,} frames could not be fitted; the log says why")
    if ledger.pending:
        sentences.append(f"{ledger.pending:,} frames were acquired but not fitted")
    if not ledger.balanced:
        sentences.append("the frame ledger does not balance; please report this")
    return sentences
