"""ImageJ's notes in the first page of a TIFF stack: lines of key=value."""

from __future__ import annotations

from locstream.stacks.description import Description, length_nm, number, time_ms, whole

_AXES = ("channels", "slices", "frames")


def is_imagej(text: str) -> bool:
    """Say whether an ImageDescription was written by ImageJ."""
    return text.startswith("ImageJ=")


def describe_imagej(text: str, pixels_per_unit: float | None) -> Description:
    """Return what ImageJ noted.

    Parameters
    ----------
    text
        The ImageDescription.
    pixels_per_unit
        The page's XResolution; with ImageJ it counts in the `unit` of the text.
    """
    notes = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    axes = {name: n for name in _AXES if (n := whole(notes.get(name))) is not None}
    images = whole(notes.get("images"))
    if images is not None and not axes:
        axes = {"images": images}
    unit = notes.get("unit", "").replace("\\u00B5", "µ")
    size = 1 / pixels_per_unit if pixels_per_unit else None
    return Description(
        dialect="ImageJ TIFF",
        axes=axes,
        pixel_size_nm=length_nm(size, unit),
        interval_ms=time_ms(number(notes.get("finterval")), "s"),  # its "fps" is the speed of display
        details={"ImageJ": notes["ImageJ"]} if notes.get("ImageJ") else {},
    )
