"""Scores localizations against truth or a reference: one-to-one, per frame, within a radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from locstream.localizations import Localizations


@dataclass(frozen=True)
class Score:
    """How well positions agree; lengths in px."""

    found: int
    expected: int
    matched: int
    rms_px: float
    """Per axis."""
    bias_x_px: float
    bias_y_px: float

    @property
    def jaccard(self) -> float:
        """Matched over all that are found or expected."""
        return self.matched / (self.found + self.expected - self.matched)


def score(table: Localizations, pixel_size_nm: float, truth: npt.NDArray[np.float64], radius_px: float = 1.0) -> Score:
    """Match a table with ``truth``, whose columns are frame, x and y in px from the centre of pixel (0, 0)."""
    errors = [np.empty((0, 2))]
    for frame in np.unique(truth[:, 0]):
        found = table[table["frame"] == frame]
        expected = truth[truth[:, 0] == frame, 1:]
        dx = found["x_nm"][:, None] / pixel_size_nm - expected[None, :, 0]
        dy = found["y_nm"][:, None] / pixel_size_nm - expected[None, :, 1]
        distance = np.hypot(dx, dy)
        rows, columns = linear_sum_assignment(np.where(distance <= radius_px, distance, 1e3))
        near = distance[rows, columns] <= radius_px
        errors.append(np.column_stack([dx[rows, columns][near], dy[rows, columns][near]]))
    all_errors = np.concatenate(errors)
    bias = all_errors.mean(axis=0) if len(all_errors) else np.full(2, np.nan)
    rms = float(np.sqrt(np.mean(all_errors**2))) if len(all_errors) else np.nan
    return Score(len(table), len(truth), len(all_errors), rms, float(bias[0]), float(bias[1]))


def read_insight3(path: str) -> npt.NDArray[np.float64]:
    """Return frame, x, y (px, from 0) of an Insight3 ``.bin`` file of storm-analysis."""
    raw = np.fromfile(path, "u1")
    n = int(raw[12:16].view("<i4")[0])
    rows = raw[16 : 16 + 72 * n].reshape(n, 72)
    positions = np.ascontiguousarray(rows[:, :8]).view("<f4").astype(float)
    frames = np.ascontiguousarray(rows[:, 52:56]).view("<i4").astype(float)
    return np.column_stack([frames - 1, positions - 1])
