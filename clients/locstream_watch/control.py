"""``locstream status`` and ``locstream stop``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from locstream.errors import LocstreamError
from locstream.stream.control import ask
from locstream.stream.messages import Reply
from locstream.stream.runtime import find


def status_command(arguments: Sequence[str]) -> int:
    """Say how a running acquisition goes."""
    reply = _ask("status", arguments, status_command.__doc__)
    print(status_text(reply))
    return 0


def stop_command(arguments: Sequence[str]) -> int:
    """Stop the camera of a running acquisition; what was taken is still fitted and filed."""
    print(_ask("stop", arguments, stop_command.__doc__).message)
    return 0


def abort_command(arguments: Sequence[str]) -> int:
    """Stop the camera of a running acquisition and leave frames that wait unfitted; they are in the raw stack."""
    print(_ask("abort", arguments, abort_command.__doc__).message)
    return 0


def start_command(arguments: Sequence[str]) -> int:
    """Have the service (`locstream serve`) begin an acquisition."""
    parser = argparse.ArgumentParser(prog="locstream start", description=start_command.__doc__)
    parser.add_argument("--name", default="", help="begins every file's name (the configuration's, with date and time)")
    parser.add_argument("--frames", type=int, help="stop after so many frames")
    parser.add_argument("--service", default="serve", help="name or id of the service (%(default)s)")
    given = parser.parse_args(arguments)
    print(ask(find(given.service).control, "start", name=given.name, frames=given.frames).message)
    return 0


def _ask(verb: str, arguments: Sequence[str], description: str | None) -> Reply:
    parser = argparse.ArgumentParser(prog=f"locstream {verb}", description=description)
    parser.add_argument("name", nargs="?", help="name or id of the acquisition or service (default: the newest here)")
    return ask(find(parser.parse_args(arguments).name, only=verb != "status").control, verb)


def _lanes(lanes: int) -> str:
    return f" of {lanes} lanes" if lanes else ""


def status_text(reply: Reply) -> str:
    """Return a status as aligned lines with units."""
    status, hello = reply.status, reply.hello
    if status is None:
        raise LocstreamError("the acquisition answered without a status")
    if hello is None:
        return f"{'state':<14} {status.state}\n{'last':<14} {status.warning}"
    ledger = status.ledger
    lines = [
        (
            "acquisition",
            f"{hello.name} ({hello.acquisition}), {hello.width} × {hello.height} px of {hello.pixel_size_nm:g} nm",
        ),
        ("state", status.state),
        (
            "frames",
            f"{ledger.acquired:,} acquired = {ledger.fitted:,} fitted + {ledger.pending:,} pending "
            f"+ {ledger.skipped:,} skipped + {ledger.failed:,} failed",
        ),
        ("dropped", f"{ledger.camera_dropped:,} by the camera, {status.suspected_drops:,} more suspected by time"),
        ("rate", f"{status.fps_acquired:.1f} frames/s acquired, {status.fps_fitted:.1f} frames/s fitted"),
        ("queue", f"{status.queued:,} frames wait, {status.workers} workers" + _lanes(status.lanes)),
        ("load", f"{status.load}, {ledger.pending:,} frames and {status.lag_s:.1f} s behind the camera"),
        ("localizations", f"{status.localizations:,}, {status.per_frame:.1f} per frame"),
        (
            "medians",
            f"{status.photons:,.0f} photons, {status.background:.1f} photons/px background, "
            f"{status.precision_nm:.1f} nm precision, {status.sigma_nm:.0f} nm sigma",
        ),
    ]
    if status.z_nm is not None and status.z_precision_nm is not None:
        lines.append(("depth", f"{status.z_nm:+.0f} nm (median), {status.z_precision_nm:.1f} nm precision"))
    if status.quality is not None and status.quality.text:
        lines.append(("fits", status.quality.text))
    if status.disk_free_mb:
        lines.append(("disk", f"{status.disk_free_mb / 1000:,.1f} GB free"))
    if status.warning:
        lines.append(("warning", status.warning))
    return "\n".join(f"{label:<14} {text}" for label, text in lines)
