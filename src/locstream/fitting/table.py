"""From fits to rows of the table: units, and which fits are a molecule."""

from __future__ import annotations

import math

from locstream.compiled import exact
from locstream.fitting.gaussian import BACKGROUND, PHOTONS, SIGMA, SIGMA_Y, TWO_WIDTHS, SpotFits, X, Y
from locstream.fitting.status import FitStatus
from locstream.localizations import Localizations

MAX_UNCERTAINTY_PX = 1.0
"""A position whose bound is larger says no more than the peak it came from."""
SECOND_ORDER = 3.2
"""How much the variance of a position exceeds its Cramér-Rao bound, in parts of it, over the squared relative
uncertainty of the photons. The bound is the first term of an expansion in 1 / SNR²; for the dimmest the next one counts
too. Measured on simulated molecules (benchmarks/uncertainties.py): the same number serves one width, two widths and a
known width, every background and every brightness at which most molecules are found.
"""

_CONVERGED = int(FitStatus.CONVERGED)


@exact
def beyond_the_bound(photons: float, photons_uncertainty: float) -> float:
    """Return by what the bound of a position is to be multiplied for its standard deviation, see `SECOND_ORDER`.

    It is 1 for bright molecules and 1.13 where the photons are known to 30 %. Where they are not known at all the
    expansion says nothing more.
    """
    return math.sqrt(1 + SECOND_ORDER * min(photons_uncertainty / photons, 1.0) ** 2)


@exact
def is_molecule(fits: SpotFits, k: int, height: int, width: int) -> bool:
    """Tell whether a fit is a molecule: it converged, inside the frame, with a position that is certain enough."""
    x, y = fits.estimate[k, X], fits.estimate[k, Y]
    inside = 0 <= x <= width - 1 and 0 <= y <= height - 1
    certain = max(fits.uncertainty[k, X], fits.uncertainty[k, Y]) <= MAX_UNCERTAINTY_PX
    return bool(fits.status[k] == _CONVERGED and inside and certain)


@exact
def write_rows(
    fits: SpotFits,
    n: int,
    height: int,
    width: int,
    frame: int,
    pixel_nm: float,
    photons_per_unit: float,
    rows: Localizations,
) -> int:
    """Write those of the first `n` fits that are a molecule into `rows` and return their number.

    A fit is left out where it did not converge or ended at a bound, where its data were bad, where it lies outside
    the centres of the frame's corner pixels, or where the bound of its position is above `MAX_UNCERTAINTY_PX`.
    Every value of a row that is written is finite and none is negative. Uncertainties are Cramér-Rao bounds, those of
    the position with the next term, see `SECOND_ORDER`.
    """
    estimate, uncertainty, chi2, iterations, status = fits
    sigma_y = SIGMA_Y if estimate.shape[1] == TWO_WIDTHS else SIGMA
    kept = 0
    for k in range(n):
        if not is_molecule(fits, k, height, width):
            continue
        row = rows[kept]
        position_nm = pixel_nm * beyond_the_bound(estimate[k, PHOTONS], uncertainty[k, PHOTONS])
        row["frame"] = frame
        row["x_nm"] = estimate[k, X] * pixel_nm
        row["y_nm"] = estimate[k, Y] * pixel_nm
        row["photons"] = estimate[k, PHOTONS] * photons_per_unit
        row["background"] = estimate[k, BACKGROUND] * photons_per_unit
        row["sigma_x_nm"] = estimate[k, SIGMA] * pixel_nm
        row["sigma_y_nm"] = estimate[k, sigma_y] * pixel_nm
        row["x_uncertainty_nm"] = uncertainty[k, X] * position_nm
        row["y_uncertainty_nm"] = uncertainty[k, Y] * position_nm
        row["photons_uncertainty"] = uncertainty[k, PHOTONS] * photons_per_unit
        row["background_uncertainty"] = uncertainty[k, BACKGROUND] * photons_per_unit
        row["sigma_x_uncertainty_nm"] = uncertainty[k, SIGMA] * pixel_nm
        row["sigma_y_uncertainty_nm"] = uncertainty[k, sigma_y] * pixel_nm
        row["chi2"] = chi2[k]
        row["iterations"] = iterations[k]
        row["status"] = status[k]
        kept += 1
    return kept
