"""The one table schema: a localization is a row of `LOCALIZATION`.

Positions are in nm with the **origin at the centre of pixel (0, 0)**; x runs along columns, y down
rows. Frames count from 0. Intensities are photons, background is photons per pixel, and every
uncertainty is one standard deviation from the Cramér–Rao bound of the model that was fitted, at
the values that were fitted; that of a position has the next term of the expansion with it, which
counts for the dimmest. It holds for one molecule whose image the model describes. It is too small
where two were taken for one, by about a third in a crowd; that of the photons is too large where a
molecule is so dim that others like it are lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Field(NamedTuple):
    """One column: its name, its little-endian numpy type, its unit, what it is."""

    name: str
    dtype: str
    unit: str
    meaning: str


FIELDS: tuple[Field, ...] = (
    Field("frame", "<u4", "1", "frame number, from 0"),
    Field("x_nm", "<f4", "nm", "position along columns from the centre of pixel (0, 0)"),
    Field("y_nm", "<f4", "nm", "position down rows from the centre of pixel (0, 0)"),
    Field("photons", "<f4", "photon", "photons of the molecule in this frame"),
    Field("background", "<f4", "photon/px", "background per pixel under the molecule"),
    Field("sigma_x_nm", "<f4", "nm", "standard deviation of the fitted Gaussian along x"),
    Field("sigma_y_nm", "<f4", "nm", "standard deviation of the fitted Gaussian along y"),
    Field("x_uncertainty_nm", "<f4", "nm", "1 sigma of x_nm"),
    Field("y_uncertainty_nm", "<f4", "nm", "1 sigma of y_nm"),
    Field("photons_uncertainty", "<f4", "photon", "1 sigma of photons"),
    Field("background_uncertainty", "<f4", "photon/px", "1 sigma of background"),
    Field("sigma_x_uncertainty_nm", "<f4", "nm", "1 sigma of sigma_x_nm"),
    Field("sigma_y_uncertainty_nm", "<f4", "nm", "1 sigma of sigma_y_nm"),
    Field("chi2", "<f4", "1", "Pearson chi-square per degree of freedom; 1 for a perfect model"),
    Field("iterations", "<u2", "1", "steps the fit took"),
    Field("status", "<u2", "1", "0 converged; otherwise a FitStatus"),
)

DEPTH_FIELDS: tuple[Field, ...] = (
    Field("z_nm", "<f4", "nm", "depth, from where the image of a molecule is round; its sign as in the calibration"),
    Field("z_uncertainty_nm", "<f4", "nm", "1 sigma of z_nm"),
)
"""What a table with depth has besides."""

ORIGIN = "centre of pixel (0, 0)"
"""Where x_nm = y_nm = 0 lies."""

LOCALIZATION = np.dtype([(f.name, f.dtype) for f in FIELDS])
"""The structured dtype of the table, packed, 60 bytes a row."""

LOCALIZATION_3D = np.dtype([(f.name, f.dtype) for f in (*FIELDS, *DEPTH_FIELDS)])
"""The same with depth, 68 bytes a row."""

Localizations = npt.NDArray[np.void]
"""A one-dimensional array of dtype `LOCALIZATION` or `LOCALIZATION_3D`."""


def empty(n: int = 0, dtype: np.dtype[np.void] = LOCALIZATION) -> Localizations:
    """Return `n` rows of zeros.

    Parameters
    ----------
    n
        Number of rows.
    dtype
        `LOCALIZATION`, or `LOCALIZATION_3D` for a table with depth.

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    return np.zeros(n, dtype)


def joined(tables: Sequence[Localizations]) -> Localizations:
    """Return the rows of one table or more, one behind another.

    numpy joins structured arrays field by field, a microsecond a row; here whole rows are copied.

    Parameters
    ----------
    tables
        Each of shape (n,), contiguous, all of the dtype of the first.

    Returns
    -------
    numpy.ndarray
        Shape (sum of all n,).

    Raises
    ------
    ValueError
        They are not of one dtype.
    """
    dtype = tables[0].dtype
    if any(table.dtype != dtype for table in tables):
        columns = sorted({len(table.dtype.names or ()) for table in tables})
        raise ValueError(f"tables with and without depth cannot be joined: {' and '.join(map(str, columns))} columns")
    whole_row = np.dtype((np.void, dtype.itemsize))
    return np.concatenate([table.view(whole_row) for table in tables]).view(dtype)


def precision_nm(table: Localizations) -> npt.NDArray[np.float64]:
    """Return the lateral precision of each row, the mean of x and y uncertainty.

    Parameters
    ----------
    table
        Shape (n,), dtype `LOCALIZATION`.

    Returns
    -------
    numpy.ndarray
        Shape (n,), nm, 1 sigma.
    """
    both = table["x_uncertainty_nm"].astype(np.float64) + table["y_uncertainty_nm"]
    return np.asarray(0.5 * both, np.float64)
