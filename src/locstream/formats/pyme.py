"""PYME's table of fits, ``.h5r``: nm from the centre of the first pixel, frames from 0.

Both are as in locstream. PYME keeps the height of a Gaussian in ADU and makes photons of it with the camera's values
and the pixel size, so these have to lie beside the table. Written for readers of python-microscopy 26.9.

PYME: Baddeley et al., Biophysical Journal 96, L22 (2009); https://python-microscopy.org.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from locstream.errors import ResultsError
from locstream.localizations import LOCALIZATION_3D, Localizations

Attributes = Mapping[str, Mapping[str, float | int | str]]
"""Groups of PYME's metadata by name, "" for the top one."""

TABLE = "FitResults"
_VALUES = ("A", "x0", "y0", "sigma", "background")
_CHUNK_ROWS = 16_384


def pyme_dtype(*, depth: bool) -> np.dtype[np.void]:
    """Return the type of a row: values and their 1 σ as nested groups, as PYME's own fits write them."""
    fields = [(name, "<f4") for name in (*_VALUES, *(("z0",) if depth else ()))]
    return np.dtype(
        [("tIndex", "<i4"), ("fitResults", fields), ("fitError", fields), ("resultCode", "<i4"), ("nchi2", "<f4")]
    )


def to_pyme(table: Localizations, pixel_size_nm: float, photons_per_adu: float = 1.0) -> npt.NDArray[np.void]:
    """Convert localizations to PYME's columns.

    Parameters
    ----------
    table
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, or `LOCALIZATION_3D` with depth.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.
    photons_per_adu
        What PYME will multiply with: ``ElectronsPerCount / TrueEMGain``.

    Returns
    -------
    numpy.ndarray
        Shape (n,), of `pyme_dtype`. ``A`` is the height of the Gaussian and ``background`` the level, ADU;
        ``sigma`` is the mean along x and y, nm; ``resultCode`` is 1 where the fit converged, as in PYME.
    """
    depth = table.dtype == LOCALIZATION_3D
    rows = np.zeros(len(table), pyme_dtype(depth=depth))
    values, errors = rows["fitResults"], rows["fitError"]
    sigma_nm = 0.5 * (table["sigma_x_nm"].astype(np.float64) + table["sigma_y_nm"])
    area_px = 2 * np.pi * (np.maximum(sigma_nm, 1e-3) / pixel_size_nm) ** 2
    rows["tIndex"] = table["frame"]
    rows["resultCode"] = table["status"] == 0
    rows["nchi2"] = table["chi2"]
    for axis in "xyz" if depth else "xy":
        values[f"{axis}0"], errors[f"{axis}0"] = table[f"{axis}_nm"], table[f"{axis}_uncertainty_nm"]
    values["sigma"] = sigma_nm
    errors["sigma"] = 0.5 * np.hypot(table["sigma_x_uncertainty_nm"], table["sigma_y_uncertainty_nm"])
    for ours, theirs, per in (("photons", "A", area_px), ("background", "background", 1.0)):
        values[theirs] = table[ours] / (per * photons_per_adu)
        errors[theirs] = table[f"{ours}_uncertainty"] / (per * photons_per_adu)
    return rows


def write_pyme(
    path: Path, blocks: Iterable[Localizations], pixel_size_nm: float, attributes: Attributes, *, depth: bool = False
) -> None:
    """Write a table block by block; memory is that of a block.

    Parameters
    ----------
    path
        The file; whatever is there is replaced.
    blocks
        Tables of dtype `LOCALIZATION`, or `LOCALIZATION_3D` with `depth`.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.
    attributes
        PYME's metadata, as `locstream.results.header.ResultsHeader.pyme` gives it.
    depth
        Whether the tables have depth.

    Raises
    ------
    ResultsError
        The file cannot be written.
    """
    camera = attributes.get("Camera", {})
    photons_per_adu = float(camera.get("ElectronsPerCount", 1.0)) / float(camera.get("TrueEMGain", 1.0))
    try:
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            rows = file.create_dataset(
                TABLE, (0,), pyme_dtype(depth=depth), maxshape=(None,), chunks=(_CHUNK_ROWS,), compression="gzip",
                compression_opts=1, shuffle=True,
            )  # fmt: skip
            for block in blocks:
                converted = to_pyme(block, pixel_size_nm, photons_per_adu)
                rows.resize(len(rows) + len(block), axis=0)
                rows[len(rows) - len(block) :] = converted
            tree = file.create_group("MetaData")
            for group, values in attributes.items():
                (tree.require_group(group) if group else tree).attrs.update(values)
            # by it PYME knows that `A` and `sigma` are of a Gaussian, and offers photons
            tree.require_group("Analysis").attrs["FitModule"] = "LatGaussFitFR"
    except OSError as error:
        raise ResultsError(f"{path} cannot be written: {error}", todo="make room, or choose another folder") from error
