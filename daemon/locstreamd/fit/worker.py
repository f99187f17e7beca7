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
from locstream.stream.wire import pack
from locstreamd.fit.work import TO_WORKER, Done, Join, Leave, Refused, Setup, Work, calibration_from

POLL_MS = 500
CREDITS = 2
"""One frame in hand and one waiting: hides the round trip, loses nothing when the worker dies."""


def serve(socket: zmq.Socket[bytes], parent: int | None) -> int:
    """Fit what comes until told to leave, or until the parent process is gone; return the exit status."""
    localizer: Localizer | None = None
    shape = (0, 0)
    socket.send_multipart(pack(Join(pid=os.getpid(), version=__version__, credits=CREDITS)))
    while True:
        if not socket.poll(POLL_MS):
            if parent is not None and os.getppid() != parent:
                return 0
            continue
        message, buffers = TO_WORKER.unpack(list(socket.recv_multipart()))
        match message:
            case Setup():
                shape = (message.height, message.width)
                options = FitOptions.model_validate(message.fit)
                localizer = Localizer(calibration_from(message, buffers), *shape, options)
            case Work() if localizer is not None and len(buffers) == 1:
                began = time.perf_counter()
                image = np.frombuffer(buffers[0], np.uint16).reshape(shape)
                rows = localizer(image, message.number)
                fit_ms = 1e3 * (time.perf_counter() - began)
                done = Done(index=message.index, rows=len(rows), fit_ms=fit_ms)
                socket.send_multipart(pack(done, rows.tobytes()))
            case Work():
                socket.send_multipart(pack(Refused(index=message.index, reason="a frame came before the set-up")))
            case Leave():
                return 0


def main(endpoint: str, parent: int | None) -> int:
    """Compile, connect, serve."""
    warmup()
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
