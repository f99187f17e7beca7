"""microEye: difference of Gaussians, OpenCV's blob detector, numba fits; 7 × 7 px instead of its default 13 × 13."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from answering import Array, Method, Program, answer
from microEye.analysis.filters import DoG_Filter
from microEye.analysis.fitting.fit import CV_BlobDetector, localize_frame
from microEye.analysis.fitting.pyfit3Dcspline import CPUmleFit_LM
from microEye.analysis.fitting.results import FittingMethod
from simulated import BOX, GAIN_E_PER_ADU, OFFSET_ADU, SIGMA_PX

METHODS = {
    "phasor": FittingMethod.Phasor_2D_CPU,
    "MLE fixed σ": FittingMethod.MLE_2D_fixed_sigma,
    "MLE free σ": FittingMethod.MLE_2D_free_sigma,
}
K_SIGMAS = (3, 3.5, 4, 4.5, 5, 6, 7, 8)


class Movie:
    """Frames in memory, in the form that `localize_frame` asks for."""

    def __init__(self, frames: Any) -> None:
        self.frames, self.shape = frames, frames.shape

    def getSlice(self, index: int, *_: object, **__: object) -> Any:  # noqa: N802 - microEye's name
        """Return one frame."""
        return self.frames[index]

    def __len__(self) -> int:
        return len(self.frames)


def fit(kind: int) -> Method:
    """Return a fit of isolated spots by microEye's number of it; its parameters are x, y, photons, …"""
    return Method(
        lambda spots: CPUmleFit_LM(spots.reshape(len(spots), -1), kind, np.array([SIGMA_PX]), None, 0)[0],
        lambda result: np.asarray(result, float)[:, :3],
    )


def job(method: FittingMethod) -> Method:
    """Return the whole job."""

    def run(movie: Movie, k_sigma: float) -> list[Any]:
        filtered, detector = DoG_Filter(sigma=SIGMA_PX), CV_BlobDetector()
        options = {
            "gain": GAIN_E_PER_ADU,
            "offset": OFFSET_ADU * GAIN_E_PER_ADU,
            "k_sigma": k_sigma,
            "method": method,
            "roi_size": BOX,
            "PSFparam": np.array([SIGMA_PX]),
            "irange": None,
        }
        return [localize_frame(i, movie, filtered, detector, options)[:2] for i in range(len(movie))]

    return Method(run, table)


def table(found: list[Any]) -> Array:
    """Return frame, x, y and photons; microEye counts frames from 1."""
    return np.concatenate(
        [np.empty((0, 4))]
        + [np.column_stack([np.asarray(frames) - 1, p[:, [0, 1, 3]]]) for frames, p in found if frames is not None]
    )


answer(
    Program(
        "microEye",
        version("microEye"),
        fits={"MLE fixed σ": fit(1), "MLE free σ": fit(2), "MLE elliptic": fit(4)},
        movies={name: job(method) for name, method in METHODS.items()},
        thresholds=dict.fromkeys(METHODS, K_SIGMAS),
        open_movie=lambda path, frames: Movie(np.array(np.load(path, mmap_mode="r")[:frames])),
    )
)
