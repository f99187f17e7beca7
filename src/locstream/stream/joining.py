"""Joining a stream at any row: live messages and fetched history become every row once, in order.

A state machine without sockets or clocks. Whoever drives it hands it what arrives (`Joining.hear`, `Joining.take`),
sends what it wants (`Joining.request`), and gets events back. The row numbers in the messages decide alone; sequence
numbers only tell when it is time to look into the history. What is not certain is fetched: a row that comes twice
is dropped, and one that does not come is asked for until it does.
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque

import numpy as np

from locstream.errors import MessageError
from locstream.localizations import Localizations
from locstream.stream.digest import RowsDigest
from locstream.stream.events import Began, Ended, Event, Rows
from locstream.stream.messages import Batch, Chunk, End, Fetch, Hello, Published, row_dtype, rows_from
from locstream.stream.wire import Buffer

HELD_LIMIT_BYTES = 16_000_000
"""Rows that may wait until those before them are fetched; beyond, the oldest are let go and fetched again."""
HELD_OVERHEAD_BYTES = 256
"""What a held batch costs beside its rows, about."""
BEYOND = 2**53
"""No row has this number: asked for it, the history tells how many there are."""
WAITING_LIMIT = 16
"""Acquisitions that may wait until the one before them is complete."""
PAST_LIMIT = 64
"""Acquisitions that are remembered to have ended, so that a straggler does not begin one of them again."""
UNHERALDED_LIMIT = 20
"""Messages of an acquisition to pass over while its `Hello` may still come; the history has their rows."""


class Joining:
    """Makes one unbroken sequence of rows out of what arrives.

    Parameters
    ----------
    start
        Number of the first row that is wanted; None begins with the next one that is published. Acquisitions that
        begin later are given from their first row.
    held_limit_bytes
        Bounds the memory for rows that wait.
    fetch_rows
        Rows to ask for at a time; 0 leaves it to the other side.

    Attributes
    ----------
    missed
        Acquisitions of which nothing was given, because too many came and went meanwhile.
    """

    def __init__(self, start: int | None = 0, *, held_limit_bytes: int = HELD_LIMIT_BYTES, fetch_rows: int = 0) -> None:
        self.missed = 0
        self._start = start
        self._held_limit_bytes = held_limit_bytes
        self._fetch_rows = fetch_rows
        self._ids = itertools.count(1)
        self._asked: Fetch | None = None
        self._unheralded = 0
        self._past: deque[str] = deque(maxlen=PAST_LIMIT)
        self._waiting: deque[tuple[str, Hello | None]] = deque()
        self._acquisition: str | None = None
        self._begin_at(None)

    def _begin_at(self, row: int | None) -> None:
        """Forget everything of the acquisition before; the next row to give is `row`."""
        self._next = row
        self._seen = 0
        self._end: End | None = None
        self._end_rows: int | None = None
        self._dtype: np.dtype[np.void] | None = None
        self._next_seq: int | None = None
        self._behind = False
        self._quiet = False
        self._ended = False
        self._missing = 0
        self._whole = row == 0
        self._held: list[tuple[int, Localizations]] = []
        self.held_bytes = 0
        """What waits now, bytes."""
        self._digest = RowsDigest()

    @property
    def acquisition(self) -> str | None:
        """Id of the acquisition whose rows are given, None before the first is heard of."""
        return self._acquisition

    @property
    def next_row(self) -> int | None:
        """Number of the next row to give; None before that is known."""
        return self._next

    @property
    def digest(self) -> str:
        """SHA-256 of the rows of this acquisition that were given, see `locstream.stream.digest`."""
        return self._digest.hexdigest()

    @property
    def ended(self) -> bool:
        """True where the acquisition has ended and all of it was given."""
        return self._ended

    def hear(self, message: Published, buffers: list[Buffer]) -> list[Event]:
        """Take a live message; return what follows from it.

        Raises
        ------
        MessageError
            The message contradicts itself or what was announced; nothing has changed.
        """
        known = message.acquisition == self._acquisition
        if isinstance(message, Hello):
            dtype = row_dtype(message)
            if known and self._dtype not in (None, dtype):
                raise MessageError(f"acquisition {message.acquisition} announces other columns than before")
        elif isinstance(message, Batch):
            if min(message.row_first, message.rows) < 0:
                raise MessageError(f"a batch announces rows from {message.row_first}, {message.rows} of them")
            table = rows_from(message, buffers, self._dtype) if known and self._dtype is not None else None
        elif isinstance(message, End) and message.rows < 0:
            raise MessageError(f"an acquisition ended with {message.rows} rows")
        events = [] if known else self._announce(message)
        if message.acquisition != self._acquisition or self._ended:
            return events
        self._quiet = False
        self._count(message)
        match message:
            case Hello():
                self._dtype = dtype
            case Batch():
                self._see(message.row_first, message.row_first + message.rows)
                if table is not None:
                    self._offer(message.row_first, table, events)
            case End():
                self._see(message.rows, message.rows)
                self._end, self._end_rows = message, message.rows
        return self._finish(events)

    def request(self) -> Fetch | None:
        """Return what is to be asked of the history now, or None; nothing more is asked before it is answered."""
        if self._asked is not None or self._acquisition is None or self._ended:
            return None
        if self._next is None:  # how many are there already?
            self._asked = Fetch(id=next(self._ids), acquisition=self._acquisition, from_row=BEYOND)
            return self._asked
        if not (self._behind or self._quiet or self._waiting or self._next < self._seen):
            return None
        most = self._fetch_rows
        if self._held:
            room = self._held[0][0] - self._next  # what is held need not be fetched
            most = min(most, room) if most else room
        self._asked = Fetch(id=next(self._ids), acquisition=self._acquisition, from_row=self._next, max_rows=most)
        return self._asked

    def take(self, chunk: Chunk, buffers: list[Buffer]) -> list[Event]:
        """Take the answer to the request; one to another request is passed over.

        Raises
        ------
        MessageError
            The chunk contradicts itself or what was announced; the request counts as not answered.
        """
        asked, self._asked = self._asked, None
        if asked is None or (chunk.id, chunk.acquisition) != (asked.id, asked.acquisition):
            self._asked = asked
            return []
        dtype = row_dtype(chunk)
        if self._dtype not in (None, dtype):
            raise MessageError(f"the history of {chunk.acquisition} has other columns than its stream")
        table = rows_from(chunk, buffers, dtype)
        wrong_end = chunk.end is not None and (chunk.end.acquisition != chunk.acquisition or chunk.end.rows < 0)
        if chunk.row_first != asked.from_row or (chunk.more and not chunk.rows) or wrong_end:
            raise MessageError(f"{chunk.rows} rows from {chunk.row_first} do not answer what was asked: {asked}")
        self._dtype = dtype
        if chunk.end is not None:
            self._end, self._end_rows = chunk.end, chunk.end.rows
        if self._next is None:
            self._next = chunk.committed
        events: list[Event] = []
        self._offer(chunk.row_first, table, events)
        self._behind = chunk.more
        if self._end is None and not chunk.more and (self._waiting or (chunk.ended and self._quiet)):
            self._end_rows = max(chunk.committed, self._next or 0)
        self._quiet = self._quiet and chunk.more
        return self._finish(events)

    def forget_request(self) -> None:
        """The answer will not come: the next `request` asks again."""
        self._asked = None

    def nudge(self) -> None:
        """It was quiet for long: look whether the end, or the last rows, went by unheard."""
        self._quiet = True

    def skip(self) -> list[Event]:
        """Nobody can give the missing rows: count them and go on with those that are there."""
        self._asked, self._behind, self._quiet = None, False, False
        if self._ended or (self._next is None and not self._waiting):
            return []
        if self._next is None:
            self._next = 0
        go_on = self._held[0][0] if self._held else self._seen
        self._missing += max(0, go_on - self._next)
        self._whole = self._whole and not self._missing
        self._next = max(self._next, go_on)
        if self._waiting and not self._held:
            self._end_rows = self._next
        events: list[Event] = []
        self._release(events)
        return self._finish(events)

    def _announce(self, message: Published) -> list[Event]:
        """Hear of an acquisition that is not the one at hand."""
        hello = message if isinstance(message, Hello) else None
        if message.acquisition in self._past:
            return []
        if not isinstance(message, Hello | End) and self._unheralded < UNHERALDED_LIMIT:
            self._unheralded += 1  # it was sent before our subscription was noticed: the greeting follows
            return []
        self._unheralded = 0
        if self._acquisition is None or self._ended:
            later = self._acquisition is not None
            return [self._switch(message.acquisition, hello, 0 if later else self._start)]
        for place, (acquisition, _) in enumerate(self._waiting):
            if acquisition == message.acquisition:
                if hello is not None:
                    self._waiting[place] = acquisition, hello
                return []
        self._waiting.append((message.acquisition, hello))
        if len(self._waiting) > WAITING_LIMIT:
            self._waiting.popleft()
            self.missed += 1
        return []

    def _switch(self, acquisition: str, hello: Hello | None, row: int | None) -> Began:
        self._acquisition = acquisition
        self._asked = None
        self._begin_at(row)
        if hello is not None:
            self._dtype = row_dtype(hello)
            self._next_seq = hello.seq
        self._behind = row is not None and (hello is None or hello.seq > 0)
        return Began(acquisition, hello)

    def _count(self, message: Published) -> None:
        """Hold the sequence number to the expected one; a gap, or numbers that begin again, ask for a look."""
        if self._next_seq is not None and message.seq != self._next_seq and self._next is not None:
            self._behind = True
        self._next_seq = message.seq + (not isinstance(message, Hello))

    def _see(self, first: int, beyond: int) -> None:
        if self._next is None:
            self._next = first
        self._seen = max(self._seen, beyond)

    def _offer(self, first: int, table: Localizations, events: list[Event]) -> None:
        """Give rows that are next; hold those that are not."""
        if self._next is None or first <= self._next:
            self._give(first, table, events)
            self._release(events)
        elif len(table):
            bisect.insort(self._held, (first, table), key=lambda held: held[0])
            self.held_bytes += table.nbytes + HELD_OVERHEAD_BYTES
            while self.held_bytes > self._held_limit_bytes:
                self._let_go()

    def _release(self, events: list[Event]) -> None:
        while self._held and self._next is not None and self._held[0][0] <= self._next:
            first, table = self._let_go()
            self._give(first, table, events)

    def _let_go(self) -> tuple[int, Localizations]:
        first, table = self._held.pop(0)
        self.held_bytes -= table.nbytes + HELD_OVERHEAD_BYTES
        return first, table

    def _give(self, first: int, table: Localizations, events: list[Event]) -> None:
        assert self._next is not None
        assert self._acquisition is not None
        new = table[max(0, self._next - first) :]
        if len(new):
            self._digest.add(new)
            events.append(Rows(self._acquisition, self._next, new))
            self._next += len(new)
            self._seen = max(self._seen, self._next)

    def _finish(self, events: list[Event]) -> list[Event]:
        """End the acquisition where all of it was given, and begin the next where one waits."""
        while not self._ended and self._end_rows is not None and (self._next or 0) >= self._end_rows:
            assert self._acquisition is not None
            events.append(Ended(self._acquisition, self._end_rows, self._missing, self.digest, self._end, self._whole))
            self._ended = True
            self._past.append(self._acquisition)
            if self._waiting:
                acquisition, hello = self._waiting.popleft()
                events.append(self._switch(acquisition, hello, 0))
                self._behind = True  # its messages were not listened to
        return events
