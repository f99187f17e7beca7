"""Messages between the dispatcher and its workers: frames out, localizations back."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from locstream import __version__
from locstream.kernel_cache import sources_digest
from locstream.stream.wire import Dialect, Message


class ToWorker(Message, frozen=True, kw_only=True):
    """What the dispatcher says."""


class Setup(ToWorker, frozen=True, kw_only=True, tag="setup"):
    """How to fit: frame shape, options, calibrations; the maps of the camera's follow, one buffer each."""

    height: int
    width: int
    fit: dict[str, object]
    scalars: dict[str, float | None]
    maps: tuple[str, ...]
    calibration: str
    """Digest of the camera's calibration: what has arrived must be what was sent."""
    astigmatism: dict[str, object] | None = None
    """What gives rows their depth; None for rows without."""


class Work(ToWorker, frozen=True, kw_only=True, tag="work"):
    """Fit one frame; its pixels follow as one buffer, uint16, row by row."""

    index: int
    number: int


class Beat(ToWorker, frozen=True, kw_only=True, tag="beat"):
    """The acquisition is there, though it may have no frame to give."""


class Rejoin(ToWorker, frozen=True, kw_only=True, tag="rejoin"):
    """The frames that were given over this connection are with others by now: connect anew."""


class Leave(ToWorker, frozen=True, kw_only=True, tag="leave"):
    """No more work will come."""

    reason: str = ""
    """Why this worker gets none at all; "" at the end of an acquisition."""


class FromWorker(Message, frozen=True, kw_only=True):
    """What a worker says."""


class Join(FromWorker, frozen=True, kw_only=True, tag="join"):
    """A worker is here; it waits for its set-up."""

    pid: int | None
    """Its process, where the acquisition has started it and watches it; else it is sent a `Beat` now and then."""
    version: str
    kernels: str = ""
    """Digest of the sources of its kernels."""
    instance: str = ""
    """Chosen by the process at its start, the same with each of its connections."""
    lanes: Annotated[int, Meta(ge=1, le=65_536)]
    """Molecules that it fits side by side: the float32 numbers of one of its vector registers."""
    vectors: str = ""
    """The same in words, with the name of the instructions."""


class Ready(FromWorker, frozen=True, kw_only=True, tag="ready"):
    """The set-up is understood and its kernels are compiled; the worker takes up to `credits` frames at a time."""

    credits: Annotated[int, Meta(ge=1, le=65_536)]
    most: Annotated[int, Meta(ge=0, le=65_536)] = 0
    """Up to so many where the round trip takes longer than a fit; 0: never more than `credits`."""
    calibration: str = ""
    """Digest of the camera's calibration that it fits with."""


class Done(FromWorker, frozen=True, kw_only=True, tag="done"):
    """A frame is fitted; its rows follow as one buffer.

    Of one frame in some a second buffer follows: what its molecules leave unexplained, the sum over `residual_spots`
    of them, box² float32, see `locstream.fitting.residuals`.
    """

    index: int
    rows: int
    fit_ms: Annotated[float, Meta(ge=0, le=3_600_000)]
    residual_spots: Annotated[int, Meta(ge=0, le=10_000_000)] = 0


class Refused(FromWorker, frozen=True, kw_only=True, tag="refused"):
    """A frame or the set-up cannot be worked on, and why; trying again would not help."""

    index: int | None
    reason: str


class Goodbye(FromWorker, frozen=True, kw_only=True, tag="goodbye"):
    """The worker leaves; the frames that it still holds are for others."""


TO_WORKER: Dialect[ToWorker] = Dialect(Setup, Work, Beat, Rejoin, Leave)
FROM_WORKER: Dialect[FromWorker] = Dialect(Join, Ready, Done, Refused, Goodbye)


def refusal(join: Join) -> str:
    """Return why a worker cannot work for this program, naming both sides; "" where it can.

    Processors may differ: wider vectors change rows in their last digits only.
    """
    if join.version != __version__:
        return f"it runs locstream {join.version:.40}, the acquisition {__version__}: install the same on both sides"
    if join.kernels != (ours := sources_digest()):
        return (
            f"its kernels ({join.kernels[:40] or 'unknown'}) are not those of the acquisition ({ours}), though both "
            f"are called {__version__}: install the same on both sides"
        )
    return ""
