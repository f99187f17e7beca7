"""The desk: the sockets by which acquisitions are watched and steered, for one run or for a service's life."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from locstream.stream.messages import Reply, Request
from locstream.stream.runtime import Connection, publish_connection, runtime_folder
from locstreamd.gatehouse import Gatehouse
from locstreamd.service.config import GuardedAddresses, StreamSettings
from locstreamd.service.control import ControlSocket
from locstreamd.service.refusals import Refusals
from locstreamd.view.publish import Publisher

log = logging.getLogger("locstream")

MOST_TOLD = 10
"""Sentences about refusals that are kept for an acquisition."""


class Desk:
    """Control socket, publisher and the folder of their endpoints; use it as a context manager.

    Parameters
    ----------
    identity
        Identifies the run or the service among those of this user.
    settings
        Who may watch.

    Attributes
    ----------
    gatehouse
        Listens for those who have a key, in the context of this desk.
    listening
        A sentence that says where keys are asked for; "" where they are not.

    Raises
    ------
    ConfigError
        Keys are to be asked for, and there are none.
    LocstreamError
        The folder for sockets is not private, or cannot be made; an address cannot be bound.
    """

    def __init__(self, identity: str, settings: StreamSettings) -> None:
        self._identity = identity
        self._announced: Path | None = None
        self._started_s = time.time()
        self._refusals = Refusals()
        self._told: deque[str] = deque(maxlen=MOST_TOLD)
        with ExitStack() as stack:
            self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            stack.callback(self.context.term)
            self.gatehouse = Gatehouse(self.context)
            stack.callback(self.gatehouse.close)
            self._folder = runtime_folder() / identity[:8]
            self._folder.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self.control = ControlSocket(self.context, self.endpoint("control"), self.gatehouse)
            stack.callback(self.control.close)
            guarded = settings.guarded
            if guarded is not None:
                self.gatehouse.listen(self.control.socket, "control", guarded.control)
            self.publisher = Publisher(
                self.context,
                [self.endpoint("stream")] + ([settings.listen] if settings.listen and guarded is None else []),
                settings.high_water_mark,
                self.endpoint("publish"),
                [self.endpoint("history")],
                guarded and (guarded.stream, guarded.history),
            )
            stack.callback(self.publisher.close)
            self._closing = stack.pop_all()
        self.listening = "" if guarded is None else _listening(guarded, self.gatehouse.admitted)

    @property
    def refused(self) -> dict[str, int]:
        """Connections and requests that were refused, by reason."""
        return dict(self._refusals.by_reason)

    def tend(self, reply_to: Callable[[Request], Reply]) -> None:
        """See to those who watch, answer those who ask, cut off those who were revoked. Never waits."""
        self.publisher.tend()
        self.control.answer(reply_to)
        self.gatehouse.tend()
        self._refusals.add(self.gatehouse.take_refusals())
        self._refusals.add(self.publisher.take_refusals())
        if sentence := self._refusals.take_sentence():
            log.warning("%s", sentence)
            self._told.append(sentence)

    def take_told(self) -> list[str]:
        """Return the sentences about refusals since the last call."""
        told = list(self._told)
        self._told.clear()
        return told

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


def _listening(guarded: GuardedAddresses, admitted: int) -> str:
    who = f"{admitted} admitted" if admitted else "nobody is admitted yet: `locstream keys new NAME --role view`"
    return f"keys are asked for at {guarded.stream} (history {guarded.history}, control {guarded.control}); {who}"
