"""The local worker processes: started, watched, started again when they die."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

from locstreamd.child_process import see_off

BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Wait before the next start of a worker that has died so many times in a row."""
SETTLED_S = 60.0
"""A worker that has lived for so long counts as well started."""
LEAVE_S = 3.0
"""How long workers that were told to leave may take."""


@dataclass
class _Place:
    """One worker's place; its process comes and goes."""

    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    start_at: float = field(default_factory=time.monotonic)


class WorkerPool:
    """Keeps a number of local workers running.

    Parameters
    ----------
    endpoint
        The dispatcher's endpoint.
    count
        Number of workers.
    nice
        Niceness added to each, so that the camera comes first.
    """

    def __init__(self, endpoint: str, count: int, nice: int) -> None:
        self._command = [sys.executable, "-m", "locstreamd.fit.worker", "--connect", endpoint]
        self._command += ["--nice", str(nice), "--parent", str(os.getpid()), "--watched"]
        self._places = [_Place() for _ in range(count)]
        self.deaths = 0

    @property
    def places(self) -> int:
        """How many workers there are to be."""
        return len(self._places)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [p.process.pid for p in self._places if p.process is not None]

    def tend(self, at_most: int | None = None) -> list[int]:
        """Start what should run and does not; return the process ids that have died since the last call.

        Parameters
        ----------
        at_most
            Look after so many places only; None for all.
        """
        dead = []
        now = time.monotonic()
        for place in self._places[:at_most]:
            if place.process is not None and place.process.poll() is not None:
                dead.append(place.process.pid)
                place.process = None
                # One that has worked for a while did not die of how it was started.
                place.deaths = 1 if now - place.started_at > SETTLED_S else place.deaths + 1
                self.deaths += 1
                place.start_at = now + BACKOFF_S[min(place.deaths, len(BACKOFF_S) - 1)]
            if place.process is None and now >= place.start_at:
                # In a session of its own, so that Ctrl-C in the terminal reaches the acquisition alone.
                place.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, start_new_session=True)
                place.started_at = now
        return dead

    def kill(self, pid: int) -> None:
        """End a worker that hangs; `tend` then starts another."""
        for place in self._places:
            if place.process is not None and place.process.pid == pid:
                place.process.kill()

    def close(self) -> None:
        """End every worker; those that were told to leave have a moment to do so."""
        see_off([place.process for place in self._places if place.process is not None], LEAVE_S)
        for place in self._places:
            place.process = None
