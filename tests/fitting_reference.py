"""The fits and the detection once more: slow, in double precision, as plain as the formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d, maximum_filter

from fitting_frames import integrated

Doubles = npt.NDArray[np.float64]
Model = Callable[[Doubles], Doubles]


class Fit(NamedTuple):
    """Parameters, their bounds, and Pearson's chi-square of the data."""

    theta: Doubles
    uncertainty: Doubles
    chi2: float


def gaussians(members: int, top: int, left: int, height: int, width: int, *, widths: int = 1) -> Model:
    """Return the mean of a window as a function of (x, y, photons, sigma) of each member and one background.

    With two `widths` it is (x, y, photons, sigma x, sigma y) of each.
    """

    def model(theta: Doubles) -> Doubles:
        mean = np.full((height, width), theta[-1])
        for x, y, photons, *sigma in theta[:-1].reshape(members, 3 + widths):
            mean += photons * np.outer(integrated(y, sigma[-1], top, height), integrated(x, sigma[0], left, width))
        return mean

    return model


def derivatives(model: Model, theta: Doubles) -> Doubles:
    """Return the derivative of every pixel's mean after each parameter, shape (parameters, pixels)."""
    step = 1e-5 * np.maximum(np.abs(theta), 1)
    return np.array([((model(theta + h) - model(theta - h)) / (2 * h.sum())).ravel() for h in np.diag(step)])


def bounds(model: Model, theta: Doubles, known: float) -> Doubles:
    """Return the Cramér–Rao bound of each parameter, 1 sigma; ``known`` is the variance of a pixel without light."""
    slope = derivatives(model, theta)
    return np.sqrt(np.diag(np.linalg.inv((slope / (model(theta) + known).ravel()) @ slope.T)))


def maximize(
    model: Model,
    start: Doubles,
    counts: Doubles,
    known: Doubles,
    *,
    prior: tuple[Doubles, Doubles] | None = None,
) -> Fit:
    """Climb the Poisson likelihood of ``counts + known`` from ``start`` until nothing changes.

    ``prior`` gives each parameter the mean and the precision (0 for none) of a normal prior.
    """
    data = counts + known
    centre, precision = prior if prior is not None else (start, np.zeros_like(start))

    def objective(theta: Doubles) -> float:
        mean = model(theta) + known
        if not np.all(mean > 0):
            return -np.inf
        return float(np.sum(data * np.log(mean) - mean) - 0.5 * np.sum(precision * (theta - centre) ** 2))

    theta = start.astype(float)
    for _ in range(500):
        mean, slope = model(theta) + known, derivatives(model, theta)
        fisher = (slope / mean.ravel()) @ slope.T + np.diag(precision)
        score = slope @ (data / mean - 1).ravel() - precision * (theta - centre)
        step = np.linalg.solve(fisher, score)
        share, now = 1.0, objective(theta)
        while not objective(theta + share * step) >= now and share > 1e-9:
            share /= 2
        theta = theta + share * step
        if np.max(np.abs(share * step) * np.sqrt(np.diag(fisher))) < 1e-6:
            break
    mean = model(theta) + known
    return Fit(theta, np.sqrt(np.diag(np.linalg.inv(fisher))), float(np.sum((data - mean) ** 2 / mean)))


def smoothed(electrons: Doubles, sigma: float, reach: int = 3) -> tuple[Doubles, Doubles]:
    """Return the matched filter's taps and what it makes of an image, mirrored at the edges."""
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    return taps, correlate1d(correlate1d(electrons, taps, axis=0, mode="reflect"), taps, axis=1, mode="reflect")


def peak_excess(
    electrons: Doubles, variance: Doubles, background: Doubles, *, sigma: float, threshold: float, separation: int
) -> Doubles:
    """Return, at each local maximum, by how much the smoothed image exceeds its limit; NaN elsewhere."""
    taps, smooth = smoothed(electrons, sigma)
    noise = correlate1d(correlate1d(variance, taps**2, axis=0, mode="reflect"), taps**2, axis=1, mode="reflect")
    shot = np.sum(taps**2) ** 2 * np.maximum(background, 0)
    edges = [  # near an edge the mirror counts pixels twice: the weights of all pixels, squared
        np.sum(correlate1d(np.eye(n), taps, axis=1, mode="reflect") ** 2, axis=0) / np.sum(taps**2)
        for n in electrons.shape
    ]
    skew = (threshold**2 - 1) / 6 * (np.sum(taps**3) / np.sum(taps**2)) ** 2
    limit = skew + threshold * np.sqrt((shot + noise) * np.outer(*edges))
    highest = maximum_filter(smooth, 2 * separation + 1, mode="constant", cval=-np.inf)
    return np.where(smooth == highest, smooth - background - limit, np.nan)
