"""A process of the daemon's own: started, watched, started again when it dies.

The recorder and the publisher are such; fit workers come and go in a pool, see `locstreamd.fit.pool`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence

DEATHS = 5
"""So many deaths within `WITHIN_S` are forgiven; with one more something is wrong that starting again does not mend."""

WITHIN_S = 60.0
BACKOFF_S = (0.0, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Wait before the next start, after so many deaths within `WITHIN_S`."""


def see_off(processes: Sequence[subprocess.Popen[bytes]], patience_s: float) -> None:
    """See processes end that were told to; those that have not within the patience, all together, are killed."""
    deadline = time.monotonic() + patience_s
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class ChildProcess:
    """One process at a time; each has an identity of its own, so that none is taken for one before it.

    Parameters
    ----------
    module
        What it runs: ``python -m MODULE ENDPOINT PARENT_PID IDENTITY``.
    name
        Begins its identity.
    endpoint
        Where it connects to.

    Attributes
    ----------
    deaths
        How often it has died.
    """

    def __init__(self, module: str, name: str, endpoint: str) -> None:
        self.deaths = 0
        self._command = [sys.executable, "-m", module, endpoint, str(os.getpid())]
        self._name = name
        self._died_at: deque[float] = deque()
        self._start_at = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self.tend()

    @property
    def identity(self) -> bytes:
        """What the process of this moment calls itself on the socket."""
        return f"{self._name}-{self.deaths}".encode("ascii")

    @property
    def status(self) -> int | None:
        """How it ended, as `subprocess.Popen.returncode`; None while it runs, or waits to be started."""
        return None if self._process is None else self._process.poll()

    @property
    def age_s(self) -> float:
        """Time since it was, or is, to be started, s."""
        return time.monotonic() - self._start_at

    def tend(self) -> None:
        """Start it where it does not run and its time has come."""
        if self._process is None and time.monotonic() >= self._start_at:
            # In a session of its own, so that Ctrl-C in the terminal reaches the acquisition alone.
            self._process = subprocess.Popen(
                [*self._command, self.identity.decode()], stdin=subprocess.DEVNULL, start_new_session=True
            )

    def bury(self) -> bool:
        """Note that it has died; return whether another start is likely to help. It is started again either way."""
        now = time.monotonic()
        self.deaths += 1
        self._process = None
        self._died_at.append(now)
        while self._died_at[0] < now - WITHIN_S:
            self._died_at.popleft()
        self._start_at = now + BACKOFF_S[min(len(self._died_at), len(BACKOFF_S)) - 1]
        return len(self._died_at) <= DEATHS

    def kill(self) -> None:
        """End one that hangs; its `status` then says so."""
        if self._process is not None:
            self._process.kill()

    def end(self, patience_s: float = 0.0) -> None:
        """See it end: by itself within `patience_s`, else it is told to, else it is killed."""
        if self._process is None:
            return
        for tell, wait_s in ((None, patience_s), (self._process.terminate, 5.0), (self._process.kill, None)):
            if tell is not None:
                tell()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(wait_s)
                return
