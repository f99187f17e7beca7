"""The astigmatism calibration: how wide the image of a molecule is along x and along y at each depth.

A cylindrical lens in front of the camera puts the focus for x and the focus for y at two depths; which of the two
widths is the larger, and by how much, tells where a molecule lies (Huang et al., Science 319, 810, 2008). The
defocusing curve of that paper,

    σ(z)² = σ₀² · (1 + ((z - c) / d)² + A·((z - c) / d)³ + B·((z - c) / d)⁴),

is a polynomial of degree 4 in z. It is kept as one, in powers of µm; higher degrees serve lenses that are not as good.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from locstream import __version__
from locstream.errors import ConfigError
from locstream.settings import Settings, what_is_wrong

FORMAT = 1
SUFFIX = ".json"
CHECKED_EVERY_NM = 1.0
PIXEL_SIZES_AGREE = 0.01
"""Relative difference of two pixel sizes that are one."""

Doubles = npt.NDArray[np.float64]
Coefficients = Annotated[tuple[float, ...], Field(min_length=3, max_length=12)]


class AstigmatismCalibration(Settings):
    """The widths of a molecule's image as functions of its depth.

    z = 0 is where the image is round. z grows with the number of the plane of the bead stack that was measured, for a
    positive step: a molecule at z = 100 nm looks like a bead in the plane 100 nm after that of the round image.
    """

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    """Version of the file's layout."""
    variance_x_px2: Coefficients
    """σx(z)² in px²: coefficients of the powers 0, 1, 2 … of z in µm."""
    variance_y_px2: Coefficients
    """σy(z)², as that along x."""
    z_min_nm: float
    """The calibration holds from this depth, nm."""
    z_max_nm: float
    """The calibration holds to this depth, nm."""
    pixel_size_nm: Annotated[float, Field(ge=1, le=10_000)] | None = None
    """Edge of a pixel in the sample, nm; None where it was not told."""
    residual_px: float = Field(ge=0)
    """Rms difference of the beads' widths from the curves, px."""
    z_residual_nm: float = Field(ge=0)
    """Rms error of z in every other plane, with curves from the planes between, nm."""
    beads: int = Field(ge=1)
    """Number of beads it comes from."""
    planes: int = Field(ge=2)
    """Number of planes of their stack."""
    step_nm: float
    """Distance from one plane to the next, nm; negative where z falls with the planes."""
    stack: str = ""
    """Name of the stack."""
    made: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    """When it was made, UTC."""
    software: str = f"locstream {__version__}"
    """The program that made it."""

    @model_validator(mode="after")
    def _has_widths(self) -> Self:
        if not self.z_min_nm < self.z_max_nm:
            raise ValueError(f"the range of z, {self.z_min_nm:g} … {self.z_max_nm:g} nm, is empty")
        z = np.arange(self.z_min_nm, self.z_max_nm + CHECKED_EVERY_NM, CHECKED_EVERY_NM)
        for axis, coefficients in (("x", self.variance_x_px2), ("y", self.variance_y_px2)):
            if not np.all(np.polynomial.polynomial.polyval(z / 1000, coefficients) > 0):
                raise ValueError(f"the width along {axis} is not above 0 px in the whole range of z")
        return self

    def sigma_x_px(self, z_nm: npt.ArrayLike) -> Doubles:
        """Return the standard deviation of the image along x at depths in nm, px."""
        return _width(self.variance_x_px2, z_nm)

    def sigma_y_px(self, z_nm: npt.ArrayLike) -> Doubles:
        """Return the standard deviation of the image along y at depths in nm, px."""
        return _width(self.variance_y_px2, z_nm)

    def for_pixels(self, pixel_size_nm: float) -> Self:
        """Return the calibration for a camera. Raises `ConfigError` where it was made with pixels of another size."""
        known = self.pixel_size_nm
        if known is not None and abs(pixel_size_nm / known - 1) > PIXEL_SIZES_AGREE:
            raise ConfigError(
                f"the astigmatism calibration is for pixels of {known:g} nm, the frames have {pixel_size_nm:g} nm",
                todo="calibrate with the camera and the magnification of the frames",
            )
        return self


def _width(coefficients: Coefficients, z_nm: npt.ArrayLike) -> Doubles:
    variance = np.polynomial.polynomial.polyval(np.asarray(z_nm, np.float64) / 1000, coefficients)
    return np.asarray(np.sqrt(variance), np.float64)


def read_astigmatism(path: Path) -> AstigmatismCalibration:
    """Read a calibration that `locstream calibrate` wrote. Raises `ConfigError` where the file is none."""
    try:
        return AstigmatismCalibration.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            why = "; ".join(what_is_wrong(error, AstigmatismCalibration))
        else:
            why = str(error)
        raise ConfigError(
            f"{path} is not an astigmatism calibration of locstream: {why}",
            todo="`locstream calibrate` makes one from a stack of beads over z",
        ) from error
