"""A fit worker: knows frames and rows and nothing of files. One thread, serial kernels.

It is started by the acquisition, or by hand as ``locstream worker --connect ENDPOINT``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

import numpy as np
import zmq

from locstream import __version__
from locstream.errors import LocstreamError
from locstream.fitting import FitOptions, Localizer, warmup
from locstream.fitting.gaussian import LANES
from locstream.fitting.residuals import ResidualMap, Residuals
from locstream.fitting.vectors import vector_text
from locstream.localizations import Localizations, empty
from locstream.stacks.source import Image
from locstream.stream.wire import Buffer, pack
from locstreamd.fit.work import (
    TO_WORKER,
    Done,
    Join,
    Leave,
    Ready,
    Refused,
    Setup,
    Work,
    astigmatism_from,
    calibration_from,
)

POLL_MS = 500
CREDITS = 2
"""One frame in hand and one waiting: hides the round trip, loses nothing when the worker dies."""
RESIDUALS_EVERY = 32
"""Frames of which one is compared with its fits: the average needs no more, and it costs next to nothing."""


class Fitter:
    """What a set-up asks for: rows of every frame, and of some what they leave unexplained.

    Parameters
    ----------
    setup, buffers
        The message and what came behind it.

    Raises
    ------
    LocstreamError
        The set-up cannot be understood, or asks for what does not go together.
    """

    def __init__(self, setup: Setup, buffers: list[Buffer]) -> None:
        self.shape = setup.height, setup.width
        options = FitOptions.model_validate(setup.fit)
        calibration, astigmatism = calibration_from(setup, buffers), astigmatism_from(setup)
        self._localizer = Localizer(calibration, *self.shape, options, astigmatism)
        self._residuals = ResidualMap(calibration, *self.shape, options.box_px)
        warmup(options, calibration.pixel_size_nm, astigmatism)
        self._residuals(np.zeros(self.shape, np.uint16), empty())  # compiles the comparison, too

    def __call__(self, image: Image, number: int) -> tuple[Localizations, Residuals | None]:
        """Fit a frame; also compare one in `RESIDUALS_EVERY`, always the same ones whoever fits them."""
        rows = self._localizer(image, number)
        return rows, self._residuals(image, rows) if number % RESIDUALS_EVERY == 0 else None


def serve(socket: zmq.Socket[bytes], parent: int | None) -> int:
    """Fit what comes until told to leave, or until the parent process is gone; return the exit status."""
    fitter: Fitter | None = None
    socket.send_multipart(pack(Join(pid=os.getpid(), version=__version__, lanes=LANES, vectors=vector_text())))
    while True:
        if not socket.poll(POLL_MS):
            if parent is not None and os.getppid() != parent:
                return 0
            continue
        message, buffers = TO_WORKER.unpack(list(socket.recv_multipart()))
        match message:
            case Setup():
                fitter = Fitter(message, buffers)
                socket.send_multipart(pack(Ready(credits=CREDITS)))
            case Work() if fitter is not None and len(buffers) == 1:
                socket.send_multipart(_done(fitter, message, buffers[0]))
            case Work():
                socket.send_multipart(pack(Refused(index=message.index, reason="a frame came before the set-up")))
            case Leave():
                return 0


def _done(fitter: Fitter, work: Work, pixels: Buffer) -> list[Buffer]:
    """Fit a frame and return the parts of the answer."""
    began = time.perf_counter()
    rows, residuals = fitter(np.frombuffer(pixels, np.uint16).reshape(fitter.shape), work.number)
    fit_ms = 1e3 * (time.perf_counter() - began)
    if residuals is None or not residuals.spots:
        return pack(Done(index=work.index, rows=len(rows), fit_ms=fit_ms), rows.tobytes())
    done = Done(index=work.index, rows=len(rows), fit_ms=fit_ms, residual_spots=residuals.spots)
    return pack(done, rows.tobytes(), residuals.total.tobytes())


def main(endpoint: str, parent: int | None) -> int:
    """Connect and serve."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 3_000
        socket.connect(endpoint)
        try:
            return serve(socket, parent)
        except LocstreamError as error:
            socket.send_multipart(pack(Refused(index=None, reason=str(error))))
            raise


def command(arguments: Sequence[str]) -> int:
    """``locstream worker``: fit frames for an acquisition that runs on this machine."""
    parser = argparse.ArgumentParser(prog="locstream worker", description=command.__doc__)
    parser.add_argument("--connect", required=True, metavar="ENDPOINT", help="work endpoint of the acquisition")
    parser.add_argument(
        "--nice", type=int, default=5, help="niceness added, so that the camera comes first (%(default)s)"
    )
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    os.nice(given.nice)
    if given.parent is not None:
        # An interrupt from the terminal goes to the whole group: the acquisition then sends us home.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return main(given.connect, given.parent)


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
