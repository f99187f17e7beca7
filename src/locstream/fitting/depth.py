"""Depth from the two widths of an astigmatic image: maximum likelihood along the calibrated curve.

The widths of a fit are, to a good approximation, normally distributed about the true ones with its bounds s as standard
deviations and a correlation r, which its Fisher information tells too. The likeliest depth is then where

    (u² - 2·r·u·v + v²) / (1 - r²),   u = (σx - σx(z)) / sx,   v = (σy - σy(z)) / sy,

is least (Li et al., Nature Methods 15, 367, 2018, and others, without r). It is looked for on a grid, then by
Gauss–Newton steps; its bound follows from those of the widths.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.compiled import Doubles, exact
from locstream.errors import ConfigError
from locstream.fitting.gaussian import MAX_BOX, SIGMA, SIGMA_Y, TWO_WIDTHS, FitModel, SpotFits
from locstream.fitting.options import FitOptions
from locstream.fitting.table import is_molecule
from locstream.localizations import Localizations

GRID_NM = 20.0
"""Distance of the depths that are tried first; the curves hardly bend within it."""
STEPS = 20
TOLERANCE_NM = 0.02
MAX_STEP_NM = 60.0
BOX_SIGMAS, MIN_BOX_PX = 7, 9
OFF_BOUNDS, OFF_PART = 5.0, 0.25
"""A width that departs from its curve by more than so many bounds and this part of it is none of the curve's: two
molecules in one, a hot pixel, or far beyond the calibrated range. The part is for lenses that are not as they were."""


class Curves(NamedTuple):
    """The calibrated curves as the kernel takes them, all in nm.

    Parameters
    ----------
    variance_x, variance_y
        Coefficients of σ² in nm², for the powers of z in µm.
    z, sigma_x, sigma_y
        Depths that are tried first, and the widths there.
    """

    variance_x: Doubles
    variance_y: Doubles
    z: Doubles
    sigma_x: Doubles
    sigma_y: Doubles


def depth_curves(calibration: AstigmatismCalibration, pixel_size_nm: float, model: FitModel = "sigma_xy") -> Curves:
    """Return the curves of a calibration for pixels of this size, nm.

    Raises
    ------
    ConfigError
        The calibration was made with pixels of another size, or the model gives no width of each axis.
    """
    if model != "sigma_xy":
        raise ConfigError(
            f"depth needs a width of each axis, and model = {model!r} gives none", todo='set model = "sigma_xy"'
        )
    calibration = calibration.for_pixels(pixel_size_nm)
    low, high = calibration.z_min_nm, calibration.z_max_nm
    z = np.linspace(low, high, 2 + int((high - low) / GRID_NM))
    return Curves(
        np.array(calibration.variance_x_px2) * pixel_size_nm**2,
        np.array(calibration.variance_y_px2) * pixel_size_nm**2,
        z,
        calibration.sigma_x_px(z) * pixel_size_nm,
        calibration.sigma_y_px(z) * pixel_size_nm,
    )


def options_for_depth(options: FitOptions, calibration: AstigmatismCalibration, pixel_size_nm: float) -> FitOptions:
    """Return fit options for astigmatic images: what the user did not set follows from the calibration.

    A width of each axis is fitted, the width in focus is that of the round image, and the box is as wide as seven of
    it, so that images far out of focus fit in.
    """
    sigma_px = float(calibration.sigma_x_px(0.0))
    box = 2 * math.ceil((BOX_SIGMAS * sigma_px - 1) / 2) + 1
    chosen = {
        "model": "sigma_xy",
        "psf_sigma_nm": sigma_px * pixel_size_nm,
        "box_px": min(max(box, MIN_BOX_PX), MAX_BOX),
    }
    return FitOptions.model_validate({**chosen, **options.model_dump(exclude_unset=True)})


@exact
def _width(variance: Doubles, z_nm: float) -> tuple[float, float]:
    """Return a width and its slope after z."""
    z = z_nm / 1000
    value = slope = 0.0
    for k in range(variance.shape[0] - 1, -1, -1):
        slope = slope * z + value
        value = value * z + variance[k]
    sigma = math.sqrt(max(value, 1e-12))
    return sigma, slope / (2000 * sigma)


@exact
def depth(
    sigma_x: float, sigma_y: float, bound_x: float, bound_y: float, correlation: float, along: Curves
) -> tuple[float, float]:
    """Return the likeliest depth for two widths and its 1 σ bound, nm.

    At an end of the calibrated range the depth is that end, and may lie anywhere beyond.
    """
    nearest, least = 0, np.inf
    for k in range(along.z.shape[0]):
        u, v = (sigma_x - along.sigma_x[k]) / bound_x, (sigma_y - along.sigma_y[k]) / bound_y
        distance = u * u - 2 * correlation * u * v + v * v
        if distance < least:
            nearest, least = k, distance
    z, information = along.z[nearest], 0.0
    low, high = along.z[0], along.z[-1]
    for _ in range(STEPS):
        width_x, slope_x = _width(along.variance_x, z)
        width_y, slope_y = _width(along.variance_y, z)
        u, v = (sigma_x - width_x) / bound_x, (sigma_y - width_y) / bound_y
        du, dv = slope_x / bound_x, slope_y / bound_y
        information = du * du - 2 * correlation * du * dv + dv * dv
        score = u * du - correlation * (u * dv + v * du) + v * dv
        step = min(max(score / information, -MAX_STEP_NM), MAX_STEP_NM)
        before, z = z, min(max(z + step, low), high)
        if abs(z - before) < TOLERANCE_NM:
            break
    return z, math.sqrt((1 - correlation * correlation) / information)


@exact
def _is_on(variance: Doubles, z_nm: float, sigma: float, bound: float) -> bool:
    """Tell whether a width may be that of a depth."""
    width, _ = _width(variance, z_nm)
    return bool(abs(sigma - width) <= OFF_BOUNDS * bound + OFF_PART * width)


@exact
def write_depths(
    fits: SpotFits, n: int, height: int, width: int, pixel_nm: float, along: Curves, rows: Localizations
) -> int:
    """Write depth and its bound into the rows that `write_rows` made of the first `n` fits, of a width for each axis.

    Rows at an end of the calibrated range, and with widths that are none of the curves', are left out, and those behind
    move up. Returns the number that remain.
    """
    estimate, uncertainty, _, _, _ = fits
    low, high = along.z[0], along.z[-1]
    row = remain = 0
    for k in range(n):
        if not is_molecule(fits, k, height, width):
            continue
        sigma_x, sigma_y = estimate[k, SIGMA] * pixel_nm, estimate[k, SIGMA_Y] * pixel_nm
        bound_x, bound_y = uncertainty[k, SIGMA] * pixel_nm, uncertainty[k, SIGMA_Y] * pixel_nm
        z, bound = depth(sigma_x, sigma_y, bound_x, bound_y, uncertainty[k, TWO_WIDTHS], along)
        possible = _is_on(along.variance_x, z, sigma_x, bound_x) and _is_on(along.variance_y, z, sigma_y, bound_y)
        if low < z < high and math.isfinite(bound) and possible:
            rows[remain] = rows[row]
            rows[remain]["z_nm"] = z
            rows[remain]["z_uncertainty_nm"] = bound
            remain += 1
        row += 1
    return remain
