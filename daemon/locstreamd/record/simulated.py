"""A simulated camera that looks at the simulated sample: a Micro-Manager device written in Python.

It goes through the same core and the same `CoreSource` as a real camera, so what is tried with it is
what records.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from locstream.stacks.source import SourceInfo
from locstreamd.record.camera_noise import SimulatedChip
from locstreamd.record.core_source import CoreSource
from locstreamd.record.mmcore import VERSIONS
from locstreamd.record.sample import Emissions, Sample, SimulationOptions
from locstreamd.record.unicore import CameraDevice, UniMMCore

CAMERA = "simulated camera"
BUFFER_MB = 512
"""The core's buffer for an ordinary frame size; it takes memory only while frames wait in it."""
MIN_BUFFER_FRAMES = 16
MB = 1024 * 1024
UNPACED_QUEUE = 8
"""Frames an unpaced camera lets wait before it waits itself."""
YIELD_S = 0.5e-3


def open_simulated(options: SimulationOptions) -> SimulatedSource:
    """Build the sample and a camera in front of it.

    Raises
    ------
    ConfigError
        The field is too small to hold any of the structures.
    """
    sample = Sample(options)
    core = UniMMCore(mm_path=str(Path(__file__).parent))  # no adapters are needed; it would search the computer
    camera = SimulatedCamera(sample, core.getRemainingImageCount)
    core.loadPyDevice("Camera", camera)
    core.initializeDevice("Camera")
    core.setCameraDevice("Camera")
    return SimulatedSource(core, camera, sample)


def whole_frames_mb(frame_bytes: int, wanted_mb: int) -> float:
    """Return a buffer size in MB that is a whole number of frames, to the byte.

    The buffer of a Python camera is one pool written round and round. Where a frame does not fit between
    the write position and the end of the pool it reports an overflow, however empty the pool, if the
    reader was not just then at its heels. A pool of whole frames has no such end. The fraction is exact:
    an MB is a power of two.

    Parameters
    ----------
    frame_bytes
        Size of a frame, bytes.
    wanted_mb
        Size to come near to, MB; it is exceeded where fewer than 16 frames would fit.
    """
    return max(wanted_mb * MB // frame_bytes, MIN_BUFFER_FRAMES) * frame_bytes / MB


class SimulatedSource(CoreSource):
    """The frames of the simulated camera, and the truth about them."""

    def __init__(self, core: UniMMCore, camera: SimulatedCamera, sample: Sample) -> None:
        options = sample.options
        info = SourceInfo(
            camera=CAMERA,
            width=options.width,
            height=options.height,
            frames=options.frames,
            pixel_size_nm=options.pixel_size_nm,
            exposure_ms=options.exposure_ms,
            interval_ms=options.exposure_ms,
            bit_depth=16,
            details={"simulation": options.model_dump_json(), **VERSIONS},
        )
        buffer_mb = whole_frames_mb(options.width * options.height * 2, BUFFER_MB)
        super().__init__(core, info, buffer_mb=buffer_mb, paced=options.paced)
        self._camera = camera
        self._sample = sample

    @property
    def truth(self) -> Emissions:
        """Every emission in the frames up to the last one read; worked out anew at every call."""
        return self._sample.truth(self.frames_seen)

    def write_truth(self, path: Path) -> int:
        """Write `truth` as an HDF5 table and return its number of rows; see `Sample.write_truth`."""
        return self._sample.write_truth(path, self.frames_seen)

    def _stop_camera(self) -> None:
        self._camera.stop()
        super()._stop_camera()


class SimulatedCamera(CameraDevice):
    """A camera whose light is computed.

    Paced, it ends a frame at every multiple of the exposure after the start, by deadlines that do not
    drift; what nobody takes fills the buffer, as with a real camera. Unpaced, it waits while more than a
    few frames are queued, as no real camera would.

    Parameters
    ----------
    sample
        What is in front of it.
    queued
        Says how many frames wait in the core's buffer.
    """

    def __init__(self, sample: Sample, queued: Callable[[], int]) -> None:
        super().__init__()
        self._sample = sample
        self._options = sample.options
        self._queued = queued
        self._stop = threading.Event()
        self._chip = SimulatedChip(sample.options)
        self._chip.expose(0, sample.truth(0), np.empty(self.shape(), self.dtype()))  # compiles, before time counts

    def shape(self) -> tuple[int, int]:
        """Return rows and columns."""
        return self._options.height, self._options.width

    def dtype(self) -> npt.DTypeLike:
        """Return the type of a pixel."""
        return np.uint16

    def get_exposure(self) -> float:
        """Return the exposure, ms."""
        return self._options.exposure_ms

    def set_exposure(self, exposure: float) -> None:
        """Refuse: the sample's blinks are counted in frames."""
        raise ValueError(f"the exposure is fixed by the options of the simulation; {exposure} ms was asked for")

    def stop(self) -> None:
        """End the sequence at once, even in the middle of an exposure. The core does not tell the device to stop."""
        self._stop.set()

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], npt.DTypeLike], npt.NDArray[np.uint16]]
    ) -> Iterator[Mapping[str, str]]:
        """Take frames until `n`, until the planned number, or until stopped."""
        planned = min((limit for limit in (n, self._options.frames) if limit is not None), default=None)
        begin_s = time.perf_counter()
        for number, emissions in enumerate(self._sample.emissions()):
            if number == planned or not self._exposed(number, begin_s):
                return
            self._chip.expose(number, emissions, get_buffer(self.shape(), self.dtype()))
            yield {}

    def _exposed(self, number: int, begin_s: float) -> bool:
        """Wait for the end of an exposure, or for room; False if stopped meanwhile."""
        if self._options.paced:
            end_s = begin_s + (number + 1) * self._options.exposure_ms / 1000
            return not self._stop.wait(max(end_s - time.perf_counter(), 0))
        while self._queued() > UNPACED_QUEUE:
            if self._stop.wait(YIELD_S):
                return False
        return not self._stop.is_set()
