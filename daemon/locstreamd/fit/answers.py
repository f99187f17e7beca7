"""What workers send back, checked before anybody believes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from locstream.errors import MessageError
from locstream.fitting.residuals import Residuals
from locstream.formats.picasso import storable
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.results.frames import FrameOutcome
from locstream.stream.wire import Buffer
from locstreamd.fit.task import Task
from locstreamd.fit.work import Done
from locstreamd.record.frame_index import FrameIndex


@dataclass(frozen=True)
class Settled:
    """What became of one frame."""

    index: int
    outcome: FrameOutcome
    rows: Localizations
    reason: str = ""
    residuals: Residuals | None = None
    """What its molecules leave unexplained, of one frame in some."""


class Answers:
    """Makes of the messages of workers what became of their frames.

    Parameters
    ----------
    index
        Frame numbers by index.
    task
        What the workers were set up with.

    Attributes
    ----------
    unusable
        Rows that were left out because no results file may hold them.
    """

    def __init__(self, index: FrameIndex, task: Task) -> None:
        self.unusable = 0
        self._index = index
        self._dtype = LOCALIZATION if task.astigmatism is None else LOCALIZATION_3D
        self._field = (task.calibration.pixel_size_nm, task.height, task.width)
        self._box = task.options.box_px

    def fitted(self, done: Done, buffers: Sequence[Buffer]) -> Settled:
        """Return the rows of a frame, and of some what they leave unexplained.

        Raises
        ------
        MessageError
            What came is not what was announced, or of another frame.
        """
        return Settled(
            done.index, FrameOutcome.FITTED, self._rows(done, buffers), residuals=self._residuals(done, buffers)
        )

    def failed(self, index: int, reason: str) -> Settled:
        """Return what stands for a frame that could not be fitted."""
        return Settled(index, FrameOutcome.FAILED, empty(0, self._dtype), reason)

    def _rows(self, done: Done, buffers: Sequence[Buffer]) -> Localizations:
        """Return the rows but those that no results file may hold; a worker of ours sends none of these."""
        if not buffers or len(buffers[0]) != done.rows * self._dtype.itemsize:
            raise MessageError(f"frame index {done.index}: the announced {done.rows} rows are not what came")
        rows = np.frombuffer(buffers[0], self._dtype)
        number = self._index.number(done.index)
        if np.any(rows["frame"] != number):
            raise MessageError(f"frame index {done.index}: rows of another frame than {number}")
        usable = storable(rows, *self._field)
        self.unusable += int(np.count_nonzero(~usable))
        return rows if usable.all() else rows[usable]

    def _residuals(self, done: Done, buffers: Sequence[Buffer]) -> Residuals | None:
        if not done.residual_spots:
            return None
        if len(buffers) != 2 or len(buffers[1]) != 4 * self._box**2:
            raise MessageError(f"frame index {done.index}: the residuals are not those of a box of {self._box} px")
        total = np.frombuffer(buffers[1], "<f4").reshape(self._box, self._box)
        return Residuals(total, done.residual_spots) if np.isfinite(total).all() else None
