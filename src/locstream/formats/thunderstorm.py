"""ThunderSTORM's CSV table: nm from the **corner** of the first pixel, frames from 1.

locstream counts from the pixel's centre and from frame 0. Half a pixel is 50–65 nm, more than
the precision of most molecules, and no other program converts it; so nothing here works without the
pixel size, and every function says from where it counts.

ThunderSTORM: Ovesný et al., Bioinformatics 30, 2389 (2014).
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
import numpy.typing as npt

from locstream.errors import ResultsError
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty, precision_nm

HEADER = (
    "id",
    "frame",
    "x [nm]",
    "y [nm]",
    "sigma [nm]",
    "intensity [photon]",
    "offset [photon]",
    "bkgstd [photon]",
    "uncertainty_xy [nm]",
)
"""The columns of a two-dimensional table, as ThunderSTORM itself writes them."""

HEADER_3D = (
    "id",
    "frame",
    "x [nm]",
    "y [nm]",
    "z [nm]",
    "sigma1 [nm]",
    "sigma2 [nm]",
    "intensity [photon]",
    "offset [photon]",
    "bkgstd [photon]",
    "uncertainty_xy [nm]",
    "uncertainty_z [nm]",
)
"""The columns of a table with depth: two widths, along x and along y."""

Origin = Literal["corner", "centre"]

_ROW = "%d,%d,%.5f,%.5f,%.5f,%.4f,%.5f,%.5f,%.5f\n"
_ROW_3D = "%d,%d,%.5f,%.5f,%.5f,%.5f,%.5f,%.4f,%.5f,%.5f,%.5f,%.5f\n"
_NEEDED = ("frame", "x [nm]", "y [nm]")
_PLAIN = {
    "intensity [photon]": ("photons",),
    "offset [photon]": ("background",),
    "sigma [nm]": ("sigma_x_nm", "sigma_y_nm"),
    "sigma1 [nm]": ("sigma_x_nm",),
    "sigma2 [nm]": ("sigma_y_nm",),
    "uncertainty [nm]": ("x_uncertainty_nm", "y_uncertainty_nm"),
    "uncertainty_xy [nm]": ("x_uncertainty_nm", "y_uncertainty_nm"),
}
_DEPTH = {"z [nm]": "z_nm", "uncertainty_z [nm]": "z_uncertainty_nm"}
_BLOCK_ROWS = 100_000


class ThunderStormWriter:
    """Writes a ThunderSTORM table batch by batch.

    Parameters
    ----------
    file
        A text file open for writing, or standard output; the header is written at once, and the
        caller closes it.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm: positions are moved by half of it.
    depth
        Whether the table has depth.
    """

    def __init__(self, file: TextIO, pixel_size_nm: float, *, depth: bool = False) -> None:
        self._file = file
        self._half_pixel_nm = _half_pixel(pixel_size_nm)
        self._depth = depth
        self._row = _ROW_3D if depth else _ROW
        self._next_id = 1
        file.write(",".join(f'"{name}"' for name in (HEADER_3D if depth else HEADER)) + "\n")

    def write(self, table: Localizations) -> None:
        """Append localizations.

        One lateral uncertainty is all the format has, and without depth one sigma: the means of x and y. The
        standard deviation of the background is that of shot noise, the root of the background.

        Parameters
        ----------
        table
            Shape (n,), dtype `locstream.localizations.LOCALIZATION`, or `LOCALIZATION_3D` with depth; nm from the
            centre of pixel (0, 0).
        """
        for start in range(0, len(table), _BLOCK_ROWS):
            self._write_block(table[start : start + _BLOCK_ROWS])

    def _write_block(self, table: Localizations) -> None:
        mean_sigma = 0.5 * (table["sigma_x_nm"].astype(np.float64) + table["sigma_y_nm"])
        columns = [
            np.arange(self._next_id, self._next_id + len(table)),
            table["frame"].astype(np.int64) + 1,
            table["x_nm"].astype(np.float64) + self._half_pixel_nm,
            table["y_nm"].astype(np.float64) + self._half_pixel_nm,
            *((table["z_nm"], table["sigma_x_nm"], table["sigma_y_nm"]) if self._depth else (mean_sigma,)),
            table["photons"],
            table["background"],
            np.sqrt(np.maximum(table["background"], 0)),
            precision_nm(table),
            *((table["z_uncertainty_nm"],) if self._depth else ()),
        ]
        values = itertools.chain.from_iterable(zip(*(column.tolist() for column in columns), strict=True))
        self._file.write(self._row * len(table) % tuple(values))
        self._next_id += len(table)


def write_thunderstorm(path: Path, table: Localizations, pixel_size_nm: float) -> None:
    """Write a whole table; see `ThunderStormWriter`.

    Parameters
    ----------
    path
        The ``.csv`` file; one that exists is refused.
    table
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, or `LOCALIZATION_3D` with depth; nm from the centre
        of pixel (0, 0).
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.

    Raises
    ------
    ResultsError
        The file exists or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            ThunderStormWriter(file, pixel_size_nm, depth=table.dtype == LOCALIZATION_3D).write(table)
    except FileExistsError as error:
        raise ResultsError(f"{path} exists and is not overwritten", todo="choose another name") from error
    except OSError as error:
        raise ResultsError(f"{path} cannot be written: {error}") from error


def read_thunderstorm(
    path: Path, pixel_size_nm: float, *, origin: Origin = "corner", first_frame: int = 1
) -> Localizations:
    """Read a ThunderSTORM table.

    Columns that locstream has no place for are left out, those that the file lacks become 0.

    Parameters
    ----------
    path
        The ``.csv`` file; lengths must be in nm.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.
    origin
        Where the file counts from: ThunderSTORM from the ``"corner"`` of the first pixel;
        Picasso's export, which keeps its own origin, from the ``"centre"``.
    first_frame
        The number of the first frame: 1 in ThunderSTORM, 0 in Picasso's export.

    Returns
    -------
    numpy.ndarray
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, or `LOCALIZATION_3D` where there is a column
        ``z [nm]``; nm from the centre of pixel (0, 0).

    Raises
    ------
    ResultsError
        The file is not such a table, its lengths are not in nm, or it counts frames from another number.
    """
    half_pixel_nm = _half_pixel(pixel_size_nm) if origin == "corner" else 0.0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = _names(file, path)
            wanted = [name for name in names if name in (*_NEEDED, *_PLAIN, *_DEPTH)]
            values = _numbers(file, [names.index(name) for name in wanted])
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read as a ThunderSTORM table: {error}") from error
    columns = dict(zip(wanted, values.T, strict=True))
    with_depth = "z [nm]" in columns
    table = empty(len(values), LOCALIZATION_3D if with_depth else LOCALIZATION)
    frames = columns["frame"] - first_frame
    if len(frames) and frames.min() < 0:
        raise ResultsError(
            f"{path} has frame {columns['frame'].min():.0f}, below the first frame {first_frame}",
            todo='Picasso exports from frame 0 and from the pixel\'s centre: give first_frame=0, origin="centre"',
        )
    table["frame"] = frames
    table["x_nm"] = columns["x [nm]"] - half_pixel_nm
    table["y_nm"] = columns["y [nm]"] - half_pixel_nm
    for name, ours in _PLAIN.items():
        for field in ours:
            if name in columns:
                table[field] = columns[name]
    for name, field in _DEPTH.items():
        if with_depth and name in columns:
            table[field] = columns[name]
    return table


def _half_pixel(pixel_size_nm: float) -> float:
    if not (np.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise ResultsError(f"pixel_size_nm = {pixel_size_nm} nm is no size of a pixel")
    return 0.5 * pixel_size_nm


def _names(lines: Iterator[str], path: Path) -> list[str]:
    names = next(csv.reader([next(lines, "")]), [])
    if len(names) == 1:  # some programs quote the header a second time, as one field
        names = next(csv.reader(names), [])
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise ResultsError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(names) or 'no header'}",
            todo="export from ThunderSTORM with positions in nm",
        )
    return names


def _numbers(lines: Iterable[str], columns: list[int]) -> npt.NDArray[np.float64]:
    rows = (line for line in lines if line.strip())
    first = next(rows, None)
    if first is None:  # np.loadtxt warns of an empty table, which is a table too
        return np.empty((0, len(columns)))
    return np.loadtxt(itertools.chain([first], rows), delimiter=",", usecols=columns, ndmin=2)
