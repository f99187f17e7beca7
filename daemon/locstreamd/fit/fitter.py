"""What a fit worker does with a frame. One thread, serial kernels."""

from __future__ import annotations

import numpy as np

from locstream.fitting import FitOptions, Localizer, warmup
from locstream.fitting.residuals import ResidualMap, Residuals
from locstream.localizations import Localizations, empty
from locstream.stacks.source import Image
from locstream.stream.wire import Buffer
from locstreamd.fit.work import Setup, astigmatism_from, calibration_from

RESIDUALS_EVERY = 32
"""Frames of which one is compared with its fits: the average needs no more, and it costs next to nothing."""


class Fitter:
    """What a set-up asks for: rows of every frame, and of some what they leave unexplained.

    Parameters
    ----------
    setup, buffers
        The message and what came behind it.

    Raises
    ------
    LocstreamError
        The set-up cannot be understood, or asks for what does not go together.

    Attributes
    ----------
    shape
        Of the frames: rows, columns.
    calibration
        Digest of the camera's calibration.
    """

    def __init__(self, setup: Setup, buffers: list[Buffer]) -> None:
        self.shape = setup.height, setup.width
        self.calibration = setup.calibration
        options = FitOptions.model_validate(setup.fit)
        calibration, astigmatism = calibration_from(setup, buffers), astigmatism_from(setup)
        self._localizer = Localizer(calibration, *self.shape, options, astigmatism)
        self._residuals = ResidualMap(calibration, *self.shape, options.box_px)
        warmup(options, calibration.pixel_size_nm, astigmatism)
        self._residuals(np.zeros(self.shape, np.uint16), empty())  # compiles the comparison, too

    def __call__(self, image: Image, number: int) -> tuple[Localizations, Residuals | None]:
        """Fit a frame; also compare one in `RESIDUALS_EVERY`, always the same ones whoever fits them."""
        rows = self._localizer(image, number)
        return rows, self._residuals(image, rows) if number % RESIDUALS_EVERY == 0 else None
