"""The desk: the sockets by which acquisitions are watched and steered, for one run or for a service's life."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from locstream.stream.runtime import Connection, publish_connection, runtime_folder
from locstreamd.service.config import StreamSettings
from locstreamd.service.control import ControlSocket
from locstreamd.view.publish import Publisher


class Desk:
    """Control socket, publisher and the folder of their endpoints; use it as a context manager.

    Parameters
    ----------
    identity
        Identifies the run or the service among those of this user.
    settings
        Who may watch.

    Raises
    ------
    LocstreamError
        The folder for sockets is not private, or cannot be made.
    """

    def __init__(self, identity: str, settings: StreamSettings) -> None:
        self._identity = identity
        self._announced: Path | None = None
        self._started_s = time.time()
        with ExitStack() as stack:
            self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            stack.callback(self.context.term)
            self._folder = runtime_folder() / identity[:8]
            self._folder.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self.control = ControlSocket(self.context, self.endpoint("control"))
            stack.callback(self.control.close)
            endpoints = [self.endpoint("stream")] + ([settings.listen] if settings.listen else [])
            link = self.endpoint("publish")
            self.publisher = Publisher(
                self.context, endpoints, settings.high_water_mark, link, [self.endpoint("history")]
            )
            stack.callback(self.publisher.close)
            self._closing = stack.pop_all()

    def endpoint(self, name: str) -> str:
        """Return the ipc endpoint of that name, in the desk's own private folder."""
        return f"ipc://{self._folder}/{name}"

    def announce(self, name: str) -> None:
        """Write the connection file, so that clients find the desk under `name`."""
        connection = Connection(
            acquisition=self._identity,
            name=name,
            pid=os.getpid(),
            started_s=self._started_s,
            control=self.endpoint("control"),
            stream=self.endpoint("stream"),
            history=self.endpoint("history"),
        )
        self._announced = publish_connection(connection)

    def hang_up(self) -> None:
        """Be found no more and answer nothing; those who follow may still fetch rows until `close`."""
        if self._announced is not None:
            self._announced.unlink(missing_ok=True)
        self.control.close()

    def close(self) -> None:
        """Close the sockets and remove what was announced. Safe to call twice."""
        self.hang_up()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
