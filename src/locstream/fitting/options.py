"""What a user may choose about localizing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from locstream.fitting.gaussian import FitModel
from locstream.settings import Settings

Background = Literal["local", "temporal_median"]
"""Where what is known of the light under the molecules comes from."""


class FitOptions(Settings):
    """How molecules are found and fitted. The defaults work untouched where `psf_sigma_nm` is roughly right."""

    threshold: float = Field(default=5.0, ge=2.0, le=100.0)
    """Height above the background from which a spot is taken for a molecule, in standard deviations of the noise
    of the smoothed image at that place. The noise follows from background and camera, so that one number serves
    every exposure and background."""

    psf_sigma_nm: float = Field(default=130.0, gt=0.0, le=2_000.0)
    """Standard deviation of the image of a molecule in focus, nm: the width of the detection filter, and that
    near which every fit starts."""

    box_px: int = Field(default=7, ge=5, le=15)
    """Edge of the square of pixels that is fitted around a molecule, px; odd. About 5 standard deviations of the
    image of a molecule."""

    model: FitModel = "sigma"
    """What is fitted beside position, photons and background: "sigma", one width, which for dim molecules is held near
    psf_sigma_nm; "sigma_xy", a width of each axis, for an astigmatic lens; "fixed", none, every molecule having
    psf_sigma_nm. Molecules that overlap are fitted together, "fixed" telling them apart best where psf_sigma_nm is
    right; crowds, where most show no peak of their own, are taken apart by "sigma" and "fixed" only."""

    min_separation_px: int = Field(default=1, ge=1, le=5)
    """Two maxima of the smoothed image nearer than this along rows or columns count as one molecule, px."""

    background: Background = "local"
    """What is known of the light under the molecules: "local", nothing, each fit finds its own; "temporal_median", the
    structure of a sample that shines in every frame, from the median of the 50 frames around and 25 on either side. For
    finished stacks whose camera is known; molecules that shine in half of those frames vanish."""

    @field_validator("box_px")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"box_px = {value} px is even; a box needs a middle pixel: 5, 7, 9, 11, 13 or 15")
        return value
