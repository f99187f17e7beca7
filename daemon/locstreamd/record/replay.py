"""A recorded stack as a source of frames, as if it came from a camera again."""

from __future__ import annotations

import time

from locstream.errors import ConfigError, SourceError, StackError
from locstream.stacks.source import Frame, SourceInfo, Stack


class ReplaySource:
    """The frames of a stack from the first to the last.

    With `fps` the source counts as paced, so that whatever takes the frames treats it as a camera: frame n
    is due n / fps after the start, none comes before it is due, and one taken late does not delay the
    next. Unlike with a camera nothing is lost by taking frames late; they wait on disk.

    Times are the start of the replay plus what the frame rate says, given or recorded; the time when
    the stack was recorded is not known.

    Parameters
    ----------
    stack
        What to replay. It belongs to the source from now on and is closed by `close`.
    fps
        Frames per second; None to give frames as fast as they are taken.

    Raises
    ------
    ConfigError
        `fps` is not a positive number.
    """

    def __init__(self, stack: Stack, fps: float | None = None) -> None:
        if fps is not None and not 0 < fps < float("inf"):
            raise ConfigError(f"fps = {fps:g} is not a positive number", todo="leave it out to go as fast as possible")
        self.paced = fps is not None
        self._stack = stack
        self._fps = fps
        self._interval_s = 1 / fps if fps else self._recorded_interval_s()
        self._begin_s = 0.0
        self._begin_epoch_s = 0.0
        self._next = 0
        self._ended = False

    @property
    def info(self) -> SourceInfo:
        """What the stack says of itself."""
        return self._stack.info

    @property
    def exhausted(self) -> bool:
        """True after the last frame, or once stopped: nothing is queued."""
        return self._ended or self._next >= len(self._stack)

    def start(self) -> None:
        """Begin to count time."""
        self._begin_s, self._begin_epoch_s = time.monotonic(), time.time()

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if it is not due within `timeout_s`.

        Raises
        ------
        SourceError
            The stack cannot be read; the message names the frame.
        """
        if self.exhausted:
            return None
        if self._fps is not None:
            wait_s = self._begin_s + self._next / self._fps - time.monotonic()
            time.sleep(max(min(wait_s, timeout_s), 0))
            if wait_s > timeout_s:
                return None
        number = self._next
        try:
            image = self._stack.read(number)
        except StackError as error:
            self._ended = True
            raise SourceError(
                f"frame {number:,} of {len(self._stack):,} cannot be read: {error.what}",
                safe=f"the {number:,} frames before it were read",
                todo=error.todo or "copy the stack again from where it was recorded",
            ) from error
        self._next += 1
        elapsed_s = number * self._interval_s if self._interval_s else time.monotonic() - self._begin_s
        return Frame(number, self._begin_epoch_s + elapsed_s, image)

    def stop(self) -> None:
        """Give no more frames."""
        self._ended = True

    def close(self) -> None:
        """Close the stack. Safe to call twice."""
        self._ended = True
        self._stack.close()

    def _recorded_interval_s(self) -> float | None:
        interval_ms = self._stack.info.interval_ms or self._stack.info.exposure_ms
        return interval_ms / 1000 if interval_ms else None
