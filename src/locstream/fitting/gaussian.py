"""Maximum likelihood fits of a Gaussian to spots, many spots at a time.

The model of a pixel is the Gaussian integrated over its area plus a background,

    μ = N · E((x - x₀) / σ) · E((y - y₀) / σ) + b,

and the counts are Poisson distributed. The width may be one unknown, one of each axis for an astigmatic lens, or known
(`FitModel`). Read noise enters as in Huang et al. (Nature Methods 10, 653, 2013): a count
plus its variance v is, to a good approximation, a Poisson number of mean μ + v. The same term takes any other known
light in the box, such as that of neighbouring molecules.

A single width may have a normal prior (`WIDTH_PRIOR`); its information then counts with that of the pixels.

The likelihood is climbed by Fisher scoring: Newton's method with the expected curvature, which is positive definite
and, inverted at the solution, the Cramér–Rao bound (Smith et al., Nature Methods 7, 373, 2010). The spots advance side
by side in the lanes of vector registers (`locstream.fitting.lanes`): `information` is what the pixels say, `scoring`
the step that follows from it, and here is what goes in and comes out. A lane whose spot is done takes the next at once.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from locstream.compiled import Floats, U, kernel
from locstream.fitting.buffers import CACHE_LINE
from locstream.fitting.information import add_rows, gauss, integrate, sum_rows
from locstream.fitting.lanes import (
    BACKGROUND,
    BEYOND,
    CHI2,
    CORRELATION,
    COUNTS,
    FOCUS,
    KNOWN,
    LANES,
    MAX_BOX,
    NO_WIDTH,
    ONE_WIDTH,
    PHOTONS,
    PRECISION,
    ROWS,
    SHARE,
    SIGMA,
    SIGMA_Y,
    STEPS,
    TWO_WIDTHS,
    VARIANCE,
    X0,
    Y0,
    Columns,
    Unknowns,
    X,
    Y,
)
from locstream.fitting.scoring import (
    MAX_MOVE_PX,
    MIN_PHOTONS,
    MIN_SIGMA_PX,
    TOLERANCE,
    step,
)
from locstream.fitting.starts import start_weights, write_starts
from locstream.fitting.status import FitStatus

__all__ = [
    "BACKGROUND", "LANES", "MAX_BOX", "PHOTONS", "SIGMA", "SIGMA_Y", "TWO_WIDTHS", "WIDTH_PRIOR", "FitModel",
    "SpotFits", "X", "Y", "box_columns", "fit_boxes", "fit_spots", "gauss", "room_for_fits",
]  # fmt: skip

FitModel = Literal["sigma", "sigma_xy", "fixed"]
"""What is fitted beside position, photons and background: one width, a width of each axis, or none."""

WIDTH_PRIOR = 0.25
"""Standard deviation of the prior for a width, in parts of the width in focus. It counts as much as a quarter of that
width would: nothing for a bright molecule. A dim one, which tells little of its width, would else now and then come out
half or twice as wide, with half or twice its photons, and with uncertainties that belong to such a one."""

MAX_ITERATIONS = np.float32(40)


class SpotFits(NamedTuple):
    """What was fitted to n spots.

    Parameters
    ----------
    estimate
        Shape (n, 5), float32: x and y in px from the centre of the box's first pixel, photons, sigma in px,
        background a pixel. Shape (n, 6) where each axis has its width: then sigma is that along x, and that along y
        comes last.
    uncertainty
        The same shape, float32: 1 sigma of each, from the Cramér–Rao bound of the model; 0 for a width that is known.
        Under a prior photons and background are claimed for widths that vary as `scoring.WIDTHS_VARY` says.
    chi2
        Shape (n,), float32: Pearson's chi-square per degree of freedom.
    iterations
        Shape (n,), int32: steps taken.
    status
        Shape (n,), int32: a `FitStatus`.
    """

    estimate: Floats
    uncertainty: Floats
    chi2: Floats
    iterations: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]


_CONVERGED, _AT_BOUND, _NOT_CONVERGED, _BAD_DATA = (
    int(s) for s in (FitStatus.CONVERGED, FitStatus.AT_BOUND, FitStatus.NOT_CONVERGED, FitStatus.BAD_DATA)
)


@kernel
def _load_start(w: Floats, lane: int, start: Floats, spot: int) -> None:
    """Give a lane what the fit of its spot starts from."""
    n, first = U(spot), U(lane)
    for k in range(5):
        w[U(k * LANES) + first] = start[n, U(k)]
    w[U(SIGMA_Y * LANES) + first] = start[n, U(SIGMA_Y if start.shape[1] == TWO_WIDTHS else SIGMA)]
    w[U(X0 * LANES) + first], w[U(Y0 * LANES) + first] = start[n, U(X)], start[n, U(Y)]
    w[U(SHARE * LANES) + first], w[U(STEPS * LANES) + first] = 1, 0


@kernel
def _load_pixels(
    w: Floats, lane: int, other: int, columns: Columns, light: Floats, known: Floats, spot: int, next_spot: int
) -> None:
    """Give two lanes the pixels of their spots, a pixel at a time: the processor then writes both at once."""
    a, b, n, m = U(lane), U(other), U(spot), U(next_spot)
    alike = known.shape[0] == 1
    row, next_row = U(0) if alike else n, U(0) if alike else m
    for p in range(U(len(columns) * len(columns))):
        # All is read before anything is written: else it would be read again.
        of_one, of_other = known[row, p], known[next_row, p]
        count, next_count = light[n, p] + of_one, light[m, p] + of_other
        w[(U(COUNTS) + p) * U(LANES) + a], w[(U(COUNTS) + p) * U(LANES) + b] = count, next_count
        if not alike:
            w[(U(KNOWN) + p) * U(LANES) + a], w[(U(KNOWN) + p) * U(LANES) + b] = of_one, of_other


@kernel
def _store(w: Floats, lane: int, compiled_for: tuple[Columns, Unknowns], fits: SpotFits, spot: int) -> None:
    """Take a lane's result and tell how the fit ended."""
    columns, unknowns = compiled_for
    estimate, uncertainty, chi2, iterations, status = fits
    n, first = U(spot), U(lane)
    chi2[n] = w[U(CHI2 * LANES) + first] / np.float32(len(columns) * len(columns) - len(unknowns))
    iterations[n] = np.int32(w[U(STEPS * LANES) + first])
    total = chi2[n]
    for k in range(TWO_WIDTHS if len(unknowns) == TWO_WIDTHS else ONE_WIDTH):
        known = len(unknowns) == NO_WIDTH and k == SIGMA
        value = w[U(k * LANES) + first]
        error = np.float32(0) if known else np.sqrt(w[U((VARIANCE + k) * LANES) + first])
        estimate[n, U(k)], uncertainty[n, U(k)] = value, error
        total += abs(value) + error
    if len(unknowns) == TWO_WIDTHS:
        uncertainty[n, U(TWO_WIDTHS)] = w[U(CORRELATION * LANES) + first]
    sigma_x, sigma_y = w[U(SIGMA * LANES) + first], w[U(SIGMA_Y * LANES) + first]
    # from the buffer: what has just been written elsewhere is not there yet, and reading it would wait
    far_x = abs(w[U(X * LANES) + first] - w[U(X0 * LANES) + first])
    far_y = abs(w[U(Y * LANES) + first] - w[U(Y0 * LANES) + first])
    fits_box = min(sigma_x, sigma_y) > MIN_SIGMA_PX and max(sigma_x, sigma_y) < widest(columns)
    if not total < np.inf:  # nor where it is not a number
        status[n] = _BAD_DATA
    elif (
        max(far_x, far_y) >= MAX_MOVE_PX - TOLERANCE
        or (len(unknowns) > NO_WIDTH and not fits_box)
        or w[U(PHOTONS * LANES) + first] <= MIN_PHOTONS
    ):
        status[n] = _AT_BOUND
    else:
        status[n] = _CONVERGED if w[U(BEYOND * LANES) + first] < 0 else _NOT_CONVERGED


@kernel
def widest(columns: Columns) -> np.float32:
    """Return the largest width that a fit may end with, px."""
    return np.float32(0.5) * np.float32(len(columns))


@kernel
def _room() -> Floats:
    """Return a working buffer of ones that starts with a cache line."""
    room = np.ones((ROWS + 1) * LANES, np.float32)
    first = -room.ctypes.data % CACHE_LINE // 4
    return room[first : first + ROWS * LANES]


@kernel
def fit_boxes(
    light: Floats,
    known: Floats,
    start: Floats,
    focus: float,
    spread: float,
    compiled_for: tuple[Columns, Unknowns],
    fits: SpotFits,
) -> None:
    """Fit every spot; see `fit_spots`.

    `light` holds the photoelectrons, shape (n, box²), and `known` what they vary by beside Poisson noise, of the same
    shape, or (1, box²) where it is the same for every spot; `start` and all results are in the order x, y, photons,
    sigma, background and, where it has a width of its own, sigma along y. `spread` is that of the prior for a single
    width, in parts of the width in `focus`, 0 for none. `compiled_for` is what `box_columns` gave for the box and the
    model.
    """
    columns, unknowns = compiled_for
    w = _room()
    w[FOCUS * LANES : (FOCUS + 1) * LANES] = focus
    w[PRECISION * LANES : (PRECISION + 1) * LANES] = 1 / (spread * focus) ** 2 if spread > 0 else 0
    if known.shape[0] == 1:
        for p in range(known.shape[1]):
            w[(KNOWN + p) * LANES : (KNOWN + p + 1) * LANES] = known[0, p]
    spot_of, done = np.full(LANES, -1), np.empty(LANES, np.intp)
    taken = busy = min(light.shape[0], LANES)
    for lane in range(taken):
        spot_of[lane] = lane
        _load_start(w, lane, start, lane)
        _load_pixels(w, lane, lane, columns, light, known, lane, lane)
    while busy > 0:
        integrate(w, columns)
        sum_rows(w, columns)
        add_rows(w, columns)
        step(w, unknowns, widest(columns))
        finished = 0
        for lane in range(LANES):
            goes_on = w[BEYOND * LANES + lane] >= 0 and w[STEPS * LANES + lane] < MAX_ITERATIONS
            done[U(finished)] = lane
            finished += not (goes_on or spot_of[lane] < 0)
        loaded = min(finished, light.shape[0] - taken)
        for k in range(finished):
            lane = done[U(k)]
            _store(w, lane, compiled_for, fits, spot_of[U(lane)])
            spot_of[U(lane)] = taken + k if k < loaded else -1
            if k < loaded:
                _load_start(w, lane, start, taken + k)
        for k in range(0, loaded, 2):
            after = min(k + 1, loaded - 1)
            _load_pixels(w, done[U(k)], done[U(after)], columns, light, known, taken + k, taken + after)
        taken += loaded
        busy -= finished - loaded


def room_for_fits(n: int, model: FitModel = "sigma") -> SpotFits:
    """Return room for `n` fits.

    Where each axis has its width the uncertainties have a last column more: how far the errors of the two correlate.
    """
    parameters = TWO_WIDTHS if model == "sigma_xy" else ONE_WIDTH
    estimate = np.empty((n, parameters), np.float32)
    uncertainty = np.empty((n, parameters + (model == "sigma_xy")), np.float32)
    iterations, status = np.empty((2, n), np.int32)
    return SpotFits(estimate, uncertainty, np.empty(n, np.float32), iterations, status)


def box_columns(box: int, model: FitModel = "sigma") -> tuple[Columns, Unknowns]:
    """Return the two tuples whose types tell the kernels how wide the box is and what is unknown."""
    unknowns = {"sigma": ONE_WIDTH, "sigma_xy": TWO_WIDTHS, "fixed": NO_WIDTH}[model]
    return tuple(np.float32(i) for i in range(box)), tuple(np.float32(i) for i in range(unknowns))


def fit_spots(
    spots: Floats,
    sigma_px: float,
    variance: npt.ArrayLike = 0.0,
    model: FitModel = "sigma",
    *,
    width_prior: float = 0.0,
) -> SpotFits:
    """Fit a Gaussian to each of many spots.

    Parameters
    ----------
    spots
        Shape (n, box, box), photoelectrons, one molecule in the middle of each; box is 5, 7, … 15.
    sigma_px
        Width in focus, near which fits start, or that of every molecule where the model is "fixed", px.
    variance
        Variance of a pixel without light, photoelectrons², of a shape that broadcasts to that of `spots`.
    model
        "sigma" for one width, "sigma_xy" for a width of each axis, "fixed" for none.
    width_prior
        Standard deviation of a normal prior for a single width around `sigma_px`, in parts of it; 0 for none. A
        `Localizer` uses `WIDTH_PRIOR`.

    Raises
    ------
    ValueError
        `spots` is not of such a shape, or there is no such model.
    """
    if model not in get_args(FitModel):
        raise ValueError(f"there is no model {model!r}; there are {', '.join(get_args(FitModel))}")
    n, box, columns = spots.shape
    if box != columns or box % 2 == 0 or not 5 <= box <= MAX_BOX:
        raise ValueError(
            f"spots of {box} × {columns} px; the fit takes odd squares from 5 × 5 to {MAX_BOX} × {MAX_BOX}"
        )
    spread = np.asarray(variance, np.float32)
    known = np.ascontiguousarray(np.broadcast_to(spread, spots.shape if spread.size > 1 else (1, box, box)))
    known = known.reshape(len(known), box * box)
    flat, start = np.ascontiguousarray(spots, np.float32).reshape(n, box * box), np.empty((n, 5), np.float32)
    compiled_for, fits = box_columns(box, model), room_for_fits(n, model)
    write_starts(flat, start_weights(box, sigma_px, compiled_for[1]), float(sigma_px), compiled_for, start)
    fit_boxes(flat, known, start, float(sigma_px), float(width_prior), compiled_for, fits)
    return fits._replace(uncertainty=fits.uncertainty[:, : fits.estimate.shape[1]])
