"""3D-DAOSTORM as implemented in sdt-python: overlapping molecules are fitted together.

Peaks are looked for in the image smoothed as wide as a molecule, which on these stacks finds far more than its
default, the image as it is. Pixels below one photoelectron are taken for one: its likelihood knows none of them.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from answering import Array, Method, Program, answer
from sdt.loc import daostorm_3d
from simulated import GAIN_E_PER_ADU, OFFSET_ADU, SIGMA_PX

HEIGHTS = (2.5, 3, 3.5, 4, 5, 6, 7, 8, 9, 10, 12, 15)
"""Thresholds: photoelectrons of the brightest pixel of the smoothed image."""


def job(model: str) -> Method:
    """Return the whole job with a fixed ("2dfixed") or a fitted ("2d") width."""

    def run(movie: Any, height: float) -> list[Any]:
        found = []
        for image in movie:
            electrons = np.maximum((image - np.float64(OFFSET_ADU)) * GAIN_E_PER_ADU, 1)
            smooth = {"find_filter": "Gaussian", "find_filter_opts": {"sigma": SIGMA_PX}}
            found.append(daostorm_3d.locate(electrons, SIGMA_PX, model, height, **smooth))
        return found

    return Method(run, table)


def table(tables: list[Any]) -> Array:
    """Return frame, x, y and photons; pixels are counted from the centre of the first."""
    return np.concatenate(
        [
            np.column_stack([np.full(len(t), frame), t["x"], t["y"], t["mass"]]).astype(float)
            for frame, t in enumerate(tables)
        ]
    )


answer(
    Program(
        "3D-DAOSTORM (sdt-python)",
        version("sdt-python"),
        movies={"fixed σ": job("2dfixed"), "free σ": job("2d")},
        thresholds={"fixed σ": HEIGHTS, "free σ": HEIGHTS},
    )
)
