"""Several fit workers on one computer, for an acquisition that runs on another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from locstreamd.child_process import see_off

POLL_S = 0.2
AGAIN_S = 2.0
"""Wait before a worker that was killed is started again."""
LEAVE_S = 10.0
"""How long workers that were told to leave may take."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_node(count: int, arguments: Sequence[str]) -> int:
    """Run workers until all have left, one is turned away, or a signal comes; return the exit status.

    One that was killed is started again.

    Parameters
    ----------
    count
        How many.
    arguments
        Of `locstream worker`, for each.
    """
    asked: list[int] = []
    before = {number: signal.signal(number, lambda sign, frame: asked.append(sign)) for number in STOP_SIGNALS}
    command = [sys.executable, "-m", "locstream", "worker", *arguments, "--parent", str(os.getpid())]
    # In sessions of their own, so that Ctrl-C in the terminal reaches us alone, and they leave in good order.
    places: list[_Place] = [_Place(command) for _ in range(count)]
    try:
        while not asked and any(place.open for place in places):
            for place in places:
                if status := place.tend():
                    return status
            time.sleep(POLL_S)
    finally:
        _end(places)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


class _Place:
    """One worker's place; its process comes and goes until it leaves by itself."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._start_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.open = True

    def tend(self) -> int:
        """Start the process where it should run and does not; return the status of one that was turned away, else 0."""
        if self.process is not None and (status := self.process.poll()) is not None:
            self.process = None
            if status >= 0:
                self.open = False
                return status
            self._start_at = time.monotonic() + AGAIN_S
        if self.open and self.process is None and time.monotonic() >= self._start_at:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, start_new_session=True)
        return 0


def _end(places: Sequence[_Place]) -> None:
    """Have all leave, and kill those that do not."""
    running = [place.process for place in places if place.process is not None]
    for process in running:
        process.terminate()
    see_off(running, LEAVE_S)
