"""A bad network to put between two programs: a tcp proxy that delays, cuts, stalls and refuses connections.

It forwards bytes and knows no protocol; a cut falls anywhere, also in the middle of a message. The target may be an ipc
endpoint: ZeroMQ says the same over both.

>>> with BadNetwork("ipc:///tmp/stream", cut_after_bytes=(1_000, 50_000)) as network:     # doctest: +SKIP
...     connect(network.endpoint)
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PIECE_BYTES = 65_536
HELD_LIMIT_BYTES = 1_000_000
"""What may be on its way in one direction of one connection; beyond, nothing more is taken from the sender."""
IDLE_S = 0.5
PATIENCE_S = 60.0


class _Way:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.held: deque[tuple[float, bytes]] = deque()
        self.held_bytes = 0
        self.left = False
        """Whether the sender has closed its end."""

    @property
    def has_room(self) -> bool:
        return not self.left and self.held_bytes < HELD_LIMIT_BYTES

    @property
    def over(self) -> bool:
        return self.left and not self.held

    def take(self, due: float) -> None:
        """Take what the sender has sent, or note that it has left."""
        if piece := self.source.recv(PIECE_BYTES):
            self.held.append((due, piece))
            self.held_bytes += len(piece)
        else:
            self.left = True

    def is_due(self, now: float) -> bool:
        return bool(self.held) and self.held[0][0] <= now

    def give(self, most: float) -> int:
        """Hand on the first piece, at most so many bytes of it; return how many were taken."""
        due, piece = self.held.popleft()
        sent = self.sink.send(piece[: int(min(most, len(piece)))])
        if sent < len(piece):
            self.held.appendleft((due, piece[sent:]))
        self.held_bytes -= sent
        return sent


class _Connection:
    """A client's connection and ours to the target, cut after `budget` bytes."""

    def __init__(self, client: socket.socket, server: socket.socket, budget: float) -> None:
        self.ways = _Way(client, server), _Way(server, client)
        self.budget = budget

    def close(self) -> None:
        for way in self.ways:
            way.source.close()


class BadNetwork:
    """Use it as a context manager; it works in a thread of its own.

    Parameters
    ----------
    target
        Endpoint to forward to, ``tcp://HOST:PORT`` or ``ipc://PATH``; it need not be there yet.
    delay_s
        How long bytes are under way in each direction, s.
    cut_after_bytes
        Each connection is cut after a random number of bytes between these two, both directions counted; None: never.
    seed
        Of the random numbers.

    Attributes
    ----------
    endpoint
        Where to connect to instead of `target`.
    connections, cuts
        How many were made, and how many of these were cut.
    """

    def __init__(
        self, target: str, *, delay_s: float = 0.0, cut_after_bytes: tuple[int, int] | None = None, seed: int = 0
    ) -> None:
        self.connections = self.cuts = 0
        self._target = urlsplit(target)
        self._delay_s, self._cut_after_bytes = delay_s, cut_after_bytes
        self._chance = random.Random(seed)
        self._open: list[_Connection] = []
        self._stalled = self._refusing = self._ending = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._bell, self._ringer = socket.socketpair()
        self._orders: deque[tuple[Callable[[], object], threading.Event]] = deque()
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, name="bad network", daemon=True)

    def cut(self) -> None:
        """Cut every connection that is open; new ones may be made at once."""

        def cut() -> None:
            for connection in list(self._open):
                self._cut(connection)

        self._order(cut)

    def calm(self) -> None:
        """Cut nothing from now on, neither old connections nor new ones."""

        def calm() -> None:
            self._cut_after_bytes = None
            for connection in self._open:
                connection.budget = float("inf")

        self._order(calm)

    def stall(self, stalled: bool) -> None:
        """Let connections be open and nothing get through, as on a dead line; what was taken is kept."""
        self._order(lambda: setattr(self, "_stalled", stalled))

    def refuse(self, refusing: bool) -> None:
        """Close new connections as soon as they are made."""
        self._order(lambda: setattr(self, "_refusing", refusing))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._order(lambda: setattr(self, "_ending", True))
        self._thread.join()
        for connection in self._open:
            connection.close()
        for each in (self._listener, self._bell, self._ringer):
            each.close()

    def _order(self, order: Callable[[], object]) -> None:
        """Have something done in the thread, and wait until it is."""
        done = threading.Event()
        self._orders.append((order, done))
        self._ringer.send(b"!")
        assert done.wait(PATIENCE_S)

    def _run(self) -> None:
        while not self._ending:
            ways = [] if self._stalled else [(c, way) for c in self._open for way in c.ways]
            now = time.monotonic()
            readable = {way.source: (c, way) for c, way in ways if way.has_room}
            writable = {way.sink: (c, way) for c, way in ways if way.is_due(now)}
            waits = [way.held[0][0] - now for _, way in ways if way.held and not way.is_due(now)]
            ready, free, _ = select.select(
                [self._listener, self._bell, *readable], list(writable), [], min([IDLE_S, *waits])
            )
            for sink in free:
                self._give(*writable[sink])
            for source in ready:
                if source in readable:
                    self._take(*readable[source])
            if self._listener in ready:
                self._accept()
            if self._bell in ready:
                self._obey()

    def _obey(self) -> None:
        self._bell.recv(1)
        order, done = self._orders.popleft()
        order()
        done.set()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = None if self._refusing else self._reach()
        if server is None:
            client.close()
            return
        for each in (client, server):
            each.setblocking(False)
            if each.family != socket.AF_UNIX:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is slow here is slow on purpose
        budget = float("inf") if self._cut_after_bytes is None else self._chance.randint(*self._cut_after_bytes)
        self._open.append(_Connection(client, server, budget))
        self.connections += 1

    def _reach(self) -> socket.socket | None:
        """Connect to the target; None where nobody is there."""
        try:
            if self._target.scheme == "tcp":
                return socket.create_connection((self._target.hostname, self._target.port), PATIENCE_S)
            reached = socket.socket(socket.AF_UNIX)
            try:
                reached.connect(self._target.path)
            except OSError:
                reached.close()
                raise
            return reached
        except OSError:
            return None

    def _take(self, connection: _Connection, way: _Way) -> None:
        with self._leaving_where_broken(connection):
            way.take(time.monotonic() + self._delay_s)

    def _give(self, connection: _Connection, way: _Way) -> None:
        with self._leaving_where_broken(connection):
            connection.budget -= way.give(max(1, connection.budget))
        if connection.budget <= 0:
            self._cut(connection)

    @contextlib.contextmanager
    def _leaving_where_broken(self, connection: _Connection) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:
            return
        except OSError:  # it was closed a moment ago, by either end or by us
            self._leave(connection)
        if any(way.over for way in connection.ways):
            self._leave(connection)

    def _cut(self, connection: _Connection) -> None:
        if connection in self._open:
            self.cuts += 1
            self._leave(connection)

    def _leave(self, connection: _Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            connection.close()
