"""``locstream tail``: print or save what a running acquisition publishes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from locstream.errors import LocstreamError
from locstream.formats.thunderstorm import ThunderStormWriter
from locstream.localizations import Localizations
from locstream.stream.messages import Batch, End, Hello, Published, Status
from locstream.stream.runtime import find
from locstream.stream.subscriber import Subscriber

WAIT_S = 10.0
"""How long silence may last; a running acquisition says its status twice a second."""

Sink = Callable[[Published, Localizations], None]


def command(arguments: Sequence[str]) -> int:
    """Follow a running acquisition: print its batches, or save its localizations while they are made."""
    parser = argparse.ArgumentParser(prog="locstream tail", description=command.__doc__)
    parser.add_argument("name", nargs="?", help="name, id or endpoint of the acquisition (default: the newest here)")
    parser.add_argument(
        "--format",
        choices=("text", "csv", "ndjson"),
        default="text",
        help="text: a line a batch; csv: ThunderSTORM; ndjson: one JSON object a localization (%(default)s)",
    )
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="S", help="give up after so long a silence (%(default)g s)"
    )
    given = parser.parse_args(arguments)
    endpoint = given.name if given.name and "://" in given.name else find(given.name).stream
    with Subscriber(endpoint) as subscriber:
        return follow(subscriber, sink_for(given.format, subscriber, given.wait, sys.stdout), given.wait)


def follow(subscriber: Subscriber, sink: Sink, wait_s: float) -> int:
    """Feed a sink until the acquisition ends; return the exit status.

    Raises
    ------
    LocstreamError
        Silence for longer than `wait_s`: this side was disconnected, or the acquisition died.
    """
    rows = 0
    while True:
        received = subscriber.receive(wait_s)
        if received is None:
            raise LocstreamError(
                f"nothing came from {subscriber.endpoint} for {wait_s:g} s; the acquisition did not say that it ended",
                safe=f"{rows:,} localizations were received",
                todo="`locstream status` says whether it still runs; `locstream recover FOLDER` finishes what died",
            )
        message, table = received
        rows += len(table)
        sink(message, table)
        if isinstance(message, End):
            return _farewell(message, rows, subscriber)


def _farewell(end: End, rows: int, subscriber: Subscriber) -> int:
    print(f"{end.outcome}: {end.frames:,} frames, {end.rows:,} localizations, {rows:,} received here", file=sys.stderr)
    if end.message:
        print(end.message, file=sys.stderr)
    if rows < end.rows:
        print(
            f"{end.rows - rows:,} localizations are not in this output ({subscriber.lost:,} messages lost, the rest "
            "published before this program connected); the results file holds all of them",
            file=sys.stderr,
        )
    return 0 if end.outcome != "faulted" else 1


def sink_for(name: str, subscriber: Subscriber, wait_s: float, out: TextIO) -> Sink:
    """Return the function that prints messages in the wanted form."""
    if name == "csv":
        hello = subscriber.wait_for_hello(wait_s)
        return _csv(out, hello)
    return _ndjson(out) if name == "ndjson" else _text(out)


def _csv(out: TextIO, hello: Hello) -> Sink:
    writer = ThunderStormWriter(out, hello.pixel_size_nm, depth=any(field.name == "z_nm" for field in hello.fields))

    def sink(message: Published, table: Localizations) -> None:
        if len(table):
            writer.write(table)
            out.flush()

    return sink


def _ndjson(out: TextIO) -> Sink:
    def sink(message: Published, table: Localizations) -> None:
        names = table.dtype.names or ()
        for row in table.tolist():
            out.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")
        out.flush()

    return sink


def _text(out: TextIO) -> Sink:
    def sink(message: Published, table: Localizations) -> None:
        match message:
            case Hello():
                size = f"{message.width} × {message.height} px of {message.pixel_size_nm:g} nm"
                depth = ", with depth" if any(field.name == "z_nm" for field in message.fields) else ""
                line = f"{message.name}: {size}{depth}, {message.software}"
            case Batch():
                frames = f"{message.frame_first:,}–{message.frame_last:,}"
                line = f"#{message.seq} frames {frames}: {message.rows:,} localizations"
            case Status():
                ledger = message.ledger
                line = (
                    f"#{message.seq} {message.state}: {ledger.acquired:,} acquired, {ledger.fitted:,} fitted, "
                    f"{ledger.pending:,} pending, {ledger.skipped:,} skipped, {ledger.failed:,} failed, "
                    f"{ledger.camera_dropped:,} dropped by the camera; {message.load}, {message.lag_s:.1f} s behind"
                )
                if message.z_nm is not None:
                    line += f"; depth {message.z_nm:+.0f} nm (median)"
                if message.quality is not None and message.quality.text:
                    line += f"; {message.quality.text}"
                if message.warning:
                    line += f"; warning: {message.warning}"
            case _:
                return
        print(line, file=out, flush=True)

    return sink
