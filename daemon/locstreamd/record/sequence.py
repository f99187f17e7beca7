"""A camera's sequence as the core runs it: started so that no frame is overwritten without a word."""

from __future__ import annotations

import time
from typing import Any

from locstreamd.record.camera_setup import one_line
from locstreamd.record.camera_thread import CameraThreadWatch
from locstreamd.record.mmcore import CORE_ERRORS, CMMCorePlus, is_python_camera

OPEN_ENDED = 2**31 - 1
"""Frames to ask the camera for: as many as a C ``long`` holds on every system."""
SPARE_PART = 16
"""The camera is to be stopped when less than one part in so many of its buffer is free."""
RUNNING_CHECK_S = 0.05
"""How often an idle camera is asked whether it still runs; some adapters ask the hardware."""


class Sequence:
    """What fills the core's buffer.

    It is started so that it *stops* when its buffer is full. The core's continuous mode, and every other way to start,
    clears the buffer and goes on instead, and says nothing.

    A pop frees the frame's place in the core's buffer before its pixels are copied out. While the buffer is all but
    full the camera can overwrite them in that moment, and a later picture comes under an earlier number. So the camera
    is to be stopped a little before its buffer is full (`nearly_full`), and after every pop it is to be shown that the
    place cannot have been taken again (`may_have_come_round`).

    Parameters
    ----------
    core
        A core with its camera ready.
    buffer_mb
        Size of the core's buffer, MB. It must be whole for a C++ camera.
    """

    def __init__(self, core: CMMCorePlus, buffer_mb: float) -> None:
        self._core = core
        self._buffer_mb = buffer_mb
        self._capacity = 0
        self._watch = CameraThreadWatch()
        self._complaint = ""
        self._next_check_s = 0.0

    @property
    def queued(self) -> int:
        """Frames in the buffer."""
        return self._core.getRemainingImageCount()

    @property
    def overflowed(self) -> bool:
        """Whether the buffer was full, and so the camera was stopped."""
        return self._core.isBufferOverflowed()

    @property
    def complaint(self) -> str:
        """What the camera's own code has said when it ended; "" where it said nothing."""
        return self._watch.message or self._complaint

    def start(self) -> None:
        """Make the buffer and begin. Raises what the core raises, see `CORE_ERRORS`."""
        self._watch.install()
        core: Any = self._core  # whose annotation asks for an int; a Python camera's buffer needs a fraction of a MB
        core.setCircularBufferMemoryFootprint(self._buffer_mb)
        self.start_again()
        self._capacity = self._core.getBufferTotalCapacity()

    def start_again(self) -> None:
        """Begin with the buffer as it is. Raises what the core raises."""
        self._watch.message = self._complaint = ""
        self._next_check_s = 0.0
        self._core.startSequenceAcquisition(OPEN_ENDED, 0, True)

    def stop(self) -> None:
        """Stop the camera. Raises what the core raises."""
        self._core.stopSequenceAcquisition()

    def forget(self) -> None:
        """Listen no longer to what the camera's own code dies of."""
        self._watch.remove()

    def says_running(self) -> bool:
        """Ask the camera whether it runs."""
        try:
            return self._core.isSequenceRunning()
        except CORE_ERRORS as error:  # a camera that does not answer any more
            self._complaint = one_line(error)
            return False

    def runs(self) -> bool:
        """Return whether it may still give frames; the camera itself is asked now and then."""
        now_s = time.monotonic()
        if now_s < self._next_check_s:
            return True
        self._next_check_s = now_s + RUNNING_CHECK_S
        # some cameras say that they run although their buffer has overflowed and takes no more
        return self.says_running() and not self.overflowed

    def nearly_full(self, queued: int) -> bool:
        """Say whether the buffer has hardly any room beside so many frames."""
        return queued >= self._capacity - 1 - self._capacity // SPARE_PART

    def may_have_come_round(self) -> bool:
        """Say whether a camera that runs can have come round to the place of the frame just popped."""
        return not is_python_camera(self._core) and self.queued >= self._capacity - 1
