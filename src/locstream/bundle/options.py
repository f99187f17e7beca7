"""What a finished run's folder holds beside what it always holds."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from locstream.settings import Settings

Form = Literal["thunderstorm", "pyme", "ome-zarr"]
"""A further form of the localizations, or of the reconstruction."""


class BundleOptions(Settings):
    """What is written beside localizations, raw stack and pictures when a run ends."""

    also: tuple[Form, ...] = ()
    """Further forms of the localizations: "thunderstorm" (NAME_thunderstorm.csv: nm from the pixel's corner, frames
    from 1), "pyme" (NAME_pyme.h5r: nm from the pixel's centre, frames from 0); and of the reconstruction: "ome-zarr"
    (NAME_recon.ome.zarr, a folder that web viewers read piece by piece; needs `pip install "locstream[zarr]"`)."""
    upload: bool = False
    """Queue the finished run for `locstream upload`, which hands it on where the lab keeps its images."""

    @field_validator("also")
    @classmethod
    def _each_once(cls, also: tuple[Form, ...]) -> tuple[Form, ...]:
        if len(set(also)) < len(also):
            raise ValueError(f"{', '.join(also)}: each form once")
        return also
