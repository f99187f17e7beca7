"""A bar with bytes, rate and what is being done; in a terminal one line, elsewhere one now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 24
LINE_EVERY_S = 30.0
"""In a log."""


class ProgressBar:
    """Shows how far the upload of a run has come.

    Parameters
    ----------
    out
        Where it is shown.
    clock
        Seconds, of any origin.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._run = ""
        self._began_s, self._began_bytes, self._told_s = 0.0, 0, 0.0
        self._open = False

    def tell(self, text: str) -> None:
        """Print a sentence, below the bar where there is one."""
        print(("\n" if self._open else "") + text, file=self._out, flush=True)
        self._open, self._run = False, ""

    def show(self, name: str, what: str, done: int, total: int) -> None:
        """Show what is being done of a run, and how many bytes of how many have arrived."""
        if name != self._run:
            self._run, self._began_s, self._began_bytes = name, self._clock(), done
            self._told_s = self._began_s
        share = done / total if total else 1.0
        rate = (done - self._began_bytes) / max(self._clock() - self._began_s, 1e-3)
        text = f"{done / 1e6:,.1f} of {total / 1e6:,.1f} MB, {rate / 1e6:,.1f} MB/s, {what}"
        if self._out.isatty():
            print(f"\r{'█' * round(WIDTH * share):<{WIDTH}} {text}\033[K", end="", file=self._out, flush=True)
            self._open = True
        elif self._clock() - self._told_s >= LINE_EVERY_S:
            self._told_s = self._clock()
            print(f"{name}: {text}", file=self._out, flush=True)
