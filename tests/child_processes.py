"""The processes that a daemon has started, by the module that they run."""

from __future__ import annotations

import contextlib

import psutil

PUBLISHER = "locstreamd.view.publisher_process"
RECORDER = "locstreamd.record.recorder"
WORKER = "locstreamd.fit.worker"


def children(module: str, of: int | None = None) -> list[psutil.Process]:
    """Return the children that run a module, without those that are dead already.

    Parameters
    ----------
    module
        `PUBLISHER`, `RECORDER` or `WORKER`.
    of
        Whose children, by process id; None for this process.
    """
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(of).children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if module in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
    return found
