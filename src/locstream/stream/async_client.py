"""`locstream.stream.client` for asyncio.

>>> from locstream.stream.async_client import connect
>>> async def follow():
...     async with connect("cell1") as client:
...         async for rows in client:
...             print(len(rows))
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from locstream.localizations import Localizations, empty, joined
from locstream.stream.client import TIMEOUT_S, Followed, client_keys, status_of
from locstream.stream.endpoints import Endpoints, endpoints
from locstream.stream.events import Ended, Event, Rows
from locstream.stream.keys import ClientKeys
from locstream.stream.link import POLL_S
from locstream.stream.messages import Reply, Status
from locstream.stream.tables import to_arrow, to_pandas


def connect(
    where: str | Path | None = None,
    *,
    start: int | None = 0,
    control: str | None = None,
    history: str | None = None,
    keys: ClientKeys | Path | None = None,
    timeout_s: float | None = TIMEOUT_S,
) -> AsyncClient:
    """Do what `locstream.connect` does, for use in a coroutine."""
    ends = endpoints(where, control, history, guarded=keys is not None)
    return AsyncClient(ends, start=start, keys=client_keys(keys), timeout_s=timeout_s)


class AsyncClient(Followed):
    """What `locstream.stream.client.Client` is, for one event loop: with ``async for``, ``async with``, ``await``."""

    def __init__(
        self,
        where: Endpoints,
        *,
        start: int | None = 0,
        keys: ClientKeys | None = None,
        timeout_s: float | None = TIMEOUT_S,
    ) -> None:
        super().__init__(where, start=start, keys=keys, timeout_s=timeout_s)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptors: list[int] = []
        self._signs = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[Localizations]:
        """Go through the rows as they come, until the acquisition ends."""
        async for event in self.events():
            if isinstance(event, Rows):
                yield event.table

    async def events(self) -> AsyncIterator[Event | Status]:
        """Go through all that is said until the acquisition ends, see `Client.events`."""
        event: Event | Status | None = None
        while not isinstance(event, Ended):
            while (event := self._waiting_event()) is None:
                await self._turn()
                self._link.check()
            yield event

    async def table(self) -> Localizations:
        """Wait for the end of the acquisition; return all its rows from here on as one array."""
        found = [rows async for rows in self]
        return joined(found) if found else empty()

    async def to_pandas(self) -> Any:
        """Return `table` as a `pandas.DataFrame`."""
        return to_pandas(await self.table())

    async def to_arrow(self) -> Any:
        """Return `table` as a `pyarrow.Table`."""
        return to_arrow(await self.table())

    async def status(self) -> Status:
        """Ask how it goes."""
        return status_of(await self._ask("status"))

    async def start(self, name: str = "", frames: int | None = None) -> str:
        """Have a service begin an acquisition; return what it says."""
        return (await self._ask("start", name=name, frames=frames)).message

    async def stop(self) -> str:
        """Stop the camera; return what the other side says."""
        return (await self._ask("stop")).message

    async def abort(self) -> str:
        """Stop the camera and leave frames that wait unfitted; they are in the raw stack."""
        return (await self._ask("abort")).message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _ask(self, verb: str, *, name: str = "", frames: int | None = None) -> Reply:
        number = self._link.send(verb, name=name, frames=frames)
        while (reply := self._link.reply(number)) is None:
            await self._turn()
        return reply

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        if self._loop is not None and not self._loop.is_closed():
            for descriptor in self._descriptors:
                self._loop.remove_reader(descriptor)
        self._descriptors = []
        super().close()

    async def _turn(self) -> None:
        """Wait until something may have come, a moment at most, and take it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._descriptors = [socket.fileno() for socket in self._link.sockets]
            for descriptor in self._descriptors:
                self._loop.add_reader(descriptor, self._signs.set)
        self._signs.clear()
        # The descriptor tells of changes only: what has come before must be looked for.
        if any(socket.poll(0) for socket in self._link.sockets):
            await asyncio.sleep(0)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._signs.wait()
        self._link.turn()
