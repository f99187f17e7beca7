"""Somebody on the network who has no key and does not give up."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
"""What a ZeroMQ program without keys says first."""


class Knocking:
    """Somebody without a key who comes again and again, as fast as it goes; use it as a context manager."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self._address = host, int(port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(self._address, timeout=60) as line:
                line.sendall(GREETING)
                while line.recv(1_000):
                    pass

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
