"""Takes frames from a camera through Micro-Manager's core; the same for C++ and for Python cameras."""

from __future__ import annotations

import time
from contextlib import suppress
from enum import Enum, auto

import numpy as np
import numpy.typing as npt

from locstream.errors import SourceError
from locstream.stacks.source import Frame, Image, SourceInfo
from locstreamd.record.camera_setup import CameraState, one_line, state_of
from locstreamd.record.camera_thread import CameraThreadWatch
from locstreamd.record.frame_tags import IMAGE_NUMBER, FrameClock, FrameNumbers
from locstreamd.record.mmcore import CORE_ERRORS, CMMCorePlus, Metadata, is_python_camera, release
from locstreamd.record.pace import Pace
from locstreamd.record.restarts import CameraStoppedError, Gap

OPEN_ENDED = 2**31 - 1
"""Frames to ask the camera for: as many as a C ``long`` holds on every system."""
SPARE_PART = 16
"""The camera is stopped when less than one part in so many of its buffer is free."""
POLL_S = 0.5e-3
"""The core has no blocking pop."""
RUNNING_CHECK_S = 0.05
"""How often an idle camera is asked whether it still runs; some adapters ask the hardware."""
STATE_CHECK_S = 1.0
"""How often region, exposure and binning are held to those at the start."""


class State(Enum):
    """What the source is doing."""

    IDLE = auto()
    RUNNING = auto()
    STOPPED = auto()
    """Stopped when asked to; frames may be queued."""
    FULL = auto()
    """Stopped by the source because the buffer was filling up; frames are queued."""
    CHANGED = auto()
    """Stopped by the source because the camera was set to something else; frames are queued."""
    ENDED = auto()


class CoreSource:
    """The frames of a core's camera, from `start` to `stop` or to the planned number.

    The sequence is started so that it *stops* when its buffer is full. The core's continuous mode, and
    every other way to start, clears the buffer and goes on instead, and says nothing.

    A pop frees the frame's place in the core's buffer before its pixels are copied out. While the buffer
    is all but full the camera can overwrite them in that moment, and a later picture comes under an
    earlier number. So the camera is stopped a little before its buffer is full, and after every pop it is
    shown that the place cannot have been taken again.

    Parameters
    ----------
    core
        A core with its camera ready. It belongs to the source from now on and is released by `close`.
    info
        What is known of the camera; with `frames`, the source ends after that many.
    buffer_mb
        Size of the core's buffer, MB. It must be whole for a C++ camera.
    frame_counter
        Metadata tag by which frames are numbered, see `FrameNumbers`.
    paced
        False for a camera that waits for its frames to be taken.

    Attributes
    ----------
    gap
        What lies between the last two sequences, once the first frame of the second was read; None before.
    """

    def __init__(
        self,
        core: CMMCorePlus,
        info: SourceInfo,
        *,
        buffer_mb: float,
        frame_counter: str = "",
        paced: bool = True,
    ) -> None:
        self.paced = paced
        self.gap: Gap | None = None
        self._core = core
        self._info = info
        self._buffer_mb = buffer_mb
        self._capacity = 0
        self._state = State.IDLE
        self._numbers = FrameNumbers(frame_counter)
        self._clock = FrameClock()
        self._watch = CameraThreadWatch()
        self._taken = 0
        self._complaint = ""
        self._overwritten = ""
        self._next_check_s = self._next_state_check_s = 0.0
        self._set_at_start: CameraState | None = None
        self._changed = ""
        self._pace = Pace()
        self._goes_on = False
        self._closed = False

    @property
    def info(self) -> SourceInfo:
        """What is known of the camera."""
        return self._info

    @property
    def exhausted(self) -> bool:
        """True once no more frames will come."""
        if self._state is State.STOPPED and not self._core.getRemainingImageCount():
            self._state = State.ENDED
        return self._state is State.ENDED

    @property
    def frames_seen(self) -> int:
        """One more than the number of the last frame read; those that were lost are counted too."""
        return self._numbers.last + 1

    def start(self) -> None:
        """Begin the sequence. Raises `SourceError` where the camera refuses."""
        camera = self._info.camera
        if self._says_running():  # sizing the buffer would stop it without a word
            raise SourceError(
                f"the camera {camera} runs already",
                todo="stop what runs it (live view, another acquisition) and start again",
            )
        self._watch.install()
        try:
            # arg-type: annotated as int, but a Python camera's buffer needs a fraction (see simulated.py)
            self._core.setCircularBufferMemoryFootprint(self._buffer_mb)  # type: ignore[arg-type]
            self._core.startSequenceAcquisition(OPEN_ENDED, 0, True)
        except CORE_ERRORS as error:
            raise SourceError(
                f"the camera {camera} does not start: {one_line(error)}",
                todo=f"see that no other program uses it, and that there is memory for its {self._buffer_mb:,.0f} MB",
            ) from error
        self._set_at_start = state_of(self._core)  # only now: some cameras settle their exposure when they start
        self._capacity = self._core.getBufferTotalCapacity()
        self._state = State.RUNNING

    def restart(self) -> None:
        """Start the sequence again after it has stopped unasked.

        Frame numbers go on: what is missing is counted by the camera's driver where it counts on, else reckoned from
        the time that has passed, see `gap`.

        Raises
        ------
        SourceError
            The camera refuses.
        """
        with suppress(*CORE_ERRORS):  # some say that they run although their buffer has overflowed
            self._stop_camera()
        self._watch.message = self._complaint = self._overwritten = ""
        self._clock.begin_again()
        self._goes_on = True
        try:
            self._core.startSequenceAcquisition(OPEN_ENDED, 0, True)
        except CORE_ERRORS as error:
            raise SourceError(
                f"the camera {self._info.camera} does not start again: {one_line(error)}", safe=self._what_is_safe()
            ) from error
        self._next_check_s = 0.0
        self._state = State.RUNNING

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if none came within `timeout_s`.

        Raises
        ------
        CameraStoppedError
            The camera stopped by itself; everything that was queued has been returned before.
        SourceError
            Its frames are not in order or not of the announced shape, or it was set to something else meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        while not self.exhausted:
            self._check_state()
            if queued := self._core.getRemainingImageCount():
                return self._pop(queued)
            if not self._is_running() and not self._core.getRemainingImageCount():
                raise self._fault()
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_S)
        return None

    def stop(self) -> None:
        """Stop the camera; what is queued can still be read.

        Raises
        ------
        SourceError
            The camera does not stop.
        """
        if self._state is State.IDLE:
            self._state = State.ENDED
        if self._state is not State.RUNNING:
            return
        clean = self._says_running()
        try:
            self._stop_camera()
        except CORE_ERRORS as error:
            if self._says_running():
                raise SourceError(
                    f"the camera {self._info.camera} does not stop: {one_line(error)}", safe=self._what_is_safe()
                ) from error
            clean = False
        # a camera that had stopped by itself before is still a fault: `read` tells it when the queue is empty
        if clean and not self._core.isBufferOverflowed():
            self._state = State.CHANGED if self._has_changed() else State.STOPPED

    def close(self) -> None:
        """Stop the camera and unload it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._state = State.ENDED
        with suppress(*CORE_ERRORS):  # it is unloaded next, whatever it says to this
            self._stop_camera()
        release(self._core)
        self._watch.remove()

    def _stop_camera(self) -> None:
        self._core.stopSequenceAcquisition()

    def _halt(self, state: State) -> None:
        """Stop a camera whose further frames are not wanted or find no room."""
        self._state = state
        with suppress(*CORE_ERRORS):  # cameras whose buffer has overflowed complain when they are stopped
            self._stop_camera()

    def _pop(self, queued: int) -> Frame | None:
        if self._state is State.RUNNING and queued >= self._capacity - 1 - self._capacity // SPARE_PART:
            self._halt(State.FULL)
        try:
            pixels, tags = self._core.popNextImageAndMD()
        except IndexError:
            return None  # somebody else took it: its number stays empty
        if self._may_be_overwritten():
            self._overwritten = f"; frame {tags[IMAGE_NUMBER]} was overwritten before it could be read"
            self._halt(State.FULL)
            return None
        try:
            return self._frame(pixels, tags)
        except SourceError as error:
            raise self._ended(f"{self._info.camera}: {error.what}", error.todo, SourceError) from error

    def _may_be_overwritten(self) -> bool:
        """Say whether the camera can have come round to the place of the frame just popped."""
        if self._state is not State.RUNNING or is_python_camera(self._core):
            return False
        return self._core.getRemainingImageCount() >= self._capacity - 1

    def _frame(self, pixels: npt.NDArray[np.generic], tags: Metadata) -> Frame | None:
        image = self._as_announced(pixels)
        time_s = self._clock.time_s(tags)
        number = self._number(tags, time_s)
        planned = self._info.frames
        if planned is not None and number >= planned - 1:
            self._halt(State.CHANGED if self._has_changed() else State.ENDED)
            if number >= planned:
                return None
        self._taken += 1
        return Frame(number, time_s, image)

    def _number(self, tags: Metadata, time_s: float) -> int:
        """Return the number of a frame, which goes on behind the gap where the camera was started again."""
        if self._goes_on:
            self._goes_on = False
            usual_ms = self._info.interval_ms or self._info.exposure_ms
            missing = self._pace.missing_before(time_s, usual_ms / 1000 if usual_ms else None) if self.paced else None
            self.gap = self._numbers.go_on(tags, missing)
            self._pace.begin_again()
        else:
            self._numbers.next(tags)
        self._pace.see(self._numbers.last, time_s)
        return self._numbers.last

    def _as_announced(self, pixels: npt.NDArray[np.generic]) -> Image:
        announced = self._info.height, self._info.width
        if pixels.shape != announced or pixels.dtype not in (np.uint8, np.uint16):
            raise SourceError(
                f"pictures changed from shape {announced} to shape {pixels.shape}, {pixels.dtype}",
                todo="leave region, binning and pixel type alone while recording",
            )
        return pixels.astype(np.uint16, copy=False)

    def _check_state(self) -> None:
        """Look now and then whether the camera is still set as at the start; where not, have it stop."""
        if self._state is not State.RUNNING or time.monotonic() < self._next_state_check_s:
            return
        self._next_state_check_s = time.monotonic() + STATE_CHECK_S
        if self._has_changed():
            self._halt(State.CHANGED)

    def _has_changed(self) -> bool:
        """Say whether region, exposure or binning are others than at the start."""
        if not self._changed and self._set_at_start is not None:
            self._changed = self._set_at_start.changed_to(state_of(self._core))
        return bool(self._changed)

    def _is_running(self) -> bool:
        if self._state is not State.RUNNING:
            return False
        now_s = time.monotonic()
        if now_s < self._next_check_s:
            return True
        self._next_check_s = now_s + RUNNING_CHECK_S
        # some cameras say that they run although their buffer has overflowed and takes no more
        return self._says_running() and not self._core.isBufferOverflowed()

    def _says_running(self) -> bool:
        try:
            return self._core.isSequenceRunning()
        except CORE_ERRORS as error:  # a camera that does not answer any more
            self._complaint = one_line(error)
            return False

    def _fault(self) -> SourceError:
        """Return why the camera stopped unasked."""
        if self._has_changed():
            return self._ended(
                f"{self._info.camera}: while frames were recorded somebody changed {self._changed}; "
                f"the camera was stopped after {self._taken:,} frames, of which those of the last second or so may "
                "have been taken with the new settings",
                "leave region, exposure and binning alone while recording, and start a new acquisition",
                SourceError,
            )
        stopped = f"{self._info.camera}: the camera stopped after {self._taken:,} frames"
        if complaint := self._watch.message or self._complaint:
            return self._ended(f"{stopped}: {complaint}", "this is what the camera's own code says")
        if self._state is State.FULL or self._core.isBufferOverflowed():
            return self._ended(
                f"{stopped}: its buffer of {self._buffer_mb:,.0f} MB was full, "
                f"because frames came faster than they were saved{self._overwritten}",
                "give a larger buffer_mb, save to a faster disk, or take a smaller region or longer exposures",
            )
        return self._ended(
            f"{stopped} although nobody asked it to; its buffer was not full",
            "look at the camera's power, cable and temperature; Micro-Manager's log (log_file) may say more",
        )

    def _ended(self, what: str, todo: str, kind: type[SourceError] = CameraStoppedError) -> SourceError:
        self._state = State.ENDED
        return kind(what, safe=self._what_is_safe(), todo=todo)

    def _what_is_safe(self) -> str:
        return f"the {self._taken:,} frames that the camera delivered before were all read"
