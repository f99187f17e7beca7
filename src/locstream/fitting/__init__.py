"""Fitting: from the pixels of a frame to rows of molecules."""

from locstream.fitting.gaussian import SpotFits, fit_spots
from locstream.fitting.localizer import Localizer, warmup
from locstream.fitting.options import FitOptions
from locstream.fitting.status import FitStatus

__all__ = ["FitOptions", "FitStatus", "Localizer", "SpotFits", "fit_spots", "warmup"]
