"""A fit worker at one connection: knows frames and rows and nothing of files."""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Callable

import numpy as np

from locstream import __version__
from locstream.errors import LocstreamError
from locstream.fitting.gaussian import LANES
from locstream.fitting.vectors import vector_text
from locstream.kernel_cache import sources_digest
from locstream.stream.wire import Buffer, pack
from locstreamd.fit.fitter import Fitter
from locstreamd.fit.line import Line, LineLostError
from locstreamd.fit.task import task_from
from locstreamd.fit.work import Beat, Done, Goodbye, Join, Leave, Ready, Refused, Rejoin, Setup, Work

POLL_MS = 500
CREDITS = 2
"""One frame in hand and one waiting: hides the round trip, loses nothing when the worker dies."""
MOST_FRAMES = 64
MOST_BYTES = 64_000_000
"""What may wait here where the round trip takes longer than a fit."""
SILENT_S = 10.0
"""An acquisition lets itself be heard every second: after so long, the connection leads nowhere."""


class Parting(enum.Enum):
    """How a connection ended."""

    TOLD = "told"
    """The acquisition has no more work."""
    OWN = "own"
    """Our side wanted to leave."""


def join_message(instance: str, *, watched: bool) -> Join:
    """Return how a worker introduces itself.

    Parameters
    ----------
    instance
        Names the process.
    watched
        Whether whoever listens has started the process and sees when it ends.
    """
    return Join(
        pid=os.getpid() if watched else None,
        version=__version__,
        kernels=sources_digest(),
        instance=instance,
        lanes=LANES,
        vectors=vector_text(),
    )


def serve(line: Line, join: Join, leaving: Callable[[], bool], ready: Callable[[], None] = lambda: None) -> Parting:
    """Fit what comes over one connection.

    Parameters
    ----------
    line
        The connection.
    join
        What to say first.
    leaving
        Asked now and then whether to leave.
    ready
        Called when the first set-up is done.

    Raises
    ------
    LineLostError
        The connection is gone, or nothing was heard for too long.
    LocstreamError
        The acquisition gives this worker no work, or its set-up cannot be worked with; the acquisition is told why.
    """
    fitter: Fitter | None = None
    line.send(pack(join))
    heard_at = time.monotonic()
    while not leaving():
        received = line.receive(POLL_MS)
        if received is None:
            if join.pid is None and time.monotonic() - heard_at > SILENT_S:
                raise LineLostError(f"nothing was heard for {SILENT_S:g} s")
            continue
        message, buffers = received
        match message:
            case Setup():
                fitter = _set_up(line, message, buffers)
                ready()
            case Work():
                line.send(_answer(fitter, message, buffers))
            case Beat():
                pass
            case Rejoin():
                raise LineLostError("the acquisition gave the frames of this connection to others")
            case Leave(reason=""):
                return Parting.TOLD
            case Leave():
                raise LocstreamError(f"the acquisition gives this worker no work: {message.reason}")
        heard_at = time.monotonic()
    line.send(pack(Goodbye()))
    return Parting.OWN


def _set_up(line: Line, setup: Setup, buffers: list[Buffer]) -> Fitter:
    """Make ready to fit, and say so; or say why not."""
    try:
        fitter = Fitter(task_from(setup, buffers))
    except LocstreamError as error:
        line.send(pack(Refused(index=None, reason=str(error))))
        raise
    most = min(MOST_FRAMES, MOST_BYTES // fitter.task.frame_bytes)
    line.send(pack(Ready(credits=CREDITS, most=max(CREDITS, most), calibration=setup.calibration)))
    return fitter


def _answer(fitter: Fitter | None, work: Work, buffers: list[Buffer]) -> list[Buffer]:
    """Fit a frame and return the parts of the answer, or of that which says why not."""
    if fitter is None:
        return pack(Refused(index=work.index, reason="a frame came before the set-up"))
    task, sizes = fitter.task, [len(buffer) for buffer in buffers]
    if sizes != [task.frame_bytes]:
        shape = f"{task.width} × {task.height} px are {task.frame_bytes} bytes"
        return pack(Refused(index=work.index, reason=f"the frame has {sum(sizes)} bytes; {shape}"))
    began = time.perf_counter()
    rows, residuals = fitter(np.frombuffer(buffers[0], np.uint16).reshape(task.height, task.width), work.number)
    fit_ms = 1e3 * (time.perf_counter() - began)
    if residuals is None or not residuals.spots:
        return pack(Done(index=work.index, rows=len(rows), fit_ms=fit_ms), rows.tobytes())
    done = Done(index=work.index, rows=len(rows), fit_ms=fit_ms, residual_spots=residuals.spots)
    return pack(done, rows.tobytes(), residuals.total.tobytes())
