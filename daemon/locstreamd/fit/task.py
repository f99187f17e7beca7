"""What the workers of an acquisition are set up with, and how it travels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import MAPS, CameraCalibration
from locstream.errors import LocstreamError, MessageError
from locstream.fitting import FitOptions
from locstream.settings import Settings
from locstream.stream.wire import Buffer
from locstreamd.fit.work import Setup

SCALARS = ("pixel_size_nm", "offset_adu", "gain_e_per_adu", "read_noise_e", "em_gain", "quantum_efficiency")
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Task:
    """How the frames of an acquisition are fitted, whoever does it.

    Parameters
    ----------
    calibration
        The camera's, of the region that the frames show.
    height, width
        Of the frames, px.
    options
        How to fit.
    astigmatism
        Gives every row its depth; None for rows without.
    """

    calibration: CameraCalibration
    height: int
    width: int
    options: FitOptions
    astigmatism: AstigmatismCalibration | None = None

    @property
    def frame_bytes(self) -> int:
        """Size of a frame, bytes."""
        return 2 * self.height * self.width


def setup_message(task: Task) -> tuple[Setup, list[Buffer]]:
    """Return the set-up of a worker and the calibration maps that travel behind it."""
    calibration = task.calibration
    maps = tuple(m for m in MAPS if isinstance(getattr(calibration, m), np.ndarray))
    scalars = {s: float(getattr(calibration, s)) for s in SCALARS if s not in maps}
    message = Setup(
        height=task.height,
        width=task.width,
        fit=task.options.model_dump(mode="json"),
        scalars={**scalars, "saturation_adu": calibration.saturation_adu},
        maps=maps,
        calibration=calibration.digest(),
        astigmatism=None if task.astigmatism is None else task.astigmatism.model_dump(mode="json"),
    )
    return message, [np.ascontiguousarray(getattr(calibration, m), "<f4").tobytes() for m in maps]


def task_from(setup: Setup, buffers: list[Buffer]) -> Task:
    """Return what a set-up message asks for.

    Raises
    ------
    MessageError
        Options or a calibration are none, as of another version; or the camera's calibration is not what was sent.
    """
    return Task(
        _calibration_from(setup, buffers),
        setup.height,
        setup.width,
        _validated(FitOptions, setup.fit, "fit options"),
        None
        if setup.astigmatism is None
        else _validated(AstigmatismCalibration, setup.astigmatism, "astigmatism calibration"),
    )


def _validated(kind: type[S], values: dict[str, object], what: str) -> S:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in error.errors())
        raise MessageError(
            f"the set-up carries no {what} of this version: {wrong}", todo="use the same version on both sides"
        ) from error


def _calibration_from(setup: Setup, buffers: list[Buffer]) -> CameraCalibration:
    if min(setup.height, setup.width) < 1:
        raise MessageError(f"the set-up announces frames of {setup.height} × {setup.width} px")
    size = 4 * setup.height * setup.width
    if len(buffers) != len(setup.maps) or any(len(b) != size for b in buffers) or not set(setup.maps) <= set(MAPS):
        raise MessageError(
            f"the set-up announces the maps {setup.maps} of {size} bytes and holds {[len(b) for b in buffers]}"
        )
    # Any: each name has a type of its own, and CameraCalibration looks at them all
    scalars: dict[str, Any] = {**setup.scalars}
    maps: dict[str, Any] = {
        name: np.frombuffer(b, "<f4").reshape(setup.height, setup.width)
        for name, b in zip(setup.maps, buffers, strict=True)
    }
    try:
        calibration = CameraCalibration(**scalars, **maps)
    except (TypeError, LocstreamError) as error:  # names that are none, missing or twice; values out of bounds
        raise MessageError(f"the set-up carries no camera calibration: {error}") from error
    if calibration.digest() != setup.calibration:
        raise MessageError(
            f"the camera's calibration arrived with digest {calibration.digest()[:12]} and was sent with "
            f"{setup.calibration[:12]}"
        )
    return calibration
