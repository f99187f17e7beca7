"""``locstream status``, ``start``, ``stop`` and ``abort``, of this computer or another."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec

from locstream.stream.arguments import add_where, keys_of
from locstream.stream.client import status_of
from locstream.stream.control import ask, control_endpoint
from locstream.stream.messages import Hello, Reply, Status
from locstream.stream.runtime import find

NEWEST = "the newest here"
ONLY = "the only one here"


def status_command(arguments: Sequence[str]) -> int:
    """Say how a running acquisition goes, or what a service does."""
    parser = _parser("status", status_command.__doc__, "ACQUISITION", None, NEWEST)
    parser.add_argument("--json", action="store_true", help="one JSON object, as the protocol names its fields")
    given = parser.parse_args(arguments)
    reply = _ask(given, "status")
    print(status_json(reply) if given.json else status_text(reply))
    return 0


def stop_command(arguments: Sequence[str]) -> int:
    """Stop the camera of a running acquisition; what was taken is still fitted and filed."""
    parser = _parser("stop", stop_command.__doc__, "ACQUISITION", None, ONLY)
    print(_ask(parser.parse_args(arguments), "stop").message)
    return 0


def abort_command(arguments: Sequence[str]) -> int:
    """Stop the camera of a running acquisition and leave frames that wait unfitted; they are in the raw stack."""
    parser = _parser("abort", abort_command.__doc__, "ACQUISITION", None, ONLY)
    print(_ask(parser.parse_args(arguments), "abort").message)
    return 0


def start_command(arguments: Sequence[str]) -> int:
    """Have the service (`locstream serve`) begin an acquisition."""
    parser = _parser("start", start_command.__doc__, "SERVICE", "serve", "serve")
    parser.add_argument("--name", default="", help="begins every file's name (the configuration's, with date and time)")
    parser.add_argument("--frames", type=int, help="stop after so many frames")
    given = parser.parse_args(arguments)
    print(_ask(given, "start", name=given.name, frames=given.frames).message)
    return 0


def _parser(
    verb: str, description: str | None, metavar: str, default: str | None, missing: str
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"locstream {verb}", description=description)
    add_where(parser, metavar, default, missing)
    return parser


def _ask(given: argparse.Namespace, verb: str, *, name: str = "", frames: int | None = None) -> Reply:
    keys = keys_of(given.where, given)
    if given.where is None:
        endpoint = find(None, only=verb != "status").control
    else:
        endpoint = given.control or control_endpoint(given.where, keys)
    return ask(endpoint, verb, name=name, frames=frames, keys=keys)


def status_json(reply: Reply) -> str:
    """Return a status, and what is being acquired, as one line of JSON."""
    return msgspec.json.encode({"status": status_of(reply), "hello": reply.hello}).decode("utf-8")


def status_text(reply: Reply) -> str:
    """Return a status as aligned lines with units."""
    status, hello = status_of(reply), reply.hello
    lines = _of_acquisition(status, hello) if hello is not None else [("state", status.state), ("last", status.warning)]
    return "\n".join(f"{label:<14} {text}" for label, text in lines if text)


def _of_acquisition(status: Status, hello: Hello) -> list[tuple[str, str]]:
    ledger = status.ledger
    lanes = f" of {status.lanes} lanes" if status.lanes else ""
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
        ("queue", f"{status.queued:,} frames wait, {status.workers} workers{lanes}"),
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
    if status.quality is not None:
        lines.append(("fits", status.quality.text))
    if status.disk_free_mb:
        lines.append(("disk", f"{status.disk_free_mb / 1000:,.1f} GB free"))
    return [*lines, ("warning", status.warning)]
