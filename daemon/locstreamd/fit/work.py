"""Messages between the dispatcher and its workers: frames out, localizations back."""

from __future__ import annotations

import numpy as np
from pydantic import ValidationError

from locstream import __version__
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import MAPS, CameraCalibration
from locstream.errors import LocstreamError, MessageError
from locstream.fitting import FitOptions
from locstream.kernel_cache import sources_digest
from locstream.stream.wire import Buffer, Dialect, Message


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
    lanes: int
    """Molecules that it fits side by side: the float32 numbers of one of its vector registers."""
    vectors: str = ""
    """The same in words, with the name of the instructions."""


class Ready(FromWorker, frozen=True, kw_only=True, tag="ready"):
    """The set-up is understood and its kernels are compiled; the worker takes up to `credits` frames at a time."""

    credits: int
    most: int = 0
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
    fit_ms: float
    residual_spots: int = 0


class Refused(FromWorker, frozen=True, kw_only=True, tag="refused"):
    """A frame or the set-up cannot be worked on, and why; trying again would not help."""

    index: int | None
    reason: str


class Goodbye(FromWorker, frozen=True, kw_only=True, tag="goodbye"):
    """The worker leaves; the frames that it still holds are for others."""


TO_WORKER: Dialect[ToWorker] = Dialect(Setup, Work, Beat, Rejoin, Leave)
FROM_WORKER: Dialect[FromWorker] = Dialect(Join, Ready, Done, Refused, Goodbye)

SCALARS = ("pixel_size_nm", "offset_adu", "gain_e_per_adu", "read_noise_e", "em_gain", "quantum_efficiency")


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


def setup_message(
    calibration: CameraCalibration,
    height: int,
    width: int,
    options: FitOptions,
    astigmatism: AstigmatismCalibration | None = None,
) -> tuple[Setup, list[Buffer]]:
    """Return the set-up of a worker and the calibration maps that travel behind it."""
    maps = tuple(m for m in MAPS if isinstance(getattr(calibration, m), np.ndarray))
    scalars = {s: float(getattr(calibration, s)) for s in SCALARS if s not in maps}
    message = Setup(
        height=height,
        width=width,
        fit=options.model_dump(mode="json"),
        scalars={**scalars, "saturation_adu": calibration.saturation_adu},
        maps=maps,
        calibration=calibration.digest(),
        astigmatism=None if astigmatism is None else astigmatism.model_dump(mode="json"),
    )
    return message, [np.ascontiguousarray(getattr(calibration, m), "<f4").tobytes() for m in maps]


def calibration_from(setup: Setup, buffers: list[Buffer]) -> CameraCalibration:
    """Return the calibration that a set-up message carries.

    Raises
    ------
    MessageError
        A map is missing, has another size, or is none of a calibration's maps; or this is not what was sent.
    """
    if min(setup.height, setup.width) < 1:
        raise MessageError(f"the set-up announces frames of {setup.height} × {setup.width} px")
    size = 4 * setup.height * setup.width
    if len(buffers) != len(setup.maps) or any(len(b) != size for b in buffers) or not set(setup.maps) <= set(MAPS):
        raise MessageError(
            f"the set-up announces the maps {setup.maps} of {size} bytes and holds {[len(b) for b in buffers]}"
        )
    maps = {
        name: np.frombuffer(b, "<f4").reshape(setup.height, setup.width)
        for name, b in zip(setup.maps, buffers, strict=True)
    }
    try:
        calibration = CameraCalibration(**setup.scalars, **maps)  # type: ignore[arg-type]  # checked there
    except (TypeError, LocstreamError) as error:  # names that are none, missing or twice; values out of bounds
        raise MessageError(f"the set-up carries no camera calibration: {error}") from error
    if calibration.digest() != setup.calibration:
        raise MessageError(
            f"the camera's calibration arrived with digest {calibration.digest()[:12]} and was sent with "
            f"{setup.calibration[:12]}"
        )
    return calibration


def astigmatism_from(setup: Setup) -> AstigmatismCalibration | None:
    """Return the astigmatism calibration that a set-up message carries. Raises `MessageError` where it is none."""
    if setup.astigmatism is None:
        return None
    try:
        return AstigmatismCalibration.model_validate(setup.astigmatism)
    except ValidationError as error:
        raise MessageError(f"the set-up carries no astigmatism calibration: {error.errors()[0]['msg']}") from error
