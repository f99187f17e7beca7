"""The live line: one line in the terminal that says how the acquisition goes."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from locstream.stream.messages import Status

QUIET_INTERVAL_S = 5.0
"""Where the output is no terminal, a line is printed this often instead."""


def live_text(status: Status) -> str:
    """Return the numbers that decide as one line of about 150 characters."""
    ledger = status.ledger
    settled = ledger.fitted + ledger.skipped + ledger.failed
    return (
        f"{status.state:<10} frames {ledger.acquired:,} acquired / {settled:,} fitted / lag {ledger.pending:,}"
        f" | {status.fps_acquired:.0f} / {status.fps_fitted:.0f} fps"
        f" | {status.localizations:,} locs, {status.per_frame:.1f}/frame"
        f" | median {status.photons:,.0f} photons, {status.precision_nm:.1f} nm"
        f" | queue {status.queued:,} | dropped {ledger.camera_dropped:,}"
    )


class LiveLine:
    """Rewrites one line where the output is a terminal, prints now and then where it is not."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self._width = 0
        self._last = -QUIET_INTERVAL_S

    def show(self, status: Status) -> None:
        """Show the latest numbers."""
        text = live_text(status)
        now = time.monotonic()
        if self._out.isatty():
            self._out.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif now - self._last >= QUIET_INTERVAL_S or status.state == "done":
            self._last = now
            self._out.write(text + "\n")
        self._out.flush()

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        if self._width:
            self._out.write("\n")
            self._width = 0
