"""What a run came to, in a few lines for the screen."""

from __future__ import annotations

from locstream.bundle.summary import Fits, Summary

WARNINGS_SHOWN = 2


def summary_text(summary: Summary) -> str:
    """Return the summary in 7 to 13 lines for the end of a run, units everywhere."""
    s, source, frames, found, speed = summary, summary.source, summary.frames, summary.localizations, summary.speed
    latency = f"{_number(speed.latency_p50_ms, ' ms')} (p50), {_number(speed.latency_p99_ms, ' ms')} (p99)"
    lines = [
        ("when", f"{s.started:%Y-%m-%d %H:%M:%S} UTC, for {_duration(s.duration_s)}"),
        (
            "camera",
            f"{source.camera or 'unknown'}, {source.width_px} × {source.height_px} px of {source.pixel_size_nm:g} nm, "
            f"exposure {_number(source.exposure_ms, ' ms')}",
        ),
        (
            "frames",
            f"{frames.acquired:,} acquired = {frames.fitted:,} fitted + {frames.pending:,} pending + "
            f"{frames.skipped:,} skipped + {frames.failed:,} failed; the camera dropped {frames.camera_dropped:,}",
        ),
        (
            "found",
            f"{found.total:,} localizations, {_number(found.per_frame_median)} a frame (median), "
            f"{_number(found.per_frame_mean)} (mean)",
        ),
        (
            "medians",
            f"{_number(found.photons_median)} photons, background {_number(found.background_median)} photons/px, "
            f"sigma {_number(found.sigma_nm_median, ' nm')}, precision {_number(found.precision_nm_median, ' nm')}",
        ),
        (
            "speed",
            f"acquired {_number(speed.acquired_fps, ' frames/s')}, fitted {_number(speed.fitted_fps, ' frames/s')}, "
            f"latency {latency}",
        ),
    ]
    if s.fits is not None:
        lines.append(("fits", _fits(s.fits)))
    if s.files:
        lines.append(("files", ", ".join(s.files)))
    if s.fault:
        lines.append(("fault", " ".join(s.fault.split())))
    lines += [("warning", " ".join(w.split())) for w in s.warnings[:WARNINGS_SHOWN]]
    if len(s.warnings) > WARNINGS_SHOWN:
        lines.append(("", f"and {len(s.warnings) - WARNINGS_SHOWN:,} more warnings in the summary file"))
    return "\n".join([f"{s.name}: {s.outcome}", *(f"  {label:<9}{text}" for label, text in lines)])


def _fits(fits: Fits) -> str:
    said = [f"chi-square {fits.chi2_median:.2f} (median), {100 * fits.chi2_excess:.1f} % above the 1 % point"]
    if fits.width_first_nm is not None and fits.width_last_nm is not None:
        said.append(f"width {fits.width_first_nm:.0f} nm at first, {fits.width_last_nm:.0f} nm at last")
    if fits.z_first_nm is not None and fits.z_last_nm is not None:
        said.append(f"depth {fits.z_first_nm:+.0f} nm at first, {fits.z_last_nm:+.0f} nm at last")
    return ", ".join(said)


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "unknown"
    decimals = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}{unit}"


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
