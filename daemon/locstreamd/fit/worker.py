"""``locstream worker``: a process that fits, for an acquisition of this computer or of another.

The acquisition starts its own; more are started by hand or by systemd, see docs/workers.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq

from locstream.errors import LocstreamError
from locstream.stream.keys import ClientKeys, read_client_keys
from locstreamd.fit.line import Line, LineLostError
from locstreamd.fit.node import STOP_SIGNALS, run_node
from locstreamd.fit.serve import Parting, join_message, serve

AGAIN_S = 1.0
"""Wait before another connection is tried."""


@dataclass(frozen=True)
class Place:
    """Where a worker works, and until when.

    Parameters
    ----------
    endpoint
        Of the acquisition.
    keys
        For an endpoint that asks for them.
    watched
        Whether the acquisition itself has started this process.
    """

    endpoint: str
    keys: ClientKeys | None = None
    watched: bool = False

    @property
    def lasting(self) -> bool:
        """Whether one acquisition after the other is to be expected there; ipc endpoints are of one each."""
        return self.endpoint.startswith("tcp://")


def work_at(place: Place, leaving: Callable[[], bool], tell: Callable[[str], None]) -> None:
    """Connect and serve, again and again, until it is over.

    Parameters
    ----------
    place
        Where.
    leaving
        Asked now and then whether to leave.
    tell
        Takes a sentence whenever something has changed.

    Raises
    ------
    LocstreamError
        The acquisition does not want this worker, or this computer's key.
    """
    join = join_message(uuid.uuid4().hex, watched=place.watched)
    with zmq.Context() as context:
        while not leaving():
            with Line(context, place.endpoint, place.keys) as line:
                try:
                    parting = serve(line, join, leaving, lambda: tell(f"fits for {place.endpoint}"))
                except LineLostError as lost:
                    line.close(linger=0)
                    if line.met and not place.lasting:
                        return
                    tell(f"{lost.what}; trying again")
                else:
                    if parting is Parting.OWN or not place.lasting:
                        return
                    tell(f"{place.endpoint} has no more frames; waiting for the next acquisition")
            time.sleep(AGAIN_S)


class Teller:
    """Prints a sentence once, however often it is told in a row."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        """Print, unless it was the last."""
        if text != self._last:
            self._last = text
            print(f"worker {os.getpid()}: {text}", file=sys.stderr, flush=True)


def command(arguments: Sequence[str]) -> int:
    """Fit frames for an acquisition of this computer or, with keys, of another. Comes and goes at any time."""
    parser = argparse.ArgumentParser(prog="locstream worker", description=command.__doc__)
    parser.add_argument(
        "--connect", required=True, metavar="ENDPOINT", help="where the acquisition listens: tcp://instrument:5580"
    )
    parser.add_argument("--keys", type=Path, metavar="FILE", help="made there by `locstream keys new NAME --role work`")
    parser.add_argument("--count", type=int, default=1, help="processes; 0: one a processor (%(default)s)")
    parser.add_argument(
        "--nice", type=int, default=5, help="niceness added, so that the camera comes first (%(default)s)"
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.count < 0:
        raise LocstreamError(f"--count {given.count}: 0 or more are needed", safe="nothing was started")
    keys = None if given.keys is None else read_client_keys(given.keys)
    if given.count != 1:
        return run_node(given.count or os.cpu_count() or 1, [*arguments, "--count", "1"])
    os.nice(given.nice)
    parent = given.parent
    if given.watched:
        # An interrupt from the terminal goes to the whole group: the acquisition then sends us home.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work_at(Place(given.connect, watched=True), lambda: os.getppid() != parent, lambda text: None)
        return 0
    asked: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda sign, frame: asked.append(sign))
    place = Place(given.connect, keys)
    work_at(place, lambda: bool(asked) or parent not in (None, os.getppid()), Teller())
    return 0


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
