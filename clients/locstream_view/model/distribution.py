"""A small histogram with its median: what the photons, the background, the widths of the latest rows are like."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from locstream.localizations import Localizations
from locstream_view.model.settings import quantity

BINS = 48
TAIL = 0.5
"""Percent at either end that is beyond the histogram's range: a few rows would make it useless."""


class Distribution(NamedTuple):
    """A histogram of one quantity.

    Parameters
    ----------
    edges
        Shape (`BINS` + 1,), the quantity's unit; empty where there are no rows.
    counts
        Shape (`BINS`,).
    median
        Of all values; NaN where there are none.
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    median: float


def distribution(rows: Localizations, name: str) -> Distribution:
    """Return the histogram of one quantity, see `locstream_view.model.settings.quantity`."""
    values = np.asarray(quantity(rows, name), np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return Distribution(np.zeros(0), np.zeros(0, np.int64), float("nan"))
    low, high = np.percentile(values, (TAIL, 100 - TAIL))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    counts, edges = np.histogram(values, BINS, (float(low), float(high)))
    return Distribution(edges, counts, float(np.median(values)))
