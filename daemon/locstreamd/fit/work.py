"""Messages between the dispatcher and its workers: frames out, localizations back."""

from __future__ import annotations

import numpy as np

from locstream.calibration.camera import MAPS, CameraCalibration
from locstream.errors import MessageError
from locstream.fitting import FitOptions
from locstream.stream.wire import Buffer, Dialect, Message


class ToWorker(Message, frozen=True, kw_only=True):
    """What the dispatcher says."""


class Setup(ToWorker, frozen=True, kw_only=True, tag="setup"):
    """How to fit: frame shape, options, calibration; the calibration's maps follow, one buffer each."""

    height: int
    width: int
    fit: dict[str, object]
    scalars: dict[str, float | None]
    maps: tuple[str, ...]


class Work(ToWorker, frozen=True, kw_only=True, tag="work"):
    """Fit one frame; its pixels follow as one buffer, uint16, row by row."""

    index: int
    number: int


class Leave(ToWorker, frozen=True, kw_only=True, tag="leave"):
    """No more work will come; end."""


class FromWorker(Message, frozen=True, kw_only=True):
    """What a worker says."""


class Join(FromWorker, frozen=True, kw_only=True, tag="join"):
    """A worker is here and has its kernels compiled; it takes up to `credits` frames at a time."""

    pid: int
    version: str
    credits: int


class Done(FromWorker, frozen=True, kw_only=True, tag="done"):
    """A frame is fitted; its rows follow as one buffer."""

    index: int
    rows: int
    fit_ms: float


class Refused(FromWorker, frozen=True, kw_only=True, tag="refused"):
    """A frame or the set-up cannot be worked on, and why; trying again would not help."""

    index: int | None
    reason: str


TO_WORKER: Dialect[ToWorker] = Dialect(Setup, Work, Leave)
FROM_WORKER: Dialect[FromWorker] = Dialect(Join, Done, Refused)

SCALARS = ("pixel_size_nm", "offset_adu", "gain_e_per_adu", "read_noise_e", "em_gain", "quantum_efficiency")


def setup_message(
    calibration: CameraCalibration, height: int, width: int, options: FitOptions
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
    )
    return message, [np.ascontiguousarray(getattr(calibration, m), "<f4").tobytes() for m in maps]


def calibration_from(setup: Setup, buffers: list[Buffer]) -> CameraCalibration:
    """Return the calibration that a set-up message carries.

    Raises
    ------
    MessageError
        A map is missing, has another size, or is none of a calibration's maps.
    """
    size = 4 * setup.height * setup.width
    if len(buffers) != len(setup.maps) or any(len(b) != size for b in buffers) or not set(setup.maps) <= set(MAPS):
        raise MessageError(
            f"the set-up announces the maps {setup.maps} of {size} bytes and holds {[len(b) for b in buffers]}"
        )
    maps = {
        name: np.frombuffer(b, "<f4").reshape(setup.height, setup.width)
        for name, b in zip(setup.maps, buffers, strict=True)
    }
    return CameraCalibration(**setup.scalars, **maps)  # type: ignore[arg-type]  # names come from SCALARS and MAPS
