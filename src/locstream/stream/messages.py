"""Every message that a watching or controlling program meets.

Localizations travel on an XPUB socket as ``[topic, header, rows]``; control on a ROUTER socket as
``[header]``. Rows are packed, little-endian, and described field by field in `Hello`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from locstream.errors import MessageError
from locstream.localizations import DEPTH_FIELDS, FIELDS, LOCALIZATION, ORIGIN, Localizations
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.quality import Quality
from locstream.stream.stages import Stages
from locstream.stream.wire import Buffer, Dialect, Message

TOPIC_HELLO = b"hello"
TOPIC_LOCALIZATIONS = b"localizations"
TOPIC_STATUS = b"status"
TOPIC_END = b"end"


class FieldSpec(msgspec.Struct, frozen=True):
    """One column of the rows to come: name, numpy type, unit."""

    name: str
    dtype: str
    unit: str


def own_fields(*, depth: bool = False) -> tuple[FieldSpec, ...]:
    """Return the columns as this version writes them, with those of depth or without."""
    return tuple(FieldSpec(f.name, f.dtype, f.unit) for f in (*FIELDS, *(DEPTH_FIELDS if depth else ())))


class Published(Message, frozen=True, kw_only=True):
    """What every message of the localization stream carries.

    Parameters
    ----------
    acquisition
        Id of the acquisition.
    seq
        Sequence number, 0 for the first message; a gap says that messages were lost on the way.
        `Hello` repeats whenever somebody subscribes and carries the number of the next message.
    """

    acquisition: str
    seq: int


class Hello(Published, frozen=True, kw_only=True, tag="hello"):
    """What is being acquired and how its rows are laid out; sent to everyone who subscribes."""

    name: str
    software: str
    width: int
    height: int
    pixel_size_nm: float
    started_s: float
    fields: tuple[FieldSpec, ...] = msgspec.field(default_factory=own_fields)
    origin: str = ORIGIN
    folder: str = ""
    """Where the files of the acquisition grow, on the computer that acquires: a program there may read them."""

    @property
    def has_depth(self) -> bool:
        """Whether its rows have a z."""
        return any(field.name == "z_nm" for field in self.fields)


class Batch(Published, frozen=True, kw_only=True, tag="localizations"):
    """Rows that are committed on disk: frames `frame_first` … `frame_last`, rows from `row_first` on."""

    frame_first: int
    frame_last: int
    row_first: int
    rows: int


class Status(Published, frozen=True, kw_only=True, tag="status"):
    """The numbers that decide, about twice a second. Medians are of the latest batches."""

    state: str
    ledger: LedgerSnapshot
    localizations: int = 0
    per_frame: float = 0.0
    photons: float = 0.0
    background: float = 0.0
    precision_nm: float = 0.0
    sigma_nm: float = 0.0
    z_nm: float | None = None
    """Depth; None where nothing was found, and in a run without depth."""
    z_precision_nm: float | None = None
    fps_acquired: float = 0.0
    fps_fitted: float = 0.0
    queued: int = 0
    """Frames waiting for a worker, in memory or on disk."""
    load: str = "live"
    """What has given way to keep up: ``live`` (nothing), ``delayed``, ``analysis paused``, ``from disk``."""
    lag_s: float = 0.0
    """Age of the oldest frame whose result is not on disk, s."""
    workers: int = 0
    lanes: int = 0
    """Molecules that the narrowest of the workers fits side by side; 0 before one is ready."""
    disk_free_mb: float = 0.0
    suspected_drops: int = 0
    """Frames that seem to be missing by their times alone; no part of the ledger."""
    warning: str = ""
    stages: Stages | None = None
    """What each stage holds and has done; None where nothing is being acquired."""
    quality: Quality | None = None
    """How well the fits describe what the camera sees; None where nothing is being acquired."""


class End(Published, frozen=True, kw_only=True, tag="end"):
    """The acquisition has ended by itself or by order; nothing follows."""

    outcome: str
    frames: int
    rows: int
    message: str = ""
    digest: str = ""
    """SHA-256 of all rows as they were published, hexadecimal; "" where it is not known."""


class Request(Message, frozen=True, kw_only=True, tag="request"):
    """A wish to the running acquisition or to the service: ``status``, ``start``, ``stop`` or ``abort``.

    `name` and `frames` belong to ``start``: the name of the acquisition and after how many frames it ends.
    """

    id: int
    verb: str
    name: str = ""
    frames: int | None = None


class Reply(Message, frozen=True, kw_only=True, tag="reply"):
    """The answer to the request of the same id."""

    id: int
    ok: bool
    message: str = ""
    status: Status | None = None
    hello: Hello | None = None


STREAM: Dialect[Published] = Dialect(Hello, Batch, Status, End)
CONTROL_REQUESTS: Dialect[Request] = Dialect(Request)
CONTROL_REPLIES: Dialect[Reply] = Dialect(Reply)


# --- History: rows that were committed before somebody listened -----------------------------------------------------

MAX_CHUNK_BYTES = 1_000_000
"""Rows in one answer never take more."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of rows or a row's number; every language can hold it."""


class Fetch(Message, frozen=True, kw_only=True, tag="fetch"):
    """A wish for committed rows: at most `max_rows` of them, from `from_row` on.

    Parameters
    ----------
    id
        Comes back with the answer.
    acquisition
        Id of the acquisition, "" for the latest.
    from_row
        Number of the first row, from 0.
    max_rows
        At most so many; 0 stands for as many as one answer holds.
    """

    id: int
    acquisition: str = ""
    from_row: Count = 0
    max_rows: Count = 0


class Chunk(Message, frozen=True, kw_only=True, tag="chunk"):
    """The answer to the `Fetch` of the same id, with the rows behind it: published bytes, read back from disk.

    Parameters
    ----------
    id, acquisition
        Of the `Fetch`; the acquisition is named where the `Fetch` asked for the latest.
    row_first, rows
        The rows in this message; `row_first` is the `from_row` that was asked for.
    committed
        Rows on disk when this was read.
    more
        Rows on disk follow these.
    ended
        Nothing will be added to what is committed.
    fields
        The columns, as in `Hello`.
    end
        What was published at its end, for those who did not hear it; None where that is not known.
    """

    id: int
    acquisition: str
    row_first: Count
    rows: Count
    committed: Count
    more: bool
    ended: bool
    fields: tuple[FieldSpec, ...]
    end: End | None = None


HISTORY_REQUESTS: Dialect[Request | Fetch] = Dialect(Request, Fetch)
"""What a socket understands that answers `Fetch` beside requests."""
HISTORY_REPLIES: Dialect[Reply | Chunk] = Dialect(Reply, Chunk)


def row_dtype(hello: Hello | Chunk) -> np.dtype[np.void]:
    """Return the dtype that `hello` announces.

    Raises
    ------
    MessageError
        The announced types are not plain little-endian numbers, or their names are not one each.
    """
    names = [spec.name for spec in hello.fields]
    if not all(names) or len(set(names)) != max(1, len(names)):
        raise MessageError(f"the stream announces columns without names of their own: {names}")
    for spec in hello.fields:
        if spec.dtype not in ("<f4", "<f8", "<u2", "<u4", "<u8", "<i4", "<i8", "|u1", "<u1"):
            raise MessageError(f"the stream announces the column {spec.name!r} as {spec.dtype!r}, not a plain number")
    return np.dtype([(spec.name, spec.dtype) for spec in hello.fields])


def rows_from(batch: Batch | Chunk, buffers: list[Buffer], dtype: np.dtype[np.void] = LOCALIZATION) -> Localizations:
    """Return the rows of a batch.

    Raises
    ------
    MessageError
        The buffer does not hold the announced number of rows.
    """
    if len(buffers) != 1 or len(buffers[0]) != batch.rows * dtype.itemsize:
        held = sum(len(b) for b in buffers)
        raise MessageError(f"a batch announces {batch.rows} rows of {dtype.itemsize} bytes and holds {held} bytes")
    return np.frombuffer(buffers[0], dtype)
