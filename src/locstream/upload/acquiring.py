"""Whether an acquisition of this user runs on this computer."""

from __future__ import annotations

from locstream.errors import LocstreamError
from locstream.stream.control import ask
from locstream.stream.runtime import running

ANSWER_S = 2.0


def acquiring() -> bool:
    """Say whether one runs; one that does not answer is taken for busy."""
    return any(_is_busy(connection.control) for connection in running())


def _is_busy(endpoint: str) -> bool:
    try:
        status = ask(endpoint, "status", ANSWER_S).status
    except LocstreamError:
        return True
    return status is None or status.state != "idle"
