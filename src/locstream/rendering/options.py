"""The settings of a rendered picture."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from locstream.settings import Settings

Mode = Literal["gaussian", "histogram"]
Colormap = Literal["hot", "magma", "viridis", "gray", "cyan", "magenta"]
ScaleBar = Literal["auto"] | Annotated[float, Field(gt=0, le=10_000_000)]


class RenderOptions(Settings):
    """How localizations become a picture."""

    bin_nm: Annotated[float, Field(ge=1, le=1000)] = 20.0
    """Edge of one rendered pixel in the sample, nm. About twice the localization precision shows all there is."""

    mode: Mode = "gaussian"
    """What is drawn: "gaussian", each localization as wide as its own precision, or "histogram", counts per pixel."""

    min_blur_nm: Annotated[float, Field(ge=0.1, le=1000)] = 5.0
    """Smallest standard deviation a localization is drawn with, nm ("gaussian" only). The label alone is about this
    wide, so a very bright spot that claims less would only stand out as a false grain."""

    max_blur_nm: Annotated[float, Field(gt=0, le=1000)] = 250.0
    """A localization less certain than this, nm, is left out and counted ("gaussian" only): wider than the image of
    one molecule, it adds nothing to the camera's own picture."""

    colormap: Colormap = "hot"
    """Colours from none to many. "magma", "viridis" and "gray" are perceptually even and safe for colour-blind eyes;
    "hot" grows steadily in lightness too, in uneven steps; "cyan" and "magenta" are a safe pair for two targets."""

    contrast_percentile: Annotated[float, Field(gt=0, le=100)] = 99.5
    """This percentile of the pixels that are not empty, %, takes the brightest colour; what is above it is cut."""

    gamma: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    """Exponent of the display: 1 is proportional, below 1 lifts what is faint. The OME-TIFF is never changed by it."""

    scale_bar_nm: ScaleBar = "auto"
    """Length of the scale bar, nm, or "auto" for a round one near a fifth of the width. A length that does not fit
    into the picture falls back to "auto"; the label always says what is drawn."""

    caption: bool = True
    """Write name, number of localizations and pixel size in a strip under the PNG; it covers no data."""

    preview_max_px: Annotated[int, Field(ge=256, le=16_384)] = 4096
    """Longest side of the PNG, px. A larger picture is summed in whole pixels (2 × 2, 3 × 3 …) until it fits; the
    OME-TIFF keeps every pixel."""

    @model_validator(mode="after")
    def _blur_in_order(self) -> Self:
        if self.min_blur_nm > self.max_blur_nm:
            raise ValueError(f"min_blur_nm = {self.min_blur_nm} nm is above max_blur_nm = {self.max_blur_nm} nm")
        return self
