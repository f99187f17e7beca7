"""What a fit worker does with a frame. One thread, serial kernels."""

from __future__ import annotations

import numpy as np

from locstream.fitting import Localizer, warmup
from locstream.fitting.residuals import ResidualMap, Residuals
from locstream.localizations import Localizations, empty
from locstream.stacks.source import Image
from locstreamd.fit.task import Task

RESIDUALS_EVERY = 32
"""Frames of which one is compared with its fits: the average needs no more, and it costs next to nothing."""


class Fitter:
    """Rows of every frame, and of some what they leave unexplained; ready once it is made.

    Parameters
    ----------
    task
        What to do.

    Raises
    ------
    ConfigError
        It asks for what does not go together.

    Attributes
    ----------
    task
        The same.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        calibration, options, shape = task.calibration, task.options, (task.height, task.width)
        self._localizer = Localizer(calibration, *shape, options, task.astigmatism)
        self._residuals = ResidualMap(calibration, *shape, options.box_px)
        warmup(options, calibration.pixel_size_nm, task.astigmatism)
        self._residuals(np.zeros(shape, np.uint16), empty())  # compiles the comparison, too

    def __call__(self, image: Image, number: int) -> tuple[Localizations, Residuals | None]:
        """Fit a frame; also compare one in `RESIDUALS_EVERY`, always the same ones whoever fits them."""
        rows = self._localizer(image, number)
        return rows, self._residuals(image, rows) if number % RESIDUALS_EVERY == 0 else None
