"""How good localizations are, against truth: Jaccard, errors, and errors against the Cramér–Rao bound.

The bound is computed here from the model of `molecule` by numerical derivatives, in double precision: it shares no
code and no approximation with the fits that are judged by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from molecule import Array, Astigmatism, box_means
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

Truth = npt.NDArray[np.void]
Model = Callable[[Array], Array]
"""From parameters, shape (n, k), to the mean photoelectrons of n boxes, shape (n, box, box)."""

BOX = 7
ISOLATED_PX = 12.0
"""No other molecule of the frame is nearer to one that counts as isolated."""
MAX_ERROR_PX = 2.0
"""A fit of an isolated spot that is further off has found something else."""
CHUNK = 4096


def spherical(box: int = BOX) -> Model:
    """Return the model with parameters x, y, photons, background, σ."""
    return lambda p: box_means(p[:, 0], p[:, 1], p[:, 2], p[:, 3], p[:, 4], p[:, 4], box)


def elliptic(box: int = BOX) -> Model:
    """Return the model with parameters x, y, photons, background, σx, σy."""
    return lambda p: box_means(p[:, 0], p[:, 1], p[:, 2], p[:, 3], p[:, 4], p[:, 5], box)


def astigmatic(curve: Astigmatism, box: int = BOX) -> Model:
    """Return the model with parameters x, y, photons, background, z in units of the depth of focus."""

    def means(p: Array) -> Array:
        return box_means(p[:, 0], p[:, 1], p[:, 2], p[:, 3], *curve.widths(p[:, 4] * curve.depth_nm), box)

    return means


def crlb(model: Model, parameters: Array, read_noise_e: float) -> Array:
    """Return the Cramér–Rao bound of each parameter, 1 σ.

    Counts are Poisson distributed about the model; read noise enters as light that carries no information (Huang et
    al., Nature Methods 10, 653, 2013).

    Parameters
    ----------
    model
        The mean of each pixel.
    parameters
        Shape (n, k).
    read_noise_e
        Photoelectrons rms.

    Returns
    -------
    numpy.ndarray
        Shape (n, k).
    """
    n, k = parameters.shape
    bound = np.empty((n, k))
    for first in range(0, n, CHUNK):
        p = parameters[first : first + CHUNK]
        slopes = []
        for j in range(k):
            step = np.zeros_like(p)
            step[:, j] = 1e-5 * np.maximum(np.abs(p[:, j]), 1)
            slopes.append((model(p + step) - model(p - step)) / (2 * step[:, j, None, None]))
        gradient = np.stack(slopes, 1).reshape(len(p), k, -1)
        variance = (model(p) + read_noise_e**2).reshape(len(p), 1, -1)
        fisher = gradient / variance @ gradient.transpose(0, 2, 1)
        bound[first : first + CHUNK] = np.sqrt(np.diagonal(np.linalg.inv(fisher), axis1=1, axis2=2))
    return bound


def position_bound(truth: Truth, read_noise_e: float, box: int = BOX) -> Array:
    """Return the bound of x and y, px, shape (n, 2), for fits of x, y, photons, background and σ (or σx and σy)."""
    middle = [box // 2 + truth[axis] - np.rint(truth[axis]) for axis in ("x", "y")]
    round_ = np.array_equal(truth["sigma_x"], truth["sigma_y"])
    widths = ["sigma_x"] if round_ else ["sigma_x", "sigma_y"]
    parameters = np.column_stack([*middle, *(truth[name] for name in ("photons", "background", *widths))])
    return crlb(spherical(box) if round_ else elliptic(box), parameters, read_noise_e)[:, :2]


def match(truth: Truth, found: Array, radius_px: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pair truth with localizations of the same frame, one to one and as near as can be (the optimal assignment).

    Parameters
    ----------
    truth
        With columns frame, x, y (px).
    found
        Shape (m, ≥ 3): frame, x, y.
    radius_px
        What is further apart is no pair.

    Returns
    -------
    rows_of_truth, rows_of_found : numpy.ndarray
        Of equal length, one entry a pair.
    """
    by_frame_truth, by_frame_found = np.argsort(truth["frame"], kind="stable"), np.argsort(found[:, 0], kind="stable")
    frames = np.unique(truth["frame"])
    pairs: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
    for frame in frames:
        t = by_frame_truth[slice(*np.searchsorted(truth["frame"], [frame, frame + 1], sorter=by_frame_truth))]
        f = by_frame_found[slice(*np.searchsorted(found[:, 0], [frame, frame + 1], sorter=by_frame_found))]
        distance = np.hypot(truth["x"][t, None] - found[None, f, 1], truth["y"][t, None] - found[None, f, 2])
        rows, columns = linear_sum_assignment(np.where(distance <= radius_px, distance, 1e3))
        near = distance[rows, columns] <= radius_px
        pairs.append((t[rows[near]], f[columns[near]]))
    none = np.empty(0, np.intp)
    return np.concatenate([none, *(p[0] for p in pairs)]), np.concatenate([none, *(p[1] for p in pairs)])


def isolated(truth: Truth, distance_px: float = ISOLATED_PX) -> npt.NDArray[np.bool_]:
    """Tell which molecules have no other within a distance in their frame."""
    far_apart = np.column_stack([truth["x"], truth["y"], truth["frame"] * 1e4])
    nearest, _ = cKDTree(far_apart).query(far_apart, k=2)
    return np.asarray(nearest[:, 1] > distance_px)


@dataclass(frozen=True)
class Score:
    """How well a table agrees with the truth; lengths in px."""

    truth: int
    found: int
    matched: int
    rms_px: float
    """Of the pairs, per axis."""
    bias_x_px: float
    bias_y_px: float
    rmse_over_crlb: Ratio
    """Of pairs whose molecule is isolated; not a number where no bound was asked for."""
    isolated: int
    """Number of those."""

    @property
    def jaccard(self) -> float:
        """Pairs over all that is true or found."""
        return self.matched / max(self.truth + self.found - self.matched, 1)

    @property
    def recall(self) -> float:
        """Which part of the truth was found."""
        return self.matched / max(self.truth, 1)

    @property
    def precision(self) -> float:
        """Which part of what was found is true."""
        return self.matched / max(self.found, 1)


def score(truth: Truth, found: Array, radius_px: float, read_noise_e: float | None = None) -> Score:
    """Score a table.

    Parameters
    ----------
    truth
        With columns frame, x, y (px); for the bound also photons, background, sigma_x and sigma_y.
    found
        Shape (m, ≥ 3): frame, x, y in px from the centre of pixel (0, 0).
    radius_px
        What is further apart is no pair.
    read_noise_e
        Photoelectrons rms; None leaves out the bound.
    """
    t, f = match(truth, found, radius_px)
    errors = np.column_stack([found[f, 1] - truth["x"][t], found[f, 2] - truth["y"][t]])
    ratio, alone = Ratio(np.nan, np.nan), np.zeros(len(t), np.bool_)
    if read_noise_e is not None and len(t):
        alone = isolated(truth)[t]
        ratio = error_over_bound(errors[alone], position_bound(truth[t[alone]], read_noise_e))
    rms = float(np.sqrt(np.mean(errors**2))) if len(t) else np.nan
    bias = errors.mean(axis=0) if len(t) else np.full(2, np.nan)
    return Score(len(truth), len(found), len(t), rms, float(bias[0]), float(bias[1]), ratio, int(alone.sum()))


class Ratio(NamedTuple):
    """A ratio and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return "–" if np.isnan(self.value) else f"{self.value:.4f} ± {self.error:.4f}"


def error_over_bound(errors: Array, bound: Array) -> Ratio:
    """Return the root of the mean of (error / bound)² over both axes; shapes (n, 2)."""
    if len(errors) < 2:
        return Ratio(np.nan, np.nan)
    squares = np.sum(errors**2, axis=1) / np.sum(bound**2, axis=1)
    value = float(np.sqrt(np.mean(squares)))
    return Ratio(value, float(np.std(squares)) / (2 * max(value, 1e-9) * np.sqrt(len(squares))))


@dataclass(frozen=True)
class SpotScore:
    """How good the fits of isolated spots are; lengths in px."""

    good: float
    """Part of the fits within `MAX_ERROR_PX`; the rest is of these."""
    rms_px: float
    rmse_over_crlb: Ratio
    bias_x_px: float
    bias_y_px: float


def score_spots(truth: Truth, found: Array, read_noise_e: float, bound: Array | None = None) -> SpotScore:
    """Score fits of spots; `found` has the columns x and y, px from the box's first pixel."""
    errors = found[:, :2] - np.column_stack([truth["x"], truth["y"]])
    good = np.hypot(errors[:, 0], errors[:, 1]) < MAX_ERROR_PX  # false where not finite
    bound = position_bound(truth, read_noise_e) if bound is None else bound
    e = errors[good]
    bias = e.mean(axis=0) if len(e) else np.full(2, np.nan)
    rms = float(np.sqrt(np.mean(e**2))) if len(e) else np.nan
    return SpotScore(float(good.mean()), rms, error_over_bound(e, bound[good]), float(bias[0]), float(bias[1]))
