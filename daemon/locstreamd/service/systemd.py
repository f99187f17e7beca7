"""What the service manager is told: ready, status, alive. Without systemd nothing is sent and nothing is missed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Hashable

BEATS_PER_TIMEOUT = 3
STALLED_S = 60.0
"""Work that is pending and has not moved for so long is no progress; the beats then stop."""


def notify(*assignments: str) -> bool:
    """Send lines such as ``READY=1`` to the service manager; return False where there is none.

    The protocol of sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagram:
        datagram.connect(address)
        datagram.sendall("\n".join(assignments).encode())
    return True


class Watchdog:
    """Beats while there is progress; a loop that turns without getting anywhere is let die.

    The interval is a third of the time-out that systemd sets in WATCHDOG_USEC.
    """

    def __init__(self) -> None:
        timeout_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        self._interval_s = timeout_us / 1e6 / BEATS_PER_TIMEOUT
        self._beaten_at = 0.0
        self._moved_at = time.monotonic()
        self._last: Hashable = None

    def progress(self, mark: Hashable, *, pending: bool) -> bool:
        """Say where the work stands; beat if it is time and all is well. Return whether it was beaten.

        Parameters
        ----------
        mark
            Anything that changes when the work has moved.
        pending
            Whether there is work that should move.
        """
        now = time.monotonic()
        if mark != self._last or not pending:
            self._last, self._moved_at = mark, now
        due = self._interval_s > 0 and now - self._beaten_at >= self._interval_s
        if not due or now - self._moved_at > STALLED_S:
            return False
        self._beaten_at = now
        return notify("WATCHDOG=1")
