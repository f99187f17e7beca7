"""Rows all over a small field, and the picture of them."""

from __future__ import annotations

import numpy as np

from locstream.localizations import LOCALIZATION, Localizations, empty
from locstream_view.model.model import ViewModel
from locstream_view.model.settings import Window

SIZE_PX, PIXEL_NM = 64, 100.0
FIELD = Window(-50.0, -50.0, 6_400.0, 6_400.0)


def some_rows(n: int, seed: int = 1, first_frame: int = 0, dtype: np.dtype[np.void] = LOCALIZATION) -> Localizations:
    """Return random rows, in the order of their frames."""
    chance = np.random.default_rng(seed)
    rows = empty(n, dtype)
    rows["frame"] = first_frame + np.sort(chance.integers(0, 1 + n // 5, n))
    for name in ("x_nm", "y_nm"):
        rows[name] = chance.uniform(-49, 6_349, n)
    rows["photons"] = chance.gamma(2, 400, n)
    rows["background"] = chance.uniform(5, 15, n)
    for name in ("x_uncertainty_nm", "y_uncertainty_nm"):
        rows[name] = chance.uniform(4, 30, n)
    for name in ("sigma_x_nm", "sigma_y_nm"):
        rows[name] = chance.normal(130, 10, n)
    if "z_nm" in (dtype.names or ()):
        rows["z_nm"] = chance.uniform(-400, 400, n)
    return rows


def a_model(rows: Localizations, **options: int) -> ViewModel:
    """Return a model that shows them."""
    model = ViewModel(SIZE_PX, SIZE_PX, PIXEL_NM, dtype=rows.dtype, **options)
    model.add(rows)
    return model
