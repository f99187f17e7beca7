"""What every source of frames is: a camera, a simulation, a recorded stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint16]
"""One camera frame: shape (rows, columns), C order, native-endian uint16, ADU."""


class Frame(NamedTuple):
    """One frame as it leaves a source.

    Parameters
    ----------
    number
        Frame number from 0. A number that is missing was dropped by the camera; it is never reused.
    time_s
        Seconds since the epoch (UTC), from the camera's clock where it has one, else the host's.
    image
        The pixels, owned by the receiver.
    """

    number: int
    time_s: float
    image: Image


@dataclass(frozen=True)
class SourceInfo:
    """What a source says of itself before the first frame.

    Parameters
    ----------
    camera, serial
        Name and serial number by which a calibration is looked up; "" where unknown.
    width, height
        Frame shape, px.
    frames
        Number of frames to come, None where open-ended.
    pixel_size_nm, exposure_ms, interval_ms
        None where the source does not know.
    bit_depth
        Bits the camera's converter uses, None where unknown; sets the saturation level.
    roi_x, roi_y
        Column and row of the first pixel on the sensor, from 0.
    details
        Anything else worth keeping with the results, as text.
    warnings
        Sentences the user must see: what in the input does not agree with itself.
    """

    camera: str
    width: int
    height: int
    serial: str = ""
    frames: int | None = None
    pixel_size_nm: float | None = None
    exposure_ms: float | None = None
    interval_ms: float | None = None
    bit_depth: int | None = None
    roi_x: int = 0
    roi_y: int = 0
    details: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class FrameSource(Protocol):
    """Anything that gives frames, in order, at its own pace or as fast as they are taken.

    Used from one thread. `read` blocks at most `timeout_s`; after `stop` it still gives what was
    queued, and `exhausted` says when there is nothing left.
    """

    paced: bool
    """True where frames come at the source's own rate and are lost when nobody takes them."""

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame."""

    @property
    def exhausted(self) -> bool:
        """True once no more frames will come."""

    def start(self) -> None:
        """Begin. Raises `SourceError` where the camera refuses."""

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if none came within `timeout_s`.

        Raises
        ------
        SourceError
            The source stopped unasked; everything that was queued has been returned before.
        """

    def stop(self) -> None:
        """Ask for no more frames; those already queued can still be read."""

    def close(self) -> None:
        """Give the camera or the file back. Safe to call twice."""


class Stack(Protocol):
    """Frames on disk, any of them at any time."""

    @property
    def info(self) -> SourceInfo:
        """Shape, number of frames and what the file says of the camera; `frames` is never None."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def read(self, index: int) -> Image:
        """Return frame `index` as a fresh array. Raises `StackError` where it cannot be read."""

    def close(self) -> None:
        """Close the file. Safe to call twice."""
