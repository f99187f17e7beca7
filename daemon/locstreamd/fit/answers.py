"""What workers send back, checked before anybody believes it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from locstream.errors import MessageError
from locstream.fitting.residuals import Residuals
from locstream.formats.picasso import storable
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream.stream.wire import Buffer
from locstreamd.fit.work import Done
from locstreamd.record.frame_index import FrameIndex


class Answers:
    """Makes rows and residuals of the messages of workers.

    Parameters
    ----------
    index
        Frame numbers by index.
    pixel_size_nm, height, width, box_px
        Of the frames and the fits.
    depth
        Whether rows have a depth.

    Attributes
    ----------
    unusable
        Rows that were left out because no results file may hold them.
    """

    def __init__(
        self, index: FrameIndex, pixel_size_nm: float, height: int, width: int, box_px: int, *, depth: bool
    ) -> None:
        self.unusable = 0
        self._index = index
        self._dtype = LOCALIZATION_3D if depth else LOCALIZATION
        self._field = (pixel_size_nm, height, width)
        self._box = box_px

    def none(self) -> Localizations:
        """Return the rows of a frame that could not be fitted."""
        return empty(0, self._dtype)

    def rows(self, done: Done, buffers: Sequence[Buffer]) -> Localizations:
        """Return the rows of a frame but those that no results file may hold; a worker of ours sends none of these.

        Raises
        ------
        MessageError
            What came is not what was announced, or of another frame.
        """
        if not buffers or len(buffers[0]) != done.rows * self._dtype.itemsize:
            raise MessageError(f"frame index {done.index}: the announced {done.rows} rows are not what came")
        if not (math.isfinite(done.fit_ms) and done.fit_ms >= 0):
            raise MessageError(f"frame index {done.index}: a fit cannot take {done.fit_ms} ms")
        rows = np.frombuffer(buffers[0], self._dtype)
        number = self._index.number(done.index)
        if np.any(rows["frame"] != number):
            raise MessageError(f"frame index {done.index}: rows of another frame than {number}")
        usable = storable(rows, *self._field)
        self.unusable += int(np.count_nonzero(~usable))
        return rows if usable.all() else rows[usable]

    def residuals(self, done: Done, buffers: Sequence[Buffer]) -> Residuals | None:
        """Return what a frame's molecules leave unexplained, if it was looked at.

        Raises
        ------
        MessageError
            What came is of another size.
        """
        if not done.residual_spots:
            return None
        if len(buffers) != 2 or len(buffers[1]) != 4 * self._box**2:
            raise MessageError(f"frame index {done.index}: the residuals are not those of a box of {self._box} px")
        total = np.frombuffer(buffers[1], "<f4").reshape(self._box, self._box)
        return Residuals(total, done.residual_spots) if np.isfinite(total).all() else None
