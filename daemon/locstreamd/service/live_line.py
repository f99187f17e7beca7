"""The live line: one line in the terminal that says how the acquisition goes."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TextIO

from locstream.stream.messages import Status

QUIET_INTERVAL_S = 5.0
"""Where the output is no terminal, a line is printed this often instead."""
PATIENCE_S = 1.0
"""How long the last line may take to be written."""


def live_text(status: Status) -> str:
    """Return the numbers that decide as one line, the most important first."""
    ledger = status.ledger
    if status.state == "starting":
        return f"starting: {status.warning or 'the fit workers compile their kernels (once) and join'}"
    settled = ledger.fitted + ledger.skipped + ledger.failed
    rates = "" if status.state == "done" else f" | {status.fps_acquired:.0f} / {status.fps_fitted:.0f} fps"
    found = f" | median {status.photons:,.0f} photons, {status.precision_nm:.1f} nm" if status.photons else ""
    load = "" if status.load == "live" else f" | {status.load}, {status.lag_s:.0f} s behind"
    load += "" if status.workers or status.state == "done" else " | no fit worker"
    return (
        f"{status.state:<9} frames {ledger.acquired:,} acquired / {settled:,} fitted / lag {ledger.pending:,}"
        f" | {status.localizations:,} locs, {status.per_frame:.1f}/frame"
        f"{found} | queue {status.queued:,} | dropped {ledger.camera_dropped:,}{load}{rates}"
    )


class LiveLine:
    """Rewrites one line where the output is a terminal, prints now and then where it is not.

    It writes from a thread of its own and keeps the latest numbers only: a terminal that was stopped, or is
    gone, holds nobody up.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self._terminal = self._out.isatty()
        self._width = 0
        self._last = -QUIET_INTERVAL_S
        self._latest: Status | None = None
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._write_on, name="live line", daemon=True)
        self._thread.start()

    def show(self, status: Status) -> None:
        """Have the latest numbers shown. Never waits."""
        with self._news:
            self._latest = status
            self._news.notify()

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.join(PATIENCE_S)

    def _write_on(self) -> None:
        try:
            while (status := self._next()) is not None:
                self._write(status)
            if self._width:
                self._out.write("\n")
                self._out.flush()
        except (OSError, ValueError):  # the terminal or the pipe is gone; the run goes on without a line
            return

    def _next(self) -> Status | None:
        """Wait for news; None at the end."""
        with self._news:
            while self._latest is None and not self._ended:
                self._news.wait()
            status, self._latest = self._latest, None
            return status

    def _write(self, status: Status) -> None:
        text = live_text(status)
        now = time.monotonic()
        if self._terminal:
            text = text[: max(20, shutil.get_terminal_size().columns - 1)]
            self._out.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif now - self._last >= QUIET_INTERVAL_S or status.state == "done":
            self._last = now
            self._out.write(text + "\n")
        self._out.flush()
