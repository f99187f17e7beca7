"""Looks at the newest camera frame now and then, in a thread of its own: a slow disk must not hold up the picture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from locstream.errors import LocstreamError
from locstream.stacks.source import Image
from locstream_view.following.raw_frames import FramesOfRun, open_frames
from locstream_view.following.seen import Seen
from locstream_view.model.model import ViewModel

EVERY_S = 0.5
AVERAGED = 40
"""About so many frames from before the window was opened are averaged."""


@dataclass(frozen=True, eq=False)
class WatchedFrame:
    """A camera frame and what was found in it.

    Parameters
    ----------
    number
        Frame number, from 0.
    image
        Shape (rows, columns), uint16, ADU.
    columns, rows
        Shape (n,), px from the centre of pixel (0, 0): where the accepted localizations of this frame lie.
    """

    number: int
    image: Image
    columns: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]


class FrameWatch(threading.Thread):
    """Reads the newest frame that is fitted already; read `frame` and `why` from any thread.

    Parameters
    ----------
    seen
        Gives what the following thread has seen.
    """

    def __init__(self, seen: Callable[[], Seen]) -> None:
        super().__init__(name="frames", daemon=True)
        self.frame: WatchedFrame | None = None
        self.why = ""
        self._seen = seen
        self._ending = threading.Event()
        self._raw: FramesOfRun | None = None
        self._before: FramesOfRun | None = None
        self._first = self._looked_back_upto = -1
        self._of: object = None

    def run(self) -> None:
        """Look until `close`."""
        while not self._ending.wait(EVERY_S):
            try:
                self._look()
            except LocstreamError as error:
                self.why = error.what
                self._forget()
        self._forget()

    def close(self) -> None:
        """End the thread and wait for it. Safe to call twice."""
        self._ending.set()
        if self.is_alive():
            self.join()

    def _look(self) -> None:
        seen = self._seen()
        if seen.model is not self._of:
            self._forget()
            self._of, self.frame = seen.model, None
            self._first = self._looked_back_upto = -1
        if seen.model is None:
            self.why = ""
            return
        if self._raw is None:
            self._raw, self.why = open_frames(seen.files)
        if self._raw is None or seen.model.last_frame < 0:
            return
        frame = self._raw.newest(seen.model.last_frame)
        if frame is not None and (self.frame is None or frame.number != self.frame.number):
            if self.frame is None:
                self._first = frame.number
            found = seen.model.of_frame(frame.number)
            size = seen.model.pixel_size_nm
            where = (np.asarray(found[name] / size, np.float64) for name in ("x_nm", "y_nm"))
            self.frame = WatchedFrame(frame.number, frame.image, *where)
            seen.model.look_at(frame.image)
        elif self._looked_back_upto < self._first:
            self._look_back(seen, seen.model)

    def _look_back(self, seen: Seen, model: ViewModel) -> None:
        """While nothing new comes, average a few frames from before the first that was looked at, too."""
        if self._before is None:
            self._before, _ = open_frames(seen.files)
        self._looked_back_upto += max(1, self._first // AVERAGED)
        if self._before is None or self._looked_back_upto >= self._first:
            return
        if (frame := self._before.newest(self._looked_back_upto)) is not None:
            model.look_at(frame.image)

    def _forget(self) -> None:
        for frames in (self._raw, self._before):
            if frames is not None:
                frames.close()
        self._raw = self._before = None
