"""The forms in which ``locstream tail`` prints what it hears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

import msgspec

from locstream.errors import LocstreamError
from locstream.formats.thunderstorm import ThunderStormWriter
from locstream.localizations import Localizations
from locstream.stream.events import Began, Ended, Event, Rows
from locstream.stream.messages import Status

Sink = Callable[[Event | Status], None]
"""Prints one event; what its form has no words for it passes over."""

_encoder = msgspec.json.Encoder()


def sink_for(form: str, out: TextIO) -> Sink:
    """Return the function that prints events in one of `FORMS`."""
    return FORMS[form](out)


def _csv(out: TextIO) -> Sink:
    writer: ThunderStormWriter | None = None

    def sink(event: Event | Status) -> None:
        nonlocal writer
        if isinstance(event, Began) and event.hello is not None:
            writer = ThunderStormWriter(out, event.hello.pixel_size_nm, depth=event.hello.has_depth)
        elif isinstance(event, Rows):
            if writer is None:
                raise LocstreamError(
                    "the pixel size, without which ThunderSTORM's corner is not known, was not heard",
                    safe="the results file holds all localizations",
                    todo="try again",
                )
            writer.write(event.table)
        out.flush()

    return sink


def _ndjson(out: TextIO) -> Sink:
    def sink(event: Event | Status) -> None:
        if isinstance(event, Rows):
            _write_lines(out, _as_objects(event.table))

    return sink


def _events(out: TextIO) -> Sink:
    return lambda event: _write_lines(out, [_as_object(event)])


def _text(out: TextIO) -> Sink:
    idle = False

    def sink(event: Event | Status) -> None:
        nonlocal idle
        was_idle, idle = idle, isinstance(event, Status) and not event.acquisition
        match event:
            case Began(hello=None):
                line = f"acquisition {event.acquisition}"
            case Began(hello=hello) if hello is not None:
                size = f"{hello.width} × {hello.height} px of {hello.pixel_size_nm:g} nm"
                line = f"{hello.name}: {size}{', with depth' if hello.has_depth else ''}, {hello.software}"
            case Rows(table=table):
                frames = f"{table['frame'][0]:,}–{table['frame'][-1]:,}"
                line = f"row {event.row_first:,}: {len(table):,} localizations of frames {frames}"
            case Status() if not idle:
                line = _status_line(event)
            case Status() if not was_idle:
                line = f"{event.state}: the next acquisition is waited for"
            case _:
                return
        print(line, file=out, flush=True)

    return sink


FORMS: dict[str, Callable[[TextIO], Sink]] = {"text": _text, "csv": _csv, "ndjson": _ndjson, "events": _events}
"""By name: lines to read; ThunderSTORM's table; a JSON object a localization; a JSON object a message."""


def _status_line(status: Status) -> str:
    ledger = status.ledger
    line = (
        f"{status.state}: {ledger.acquired:,} acquired, {ledger.fitted:,} fitted, "
        f"{ledger.pending:,} pending, {ledger.skipped:,} skipped, {ledger.failed:,} failed, "
        f"{ledger.camera_dropped:,} dropped by the camera; {status.load}, {status.lag_s:.1f} s behind"
    )
    if status.z_nm is not None:
        line += f"; depth {status.z_nm:+.0f} nm (median)"
    if status.quality is not None and status.quality.text:
        line += f"; {status.quality.text}"
    if status.warning:
        line += f"; warning: {status.warning}"
    return line


def _as_objects(table: Localizations) -> list[dict[str, Any]]:
    names = table.dtype.names or ()
    return [dict(zip(names, row, strict=True)) for row in table.tolist()]


def _as_object(event: Event | Status) -> Any:
    """Return an event as one JSON object, under the names of the protocol."""
    match event:
        case Status():
            return event
        case Began():
            return event.hello or {"type": "hello", "acquisition": event.acquisition}
        case Rows(table=table):
            return {
                "type": "localizations",
                "acquisition": event.acquisition,
                "frame_first": int(table["frame"][0]),
                "frame_last": int(table["frame"][-1]),
                "row_first": event.row_first,
                "rows": len(table),
            }
        case Ended():
            told = {"type": "end", "acquisition": event.acquisition} if event.end is None else event.end
            return msgspec.to_builtins(told) | {
                "rows": event.rows,
                "missing": event.missing,
                "verified": event.verified,
            }


def _write_lines(out: TextIO, objects: list[Any]) -> None:
    out.write(_encoder.encode_lines(objects).decode("utf-8"))
    out.flush()
