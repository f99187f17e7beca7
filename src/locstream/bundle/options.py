"""What a finished run's folder holds beside what it always holds."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from locstream.settings import Settings

Table = Literal["thunderstorm", "pyme"]
"""A further form of the localizations."""


class BundleOptions(Settings):
    """What is written beside localizations, raw stack and pictures when a run ends."""

    also: tuple[Table, ...] = ()
    """Further forms of the localizations: "thunderstorm" (NAME_thunderstorm.csv: nm from the pixel's corner, frames
    from 1), "pyme" (NAME_pyme.h5r: nm from the pixel's centre, frames from 0)."""
    upload: bool = False
    """Queue the finished run for `locstream upload`, which hands it on where the lab keeps its images."""

    @field_validator("also")
    @classmethod
    def _each_once(cls, also: tuple[Table, ...]) -> tuple[Table, ...]:
        if len(set(also)) < len(also):
            raise ValueError(f"{', '.join(also)}: each form once")
        return also
