"""Waiting for what must come, on a machine that may be slow and do other things, too."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 180.0


def until(
    condition: Callable[[], object],
    what: Callable[[], str] = lambda: "what was waited for did not come",
    timeout_s: float = PATIENCE_S,
) -> None:
    """Wait until something is so.

    Parameters
    ----------
    condition
        Whether it is.
    what
        Says what went wrong where it never is.
    timeout_s
        How long to wait, s.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
