"""Finds the astigmatism calibration that a configuration names, and what follows from it for the fit."""

from __future__ import annotations

from typing import NamedTuple

from locstream.calibration.astigmatism import AstigmatismCalibration, read_astigmatism
from locstream.fitting import FitOptions
from locstream.fitting.depth import depth_curves, options_for_depth
from locstreamd.service.config import Config, FitSettings


class Fit(NamedTuple):
    """How the frames of a run are fitted.

    Parameters
    ----------
    config
        The configuration with the fit options that are in effect.
    options
        These options.
    astigmatism
        What gives every row its depth; None for rows without.
    """

    config: Config
    options: FitOptions
    astigmatism: AstigmatismCalibration | None


def check_lens(config: Config) -> None:
    """See that the astigmatism calibration that is named can be read. Raises `ConfigError` where it cannot."""
    if config.fit.astigmatism is not None:
        read_astigmatism(config.fit.astigmatism)


def fit_for(config: Config, pixel_size_nm: float) -> Fit:
    """Return how to fit frames with pixels of this size in the sample, nm.

    Raises
    ------
    ConfigError
        The file is no astigmatism calibration, or does not go with the model or the pixels.
    """
    settings = config.fit
    if settings.astigmatism is None:
        return Fit(config, settings.options, None)
    astigmatism = read_astigmatism(settings.astigmatism)
    options = options_for_depth(settings.options, astigmatism, pixel_size_nm)
    depth_curves(astigmatism, pixel_size_nm, options.model)  # refuses what does not go together
    in_effect = FitSettings.model_validate({**options.model_dump(), "astigmatism": settings.astigmatism})
    return Fit(config.model_copy(update={"fit": in_effect}), options, astigmatism)
