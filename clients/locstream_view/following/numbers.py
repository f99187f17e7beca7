"""The numbers that decide whether to go on, as text with units."""

from __future__ import annotations

from typing import NamedTuple

from locstream_view.following.notices import disk_minutes, lag
from locstream_view.following.seen import Seen
from locstream_view.model.model import Counted

LONG_MINUTES = 60 * 48


class Number(NamedTuple):
    """One line: what it is, its value, what it means, and whether it is as it should be."""

    label: str
    text: str
    tip: str
    good: bool = True


PHASES = {
    "waiting": "waiting",
    "following": "live",
    "silent": "connection lost",
    "ended": "ended",
    "file": "file",
}


def numbers(seen: Seen, counted: Counted) -> list[Number]:
    """Return the lines for one moment; fewer where less is known."""
    found = [Number("State", _state(seen), "what the acquisition does", seen.phase != "silent")]
    if seen.model is not None and seen.status is None:
        found.append(Number("Frames", f"{seen.model.last_frame + 1:,}", "frames in the results file"))
    if (status := seen.status) is not None:
        ledger = status.ledger
        behind = lag(status)
        lag_text = "–" if behind is None else f"{behind:.1f} s"
        dropped = ledger.camera_dropped + status.suspected_drops
        found += [
            Number("Acquired", f"{ledger.acquired:,} frames  ·  {status.fps_acquired:.1f}/s", "frames from the camera"),
            Number(
                "Fitted", f"{ledger.fitted:,} frames  ·  {status.fps_fitted:.1f}/s", "frames whose fits are on disk"
            ),
            Number(
                "Lag",
                f"{lag_text}  ·  {ledger.pending:,} wait",
                "how far the picture is behind the camera",
                behind is None or behind < 5,
            ),
            Number(
                "Dropped", _dropped(seen), "frames that the camera left out (+ suspected by their times)", not dropped
            ),
            Number("Workers", f"{status.workers}", "fit workers that are ready"),
            Number("Disk", _disk(seen), "room on the disk, and for how long at this rate"),
        ]
        if status.quality is not None and status.quality.fits:
            text = f"{status.quality.chi2:.2f}  ·  {100 * status.quality.chi2_excess:.0f} % poor"
            found.append(Number("Fit χ²", text, status.quality.text))
    share = f"  ·  {100 * counted.shown / counted.total:.0f} % shown" if counted.shown != counted.total else ""
    tip = "localizations in the picture; those that the filters leave out are not deleted"
    found.append(Number("Localizations", f"{counted.total:,}{share}", tip))
    if seen.model is not None and seen.model.last_frame >= 0:
        per_frame = counted.total / (seen.model.last_frame + 1)
        found.append(Number("Per frame", f"{per_frame:,.1f}", "mean of the whole acquisition"))
    return found


def _state(seen: Seen) -> str:
    if seen.end is not None:
        return f"ended: {seen.end.outcome}"
    if seen.phase == "following" and seen.status is not None:
        return seen.status.state
    return PHASES[seen.phase]


def _dropped(seen: Seen) -> str:
    if seen.status is None:
        return "–"
    suspected = seen.status.suspected_drops
    return f"{seen.status.ledger.camera_dropped:,}" + (f"  (+{suspected:,} suspected)" if suspected else "")


def _disk(seen: Seen) -> str:
    if seen.status is None or not seen.status.disk_free_mb:
        return "–"
    free = f"{seen.status.disk_free_mb / 1000:,.0f} GB"
    minutes = disk_minutes(seen.status, seen)
    if minutes is None:
        return free
    if minutes > LONG_MINUTES:
        return f"{free}  ·  days"
    return f"{free}  ·  {minutes / 60:.0f} h" if minutes > 120 else f"{free}  ·  {minutes:.0f} min"
