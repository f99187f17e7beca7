"""Picasso: `picasso.localize`, one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import picasso
from answering import Array, Method, Program, answer
from picasso import localize
from simulated import BOX, GAIN_E_PER_ADU, OFFSET_ADU, PIXEL_NM

CAMERA = {"Baseline": OFFSET_ADU, "Sensitivity": GAIN_E_PER_ADU, "Gain": 1, "Qe": 1, "Pixelsize": PIXEL_NM}
METHODS = {"MLE spherical": "gaussmle-spherical", "MLE elliptic": "gaussmle", "LSQ": "gausslq"}
MIN_NET_GRADIENTS = (200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 1000)


def fit(mle: bool, spherical: bool) -> Method:
    """Return a fit of isolated spots; its parameters are photons, x, y, …"""
    return Method(
        lambda spots: localize.fit_spots_gauss(spots, mle=mle, spherical=spherical),
        lambda result: np.asarray(result, float)[:, [1, 2, 0]],
    )


def job(name: str) -> Method:
    """Return the whole job by Picasso's name of the fit."""

    def run(movie: Any, min_net_gradient: float) -> Any:
        return localize.localize_frames(
            movie,
            None,
            {"Min. Net Gradient": min_net_gradient, "Box Size": BOX},
            camera_info=CAMERA,
            fitting_method=name,
            threaded=False,
        )

    return Method(run, table)


def table(locs: Any) -> Array:
    """Return frame, x, y and photons; Picasso counts from the centre of pixel (0, 0) as well."""
    return np.column_stack([np.asarray(locs[name], float) for name in ("frame", "x", "y", "photons")])


answer(
    Program(
        "Picasso",
        picasso.__version__,
        fits={"MLE spherical": fit(True, True), "MLE elliptic": fit(True, False), "LSQ spherical": fit(False, True)},
        movies={name: job(method) for name, method in METHODS.items()},
        thresholds=dict.fromkeys(METHODS, MIN_NET_GRADIENTS),
        # A memory map is what Picasso opens its own files as, and the quickest way through it.
        open_movie=lambda path, frames: np.load(path, mmap_mode="r")[:frames],
    )
)
