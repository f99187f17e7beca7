"""What is wrong, in sentences: loud, and with what to do. Nothing here where all is well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from locstream.stream.messages import Status
from locstream_view.following.seen import Seen

Severity = Literal["wrong", "attention"]
LAG_S = 5.0
DISK_MINUTES = 10.0


class Notice(NamedTuple):
    """One thing that is not as it should be: what, and what to do."""

    severity: Severity
    what: str
    todo: str


def notices(seen: Seen) -> list[Notice]:
    """Return what is wrong now, the worst first."""
    found = [*_of_the_stream(seen), *(_of_the_status(seen.status, seen) if seen.status is not None else ())]
    return sorted(found, key=lambda notice: notice.severity != "wrong")


def _of_the_stream(seen: Seen) -> Iterator[Notice]:
    if seen.end is not None and seen.end.outcome == "faulted":
        yield Notice(
            "wrong",
            f"the acquisition ended in a fault: {seen.end.message or 'no reason was given'}",
            "everything taken is on disk; see the acquisition's own messages before you start again",
        )
    if seen.phase == "silent":
        yield Notice(
            "wrong",
            f"nothing has come from {seen.words} for {seen.silent_s:.0f} s, and it did not say that it ended",
            "the picture is as it was; look at the acquiring program, `locstream recover FOLDER` finishes a run that "
            "died. This window connects again by itself",
        )
    if seen.trouble:
        yield Notice("wrong", seen.trouble.replace("\n", " "), "")
    if seen.missing_rows:
        yield Notice(
            "attention",
            f"{seen.missing_rows:,} localizations are not in this picture: they were published before this window "
            "opened, or lost on the way",
            "nothing is lost: the results file on the acquiring computer holds all; open that when it has ended",
        )


def _of_the_status(status: Status, seen: Seen) -> Iterator[Notice]:
    ledger = status.ledger
    if status.warning and seen.end is None:
        yield Notice("wrong" if status.state == "done" else "attention", status.warning, "")
    if ledger.camera_dropped:
        yield Notice(
            "wrong",
            f"the camera has dropped {ledger.camera_dropped:,} frames",
            "lower the frame rate or the region of interest; what came is safe, the gaps are in the results",
        )
    if ledger.failed:
        yield Notice("attention", f"{ledger.failed:,} frames could not be fitted", "they are in the raw stack")
    lag_s = lag(status)
    if lag_s is not None and lag_s > LAG_S and seen.end is None:
        yield Notice(
            "attention",
            f"fitting is {lag_s:,.0f} s behind the camera ({ledger.pending:,} frames wait)",
            "nothing is lost, they are fitted in the end; more workers or a higher threshold catch up sooner",
        )
    minutes = disk_minutes(status, seen)
    if minutes is not None and minutes < DISK_MINUTES and status.state == "acquiring":
        yield Notice(
            "wrong" if minutes < 2 else "attention",
            f"the disk has room for {minutes:.0f} min more at this rate ({status.disk_free_mb / 1000:,.1f} GB)",
            "make room; the acquisition stops by itself before the disk is full",
        )


def lag(status: Status) -> float | None:
    """Return by how much the newest fitted frame is behind the camera, s; None where the camera stands still."""
    if status.lag_s > 0:
        return status.lag_s
    rate = status.fps_acquired if status.fps_acquired > 0 else status.fps_fitted
    return status.ledger.pending / rate if rate > 0 else None


def disk_minutes(status: Status, seen: Seen) -> float | None:
    """Return for how long the disk has room at the present rate, min; None where that is not known."""
    if seen.hello is None or not status.disk_free_mb or not status.fps_acquired:
        return None
    mb_per_s = seen.hello.width * seen.hello.height * 2e-6 * status.fps_acquired
    return status.disk_free_mb / mb_per_s / 60
