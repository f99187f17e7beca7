"""``locstream tail``: print or save what a running acquisition publishes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from locstream.stream.arguments import add_history, add_where, keys_of, seconds
from locstream.stream.client import TIMEOUT_S, Client, connect
from locstream.stream.events import Began, Ended, Rows
from locstream_watch.forms import FORMS, Sink, sink_for

INTERRUPTED = 130


def command(arguments: Sequence[str]) -> int:
    """Follow a running acquisition, or the next one of a service: print it, or save its localizations."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.forever and given.format == "csv":
        parser.error("--format csv is a table of one acquisition; --forever goes with the other forms")
    client = connect(
        given.where,
        start=given.start,
        control=given.control,
        history=given.history,
        keys=keys_of(given.where, given),
        timeout_s=given.wait or None,
    )
    with client:
        tail = Tail(client, sink_for(given.format, sys.stdout))
        try:
            status = tail.follow()
            while given.forever:
                status = tail.follow()
        except KeyboardInterrupt:
            tail.say_where_it_stopped()
            return INTERRUPTED
        return status


class Tail:
    """Feeds a sink with what a client hears, and says on stderr how it ended.

    Parameters
    ----------
    client
        Connected.
    sink
        Where the events go.
    """

    def __init__(self, client: Client, sink: Sink) -> None:
        self._client = client
        self._sink = sink
        self._first: int | None = None
        self._received = 0

    def follow(self) -> int:
        """Follow one acquisition to its end; return the exit status.

        Raises
        ------
        LocstreamError
            Silence for too long: this side was disconnected, or the acquisition died.
        """
        status = 1
        for event in self._client.events():
            match event:
                case Began():
                    self._first, self._received = None, 0
                case Rows():
                    self._first = event.row_first if self._first is None else self._first
                    self._received += len(event.table)
            self._sink(event)
            if isinstance(event, Ended):
                status = self._farewell(event)
        return status

    def say_where_it_stopped(self) -> None:
        """Say what was received, and from which row on the rest is to be had."""
        then = f"; `--from {self._client.next_row}` goes on there" if self._received else ""
        print(f"\ninterrupted: {self._received:,} localizations were received{then}", file=sys.stderr)

    def _farewell(self, ended: Ended) -> int:
        end = ended.end
        frames = "" if end is None else f"{end.frames:,} frames, "
        outcome = "ended" if end is None else end.outcome
        same = ", the same as published (SHA-256)" if ended.verified else ""
        _say(f"{outcome}: {frames}{ended.rows:,} localizations, {self._received:,} received here{same}")
        if end is not None and end.message:
            _say(end.message)
        before = ended.rows - ended.missing - self._received
        if before > 0:
            _say(f"{before:,} were published before those; `--from 0` gives them, too")
        if ended.missing:
            _say(f"{ended.missing:,} were lost on the way, and no history was at hand; the results file holds them")
        if ended.verified is False:
            _say("what was received is not what was published (SHA-256): take the results file")
        return 1 if ended.verified is False or (end is not None and end.outcome == "faulted") else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="locstream tail", description=command.__doc__)
    add_where(parser, "ACQUISITION", None, "the newest here")
    add_history(parser)
    parser.add_argument(
        "--from",
        dest="start",
        type=_row,
        default=None,
        metavar="ROW",
        help="0: all rows, also those from before; N: from row N on, to go on where it stopped; now (default)",
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMS),
        default="text",
        help="text: lines to read; csv: ThunderSTORM; ndjson: a JSON object a localization; events: a JSON object a "
        "message (%(default)s)",
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=TIMEOUT_S,
        metavar="S",
        help="give up after so long a silence, 0 for never; a service that is idle is waited for (%(default)g s)",
    )
    parser.add_argument("--forever", action="store_true", help="go on with the next acquisition of a service")
    return parser


def _row(text: str) -> int | None:
    if text == "now":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither `now` nor the number of a row")
    return int(text)
