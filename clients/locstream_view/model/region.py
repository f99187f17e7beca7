"""The numbers of a part of the sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from locstream.localizations import Localizations
from locstream_view.model.settings import Window, quantity


class RegionNumbers(NamedTuple):
    """What is in a rectangle, of the rows that pass the filters. Medians are NaN where there is no row.

    Parameters
    ----------
    localizations
        Rows in it.
    per_um2
        Their density, per µm².
    photons, background, precision_nm, sigma_nm
        Medians: photons, photons/px, nm, nm.
    first_frame, last_frame
        Of the rows; -1 where there is none.
    """

    localizations: int
    per_um2: float
    photons: float
    background: float
    precision_nm: float
    sigma_nm: float
    first_frame: int
    last_frame: int


def region_numbers(rows: Localizations, window: Window) -> RegionNumbers:
    """Return the numbers of rows that lie in a window."""

    def median(name: str) -> float:
        return float(np.median(quantity(rows, name))) if len(rows) else float("nan")

    return RegionNumbers(
        localizations=len(rows),
        per_um2=len(rows) / window.area_um2 if window.area_um2 else 0.0,
        photons=median("photons"),
        background=median("background"),
        precision_nm=median("precision_nm"),
        sigma_nm=median("sigma_nm"),
        first_frame=int(rows["frame"].min()) if len(rows) else -1,
        last_frame=int(rows["frame"].max()) if len(rows) else -1,
    )
