"""Where the pixels of a rendered picture lie in the sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from locstream.errors import ConfigError

Picture = npt.NDArray[np.float32]
"""A rendered picture: shape (rows, columns), float32, localizations per rendered pixel."""

MAX_PIXELS = 2**29
"""Largest picture that is rendered, px: 2 GiB of float32."""

Coordinates = TypeVar("Coordinates", float, npt.NDArray[np.floating])
"""One position, or an array of them of any shape."""


@dataclass(frozen=True)
class Grid:
    """The rendered pixels, in the sample's coordinates (nm from the centre of camera pixel (0, 0)).

    Rendered pixel (row, column) covers ``left_nm + column * bin_nm <= x < left_nm + (column + 1) * bin_nm``
    and the same down rows from `top_nm`.

    Parameters
    ----------
    rows, columns
        Shape of the picture, rendered px.
    bin_nm
        Edge of a rendered pixel, nm.
    left_nm, top_nm
        Position of the left edge of column 0 and of the top edge of row 0, nm.
    """

    rows: int
    columns: int
    bin_nm: float
    left_nm: float
    top_nm: float

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns), as numpy counts."""
        return self.rows, self.columns

    def to_px(self, x_nm: Coordinates, y_nm: Coordinates) -> tuple[Coordinates, Coordinates]:
        """Return (column, row) of positions in rendered px, counted from the centre of rendered pixel (0, 0)."""
        return (x_nm - self.left_nm) / self.bin_nm - 0.5, (y_nm - self.top_nm) / self.bin_nm - 0.5

    def to_nm(self, column: Coordinates, row: Coordinates) -> tuple[Coordinates, Coordinates]:
        """Return (x_nm, y_nm) of positions in rendered px; the inverse of `to_px`."""
        return self.left_nm + (column + 0.5) * self.bin_nm, self.top_nm + (row + 0.5) * self.bin_nm


@dataclass(frozen=True)
class Tally:
    """Where the localizations went; the three add up to all that were given.

    Parameters
    ----------
    inside
        Centre inside the picture.
    outside
        Centre outside it. In a Gaussian rendering a tail may still reach in, and is drawn.
    unusable
        Not drawn: the position is not finite, or (Gaussian rendering) the precision is negative, not
        finite, or worse than the largest blur.
    """

    inside: int = 0
    outside: int = 0
    unusable: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.inside + other.inside, self.outside + other.outside, self.unusable + other.unusable)


def grid(height_px: int, width_px: int, pixel_size_nm: float, bin_nm: float) -> Grid:
    """Return the grid that covers the camera's field of view, edge to edge.

    The left edge of camera pixel (0, 0) is the left edge of rendered pixel (0, 0). Where `bin_nm` does
    not divide the field, the last row and column reach less than one bin beyond it.

    Parameters
    ----------
    height_px, width_px
        Shape of the camera's frames, px.
    pixel_size_nm
        Edge of a camera pixel in the sample, nm.
    bin_nm
        Edge of a rendered pixel, nm.

    Raises
    ------
    ConfigError
        A size is not positive, or the picture would exceed `MAX_PIXELS`.
    """
    for name, value, unit in (
        ("height_px", height_px, "px"),
        ("width_px", width_px, "px"),
        ("pixel_size_nm", pixel_size_nm, "nm"),
        ("bin_nm", bin_nm, "nm"),
    ):
        if not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"{name} = {value} {unit} must be above 0 to render a picture")
    rows, columns = _bins(height_px, pixel_size_nm, bin_nm), _bins(width_px, pixel_size_nm, bin_nm)
    if rows * columns > MAX_PIXELS:
        fitting_nm = bin_nm * math.sqrt(rows * columns / MAX_PIXELS)
        raise ConfigError(
            f"a picture of {columns:,} × {rows:,} px at bin_nm = {bin_nm:g} nm would take "
            f"{rows * columns * 4 / 2**30:,.1f} GiB of memory; {MAX_PIXELS * 4 / 2**30:g} GiB is the limit",
            todo=f"set bin_nm to {math.ceil(fitting_nm)} nm or more, or crop the camera",
        )
    edge_nm = -0.5 * pixel_size_nm
    return Grid(rows, columns, float(bin_nm), edge_nm, edge_nm)


def _bins(size_px: int, pixel_size_nm: float, bin_nm: float) -> int:
    # Rounded first: 3 × 0.1 / 0.1 is a hair above 3 and must not become 4 bins.
    return math.ceil(round(size_px * pixel_size_nm / bin_nm, 6)) or 1
