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
from locstreamd.record.frame_tags import IMAGE_NUMBER, FrameClock
from locstreamd.record.mmcore import CORE_ERRORS, CMMCorePlus, Metadata, release
from locstreamd.record.numbering import Numbering
from locstreamd.record.restarts import CameraStoppedError, Gap
from locstreamd.record.sequence import Sequence

POLL_S = 0.5e-3
"""The core has no blocking pop."""
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
        self._core = core
        self._info = info
        self._buffer_mb = buffer_mb
        self._sequence = Sequence(core, buffer_mb)
        self._state = State.IDLE
        usual_ms = info.interval_ms or info.exposure_ms
        self._numbering = Numbering(frame_counter, paced=paced, usual_s=usual_ms / 1000 if usual_ms else None)
        self._clock = FrameClock()
        self._taken = 0
        self._overwritten = ""
        self._next_state_check_s = 0.0
        self._set_at_start: CameraState | None = None
        self._changed = ""
        self._closed = False

    @property
    def info(self) -> SourceInfo:
        """What is known of the camera."""
        return self._info

    @property
    def exhausted(self) -> bool:
        """True once no more frames will come."""
        if self._state is State.STOPPED and not self._sequence.queued:
            self._state = State.ENDED
        return self._state is State.ENDED

    @property
    def frames_seen(self) -> int:
        """One more than the number of the last frame read; those that were lost are counted too."""
        return self._numbering.last + 1

    @property
    def gap(self) -> Gap | None:
        """What lies between the last two sequences, once the first frame of the second was read; None before."""
        return self._numbering.gap

    def start(self) -> None:
        """Begin the sequence. Raises `SourceError` where the camera refuses."""
        camera = self._info.camera
        if self._sequence.says_running():  # sizing the buffer would stop it without a word
            raise SourceError(
                f"the camera {camera} runs already",
                todo="stop what runs it (live view, another acquisition) and start again",
            )
        try:
            self._sequence.start()
        except CORE_ERRORS as error:
            raise SourceError(
                f"the camera {camera} does not start: {one_line(error)}",
                todo=f"see that no other program uses it, and that there is memory for its {self._buffer_mb:,.0f} MB",
            ) from error
        self._set_at_start = state_of(self._core)  # only now: some cameras settle their exposure when they start
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
        self._overwritten = ""
        self._clock.begin_again()
        self._numbering.begin_again()
        try:
            self._sequence.start_again()
        except CORE_ERRORS as error:
            raise SourceError(
                f"the camera {self._info.camera} does not start again: {one_line(error)}", safe=self._what_is_safe()
            ) from error
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
            if queued := self._sequence.queued:
                return self._pop(queued)
            if not (self._state is State.RUNNING and self._sequence.runs()) and not self._sequence.queued:
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
        clean = self._sequence.says_running()
        try:
            self._stop_camera()
        except CORE_ERRORS as error:
            if self._sequence.says_running():
                raise SourceError(
                    f"the camera {self._info.camera} does not stop: {one_line(error)}", safe=self._what_is_safe()
                ) from error
            clean = False
        # a camera that had stopped by itself before is still a fault: `read` tells it when the queue is empty
        if clean and not self._sequence.overflowed:
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
        self._sequence.forget()

    def _stop_camera(self) -> None:
        self._sequence.stop()

    def _halt(self, state: State) -> None:
        """Stop a camera whose further frames are not wanted or find no room."""
        self._state = state
        with suppress(*CORE_ERRORS):  # cameras whose buffer has overflowed complain when they are stopped
            self._stop_camera()

    def _pop(self, queued: int) -> Frame | None:
        if self._state is State.RUNNING and self._sequence.nearly_full(queued):
            self._halt(State.FULL)
        try:
            pixels, tags = self._core.popNextImageAndMD()
        except IndexError:
            return None  # somebody else took it: its number stays empty
        if self._state is State.RUNNING and self._sequence.may_have_come_round():
            self._overwritten = f"; frame {tags[IMAGE_NUMBER]} was overwritten before it could be read"
            self._halt(State.FULL)
            return None
        try:
            return self._frame(pixels, tags)
        except SourceError as error:
            raise self._ended(f"{self._info.camera}: {error.what}", error.todo, SourceError) from error

    def _frame(self, pixels: npt.NDArray[np.generic], tags: Metadata) -> Frame | None:
        image = self._as_announced(pixels)
        time_s = self._clock.time_s(tags)
        number = self._numbering.number(tags, time_s)
        planned = self._info.frames
        if planned is not None and number >= planned - 1:
            self._halt(State.CHANGED if self._has_changed() else State.ENDED)
            if number >= planned:
                return None
        self._taken += 1
        return Frame(number, time_s, image)

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
        if self._sequence.complaint:
            return self._ended(f"{stopped}: {self._sequence.complaint}", "this is what the camera's own code says")
        if self._state is State.FULL or self._sequence.overflowed:
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
