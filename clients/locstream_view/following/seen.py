"""What the following thread hands to whoever draws: one frozen value, replaced whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from locstream.bundle.files import RunFiles
from locstream.stream.endpoints import Endpoints
from locstream.stream.messages import End, Hello, Status
from locstream_view.model.model import ViewModel

Phase = Literal["waiting", "following", "silent", "ended", "file"]


@dataclass(frozen=True, eq=False)
class Seen:
    """One moment.

    Parameters
    ----------
    phase
        "waiting" for an acquisition, "following" it, "silent": it went away without a word, "ended" in good
        order, or a finished "file".
    words
        What is waited for, or followed.
    model
        The picture; None before the first acquisition.
    hello, status, end
        The latest message of each kind of this acquisition.
    endpoints
        Where it is reached; None for a file.
    files
        Its files, where they are on this computer.
    missing_rows
        Rows that were published, and could not be had.
    silent_s
        For how long nothing has come.
    trouble
        A sentence on what this program itself could not do.
    """

    phase: Phase
    words: str
    model: ViewModel | None = None
    hello: Hello | None = None
    status: Status | None = None
    end: End | None = None
    endpoints: Endpoints | None = None
    files: RunFiles | None = None
    missing_rows: int = 0
    silent_s: float = 0.0
    trouble: str = ""
