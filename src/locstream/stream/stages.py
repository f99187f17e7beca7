"""What each stage of an acquisition holds and has done: for whoever watches the machine rather than the sample."""

from __future__ import annotations

import msgspec


class Queue(msgspec.Struct, frozen=True):
    """Frames that wait at one place.

    Parameters
    ----------
    name
        ``capture`` (between camera and loop), ``recorder`` (on their way to the raw stack), ``backlog_memory`` and
        ``backlog_disk`` (waiting for a worker), ``workers`` (with a worker), ``collector`` (results that wait for
        an older frame), ``commit`` (results that wait for the disk).
    frames
        How many wait.
    capacity
        How many may, None where only the disk bounds them.
    held_bytes
        Memory taken by their pixels, bytes.
    """

    name: str
    frames: int
    capacity: int | None = None
    held_bytes: int = 0


class Latency(msgspec.Struct, frozen=True):
    """From the time of a frame to something that was done with its localizations, ms, over the latest frames."""

    p50_ms: float
    p99_ms: float


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """The stages of an acquisition at one moment; all counts begin with the acquisition.

    Parameters
    ----------
    queues
        Frames that wait, place by place, in the order in which a frame meets them.
    busy_s
        Time that was spent working, s: ``loop``, processor time of the acquisition loop; ``recorder``, time of writing
        the raw stack; ``fit``, time in the kernels, of all workers together; ``commit``, time of writing results.
    deaths
        Processes that died and were replaced: ``worker``, ``recorder``, ``publisher``.
    camera_restarts
        How often a camera that had stopped unasked was started again.
    unpublished
        Messages of the stream that were dropped before they were sent to anybody, because the publisher was not
        there or too busy; subscribers see the gap in the numbers.
    rejected
        Messages that could not be understood, by socket: ``control``, ``history``, ``work``.
    refused
        Connections and requests of those who may not, by reason, since the program began: ``unknown key``, ``role``,
        ``mechanism``, ``handshake``, ``request``.
    left_out
        Rows that no results file may hold.
    subscribers
        Programs that follow the stream.
    committed, published
        From a frame to its localizations committed on disk, and handed to the publisher; None before the first, and
        where frames do not come at a camera's pace.
    """

    queues: tuple[Queue, ...] = ()
    busy_s: dict[str, float] = {}
    deaths: dict[str, int] = {}
    rejected: dict[str, int] = {}
    refused: dict[str, int] = {}
    camera_restarts: int = 0
    unpublished: int = 0
    left_out: int = 0
    subscribers: int = 0
    committed: Latency | None = None
    published: Latency | None = None
