"""Everything that decides what is seen; saved beside a picture, it shows the same again."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from locstream.localizations import Localizations, precision_nm
from locstream.rendering.options import Colormap
from locstream.settings import Settings

ColourBy = Literal["density", "time", "depth"]
Drawing = Literal["auto", "counts", "gaussians"]
Under = Literal["nothing", "camera"]

ROW_FILTERS = ("frame", "photons", "precision_nm", "sigma_nm", "background", "z_nm")
"""The quantities by which rows are chosen."""


class Range(Settings):
    """From `low` to `high`, both included; None for no limit."""

    low: float | None = None
    """Smallest value that is shown."""
    high: float | None = None
    """Largest value that is shown."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the range from {self.low:g} to {self.high:g} is empty")
        return self

    @property
    def open(self) -> bool:
        """True where nothing is left out."""
        return self.low is None and self.high is None

    def mask(self, values: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Return which values lie inside: shape (n,). A NaN does not, unless the range is open."""
        inside = np.ones(len(values), np.bool_)
        if self.low is not None:
            inside &= values >= self.low
        if self.high is not None:
            inside &= values <= self.high
        return inside


class Filters(Settings):
    """Which localizations are shown; nothing is deleted."""

    frame: Range = Range()
    """Frame number, from 0."""
    photons: Range = Range()
    """Photons."""
    precision_nm: Range = Range()
    """Lateral precision, the mean of x and y, nm."""
    sigma_nm: Range = Range()
    """Width of the fitted Gaussian, the mean of x and y, nm."""
    background: Range = Range()
    """Photons per pixel."""
    z_nm: Range = Range()
    """Depth, nm; without effect where the table has none."""

    @property
    def open(self) -> bool:
        """True where every row is shown."""
        return all(self.range_of(name).open for name in ROW_FILTERS)

    def range_of(self, name: str) -> Range:
        """Return the range of one quantity by its name."""
        found: Range = getattr(self, name)
        return found

    def mask(self, rows: Localizations) -> npt.NDArray[np.bool_]:
        """Return which rows are shown: shape (n,), bool."""
        shown = np.ones(len(rows), np.bool_)
        for name in ROW_FILTERS:
            limits = self.range_of(name)
            if not limits.open and (name != "z_nm" or "z_nm" in (rows.dtype.names or ())):
                shown &= limits.mask(quantity(rows, name))
        return shown


def quantity(rows: Localizations, name: str) -> npt.NDArray[np.floating] | npt.NDArray[np.integer]:
    """Return one of the `ROW_FILTERS` of each row: shape (n,)."""
    if name == "precision_nm":
        return precision_nm(rows)
    if name == "sigma_nm":
        return np.asarray(0.5 * (rows["sigma_x_nm"].astype(np.float64) + rows["sigma_y_nm"]))
    return rows[name]


class Window(NamedTuple):
    """A rectangle of the sample, nm from the centre of camera pixel (0, 0); y down."""

    left_nm: float
    top_nm: float
    width_nm: float
    height_nm: float

    @property
    def area_um2(self) -> float:
        """Its area, µm²."""
        return self.width_nm * self.height_nm * 1e-6


class ViewSettings(Settings):
    """What is seen and how."""

    pixel_nm: Annotated[float, Field(gt=0, le=100_000)] = 20.0
    """Edge of a pixel of the picture where counts are drawn, nm; coarser where the screen has no room for it."""
    drawing: Drawing = "auto"
    """"counts" per pixel, "gaussians" as wide as each precision, or "auto": Gaussians when zoomed in so far
    that a pixel of the picture would be larger than one of the screen, counts before."""
    colour_by: ColourBy = "density"
    """What the colour says: how many, when (mean frame), or how deep (mean z)."""
    colormap: Colormap = "hot"
    """Colours of the density. "magma", "viridis" and "gray" are even and safe for colour-blind eyes."""
    contrast_percentile: Annotated[float, Field(ge=50, le=100)] = 99.0
    """This percentile of the pixels in view that are not empty, %, takes the brightest colour."""
    brightest_per_um2: Annotated[float, Field(gt=0)] | None = None
    """Localizations per µm² that take the brightest colour, at every zoom; None: by the percentile."""
    gamma: Annotated[float, Field(ge=0.1, le=10)] = 0.7
    """Exponent of the display: 1 is proportional, below 1 lifts what is faint. No number and no OME-TIFF is changed."""
    under: Under = "nothing"
    """What lies under the picture, in grey: "camera", the mean of the camera frames that were looked at, which is the
    sample without super-resolution; or "nothing"."""
    depth_range_nm: tuple[float, float] | None = None
    """Depths that take the first and the last colour, nm; None: all but the outermost 1 % of the latest rows."""
    filters: Filters = Filters()
    """Which localizations are shown."""
    window: Window | None = None
    """The part of the sample in view; None for the whole field."""
