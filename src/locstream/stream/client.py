"""Follow an acquisition from a program of your own: every row once, in order, from any row on.

>>> import locstream
>>> with locstream.connect("cell1") as client:                                    # doctest: +SKIP
...     for rows in client:
...         print(client.next_row, rows["x_nm"].mean())

`AsyncClient` in `locstream.stream.async_client` is the same for asyncio.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zmq

from locstream.errors import LocstreamError
from locstream.localizations import Localizations, empty, joined
from locstream.stream.endpoints import Endpoints, endpoints
from locstream.stream.events import Began, Ended, Event, Rows
from locstream.stream.keys import ClientKeys, read_client_keys
from locstream.stream.link import POLL_S, Link
from locstream.stream.messages import Hello, Reply, Status
from locstream.stream.tables import to_arrow, to_pandas

TIMEOUT_S = 10.0


def connect(
    where: str | Path | None = None,
    *,
    start: int | None = 0,
    control: str | None = None,
    history: str | None = None,
    keys: ClientKeys | Path | None = None,
    timeout_s: float | None = TIMEOUT_S,
) -> Client:
    """Connect to an acquisition, running or about to.

    Parameters
    ----------
    where
        Its name or id, for one of this user on this computer; a connection file; or the endpoint of a stream such
        as ``tcp://microscope:5577``. None: the newest that runs here.
    start
        Number of the first row wanted: 0 for all, None for what is published from now on.
    control, history
        Endpoints that answer requests, and that give the history, where `where` is an endpoint. Not given, with keys:
        the second and the first port after that of the stream. Not given, without keys: there are none; `history` is
        `control` where only that is given. Without them rows from before the connection, and rows lost on the way,
        are counted as missing.
    keys
        For a server that asks for them: what ``locstream keys new`` has made, or its path.
    timeout_s
        How long silence may last, s; None is for ever. A service that is idle and says so when asked at `control` is
        not silent: its next acquisition is waited for.

    Raises
    ------
    LocstreamError
        Nothing of that name runs; an endpoint or a file is none.
    """
    ends = endpoints(where, control, history, guarded=keys is not None)
    return Client(ends, start=start, keys=client_keys(keys), timeout_s=timeout_s)


class Followed:
    """What the synchronous and the asynchronous client know of the acquisition that they follow.

    Parameters
    ----------
    where
        Endpoints.
    start, keys, timeout_s
        See `connect`.

    Attributes
    ----------
    acquisition
        Id of the acquisition whose rows are given, None before it is known.
    next_row
        Number of the row after the last that was given: where to start, to go on later.
    ended
        How the last acquisition ended that was gone through; `Ended.verified` compares digests.
    """

    def __init__(
        self,
        where: Endpoints,
        *,
        start: int | None = 0,
        keys: ClientKeys | None = None,
        timeout_s: float | None = TIMEOUT_S,
    ) -> None:
        self.acquisition: str | None = None
        self.next_row = start
        self.ended: Ended | None = None
        self._hello: Hello | None = None
        self._told: Status | None = None
        self._link = Link(where, start, timeout_s, keys)

    @property
    def hello(self) -> Hello | None:
        """What is being acquired; None before it is known."""
        if self._hello is None and self.acquisition in (None, self._link.joining.acquisition):
            return self._link.hello
        return self._hello

    @property
    def missing(self) -> int:
        """Rows that were not to be had."""
        return self._link.missing

    @property
    def heard_status(self) -> Status | None:
        """The latest status that came with the stream; costs no request."""
        return self._link.status

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self._link.close()

    def _waiting_event(self) -> Event | Status | None:
        """Return what has come and was not told yet, noted; a status where there is nothing else."""
        if self._link.events:
            event = self._link.events.popleft()
            self._note(event)
            return event
        if self._link.status is self._told:
            return None
        self._told = self._link.status
        return self._told

    def _note(self, event: Event) -> None:
        match event:
            case Began():
                self.acquisition, self._hello = event.acquisition, event.hello
            case Rows():
                self.next_row = event.row_first + len(event.table)
            case Ended():
                self.ended, self._told = event, self._link.status  # nothing is told of it after its end


class Client(Followed):
    """An acquisition that is followed; use it as a context manager. `connect` makes one.

    Going through it gives structured arrays (`locstream.localizations.LOCALIZATION` or with depth) until the
    acquisition ends. Going through it again gives the next acquisition of a service.
    """

    def __iter__(self) -> Iterator[Localizations]:
        """Go through the rows as they come, until the acquisition ends.

        Raises
        ------
        LocstreamError
            Silence for longer than `timeout_s`, without an end: the connection broke or the acquisition died.
        """
        for event in self.events():
            if isinstance(event, Rows):
                yield event.table

    def events(self) -> Iterator[Event | Status]:
        """Go through all that is said until the acquisition ends.

        Yields
        ------
        event
            `Began` with what is acquired; `Rows`, each row once and in order; `Ended`; and between them a `Status`,
            about twice a second, the latest alone where several have come. A service that acquires nothing is asked now
            and then: its `Status` has no acquisition.

        Raises
        ------
        LocstreamError
            As for the rows alone.
        """
        event: Event | Status | None = None
        while not isinstance(event, Ended):
            while (event := self._waiting_event()) is None:
                self._turn()
                self._link.check()
            yield event

    def table(self) -> Localizations:
        """Wait for the end of the acquisition; return all its rows from here on as one array."""
        found = list(self)
        return joined(found) if found else empty()

    def to_pandas(self) -> Any:
        """Return `table` as a `pandas.DataFrame`."""
        return to_pandas(self.table())

    def to_arrow(self) -> Any:
        """Return `table` as a `pyarrow.Table`."""
        return to_arrow(self.table())

    def status(self) -> Status:
        """Ask how it goes.

        Raises
        ------
        LocstreamError
            No answer within `timeout_s`, or no control endpoint was given.
        """
        return status_of(self._ask("status"))

    def start(self, name: str = "", frames: int | None = None) -> str:
        """Have a service begin an acquisition; return what it says. Needs the role control, over a network.

        Parameters
        ----------
        name
            Begins every file's name; "" takes the configuration's, with date and time.
        frames
            Stop after so many; None is open-ended.
        """
        return self._ask("start", name=name, frames=frames).message

    def stop(self) -> str:
        """Stop the camera; what was taken is still fitted and filed. Return what the other side says."""
        return self._ask("stop").message

    def abort(self) -> str:
        """Stop the camera and leave frames that wait unfitted; they are in the raw stack."""
        return self._ask("abort").message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, verb: str, *, name: str = "", frames: int | None = None) -> Reply:
        number = self._link.send(verb, name=name, frames=frames)
        while (reply := self._link.reply(number)) is None:
            self._turn()
        return reply

    def _turn(self) -> None:
        poller = zmq.Poller()
        for socket in self._link.sockets:
            poller.register(socket, zmq.POLLIN)
        poller.poll(int(1000 * POLL_S))
        self._link.turn()


def client_keys(keys: ClientKeys | Path | None) -> ClientKeys | None:
    """Return keys, read from their file where a path is given."""
    return read_client_keys(keys) if isinstance(keys, Path) else keys


def status_of(reply: Reply) -> Status:
    """Return the status in a reply.

    Raises
    ------
    LocstreamError
        There is none.
    """
    if reply.status is None:
        raise LocstreamError("the other side answered without a status", todo="ask again")
    return reply.status
