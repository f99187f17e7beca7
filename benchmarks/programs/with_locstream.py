"""Locstream itself, through its public names."""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from answering import Array, Method, Program, answer
from simulated import GAIN_E_PER_ADU, OFFSET_ADU, PIXEL_NM, READ_NOISE_E, SIGMA_PX

import locstream
from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, Localizer, SpotFits, fit_spots, warmup
from locstream.localizations import Localizations, joined

CAMERA = CameraCalibration(PIXEL_NM, OFFSET_ADU, GAIN_E_PER_ADU, READ_NOISE_E)


Model = Literal["sigma", "sigma_xy", "fixed"]


def fit(model: Model) -> Method:
    """Return a fit of x, y, photons, background and one width, two or none."""
    return Method(lambda spots: fit_spots(spots, SIGMA_PX, READ_NOISE_E**2, model), fitted)


def fit_with_maps(spots: Any) -> SpotFits:
    """Fit with a read noise of its own for every pixel, as of an sCMOS camera."""
    return fit_spots(spots, SIGMA_PX, maps(spots.shape))


@functools.lru_cache(1)
def maps(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the variance of every pixel of every box."""
    return np.full(shape, READ_NOISE_E**2, np.float32)


@functools.lru_cache(1)
def localizer(height: int, width: int, model: Model, threshold: float | None) -> Localizer:
    """Return what a worker makes once an acquisition; None is the default threshold."""
    chosen = {} if threshold is None else {"threshold": threshold}
    return Localizer(CAMERA, height, width, FitOptions(psf_sigma_nm=SIGMA_PX * PIXEL_NM, model=model, **chosen))


def localize(model: Model) -> Method:
    """Return the whole job frame by frame, as a worker does it."""

    def run(movie: Any, threshold: float | None) -> Localizations:
        of_frame = localizer(*movie.shape[1:], model, threshold)
        return joined([of_frame(image, number) for number, image in enumerate(movie)])

    return Method(run, table)


def fitted(fits: SpotFits) -> Array:
    """Return x, y and photons."""
    return fits.estimate[:, :3].astype(float)


def table(rows: Localizations) -> Array:
    """Return frame, x, y and photons."""
    return np.column_stack([rows["frame"], rows["x_nm"] / PIXEL_NM, rows["y_nm"] / PIXEL_NM, rows["photons"]])


warmup()
answer(
    Program(
        "locstream",
        locstream.__version__,
        fits={
            "MLE": fit("sigma"),
            "MLE, sCMOS": Method(fit_with_maps, fitted),
            "MLE elliptic": fit("sigma_xy"),
            "MLE fixed σ": fit("fixed"),
        },
        movies={"MLE": localize("sigma"), "MLE fixed σ": localize("fixed")},
    )
)
