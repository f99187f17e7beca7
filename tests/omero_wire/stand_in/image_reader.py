"""What an uploaded file says of itself, read with tifffile as Bio-Formats would say it to the server.

Measured with Bio-Formats 7.3.1: an OME-TIFF that was cut off is *not* refused; it is read as a plain TIFF with the
pages that are left, without any of its metadata. Only what is no TIFF at all is refused.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile


class UnknownFormatError(Exception):
    """No reader knows the file."""


@dataclass
class Plane:
    """The range of one channel."""

    low: float
    high: float


@dataclass
class SeriesInfo:
    """One image of a file. Lengths are (value, unit) pairs with the unit's name in OMERO's model."""

    name: str
    pixels_type: str
    size: dict[str, int]
    order: str = "XYZCT"
    reader: str = "OMETiff"
    description: str | None = None
    acquired: str | None = None
    physical: dict[str, tuple[float, str]] = field(default_factory=dict)
    time_increment: tuple[float, str] | None = None
    channels: list[str | None] = field(default_factory=list)
    first_page: int = 0

    @property
    def n_planes(self) -> int:
        """Number of two-dimensional planes."""
        return self.size["Z"] * self.size["C"] * self.size["T"]


UNITS = {"nm": "NANOMETER", "µm": "MICROMETER", "um": "MICROMETER", "mm": "MILLIMETER", "m": "METER"}
TIMES = {"ns": "NANOSECOND", "µs": "MICROSECOND", "ms": "MILLISECOND", "s": "SECOND", "min": "MINUTE"}
TYPES = {"b": "int", "u": "uint", "i": "int"}


def read(path: Path) -> list[SeriesInfo]:
    """Return the images of a file.

    Raises
    ------
    UnknownFormatError
        It is no TIFF, or has no page that can be read.
    """
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it says what is cut off; that is what is looked for
    try:
        with tifffile.TiffFile(path) as tif:
            n_pages = len(tif.pages)
            first = tif.pages.first
            text = tif.ome_metadata
            kind = _type_of(first.dtype)
            shape = first.imagelength, first.imagewidth
    except (tifffile.TiffFileError, IndexError, ValueError, OSError) as error:
        raise UnknownFormatError(str(error)) from error
    series = list(_ome_series(text)) if text else []
    if series and sum(s.n_planes for s in series) <= n_pages:
        return series
    return [_plain(path, kind, shape, n_pages)]


def ranges(path: Path, series: SeriesInfo) -> list[Plane]:
    """Return smallest and largest value of each channel; every plane is read for it.

    Raises
    ------
    UnknownFormatError
        A plane cannot be read.
    """
    found: dict[int, Plane] = {}
    try:
        with tifffile.TiffFile(path) as tif:
            for i in range(series.n_planes):
                plane = tif.pages[series.first_page + i].asarray()
                c = _channel_of(i, series)
                low, high = float(plane.min()), float(plane.max())
                known = found.setdefault(c, Plane(low, high))
                known.low, known.high = min(known.low, low), max(known.high, high)
    except (tifffile.TiffFileError, IndexError, ValueError, OSError) as error:
        raise UnknownFormatError(str(error)) from error
    return [found[c] for c in sorted(found)]


def _channel_of(plane: int, series: SeriesInfo) -> int:
    for axis in series.order[2:]:
        plane, at = divmod(plane, series.size[axis])
        if axis == "C":
            return at
    raise ValueError(series.order)


def _plain(path: Path, kind: str, shape: tuple[int, int], n_pages: int) -> SeriesInfo:
    size = {"X": shape[1], "Y": shape[0], "Z": 1, "C": 1, "T": n_pages}
    return SeriesInfo(path.name, kind, size, "XYCZT", reader="TiffDelegate", channels=[None])


def _ome_series(text: str) -> Iterator[SeriesInfo]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return
    space = root.tag.partition("}")[0] + "}"
    first = 0
    for image in root.iter(f"{space}Image"):
        pixels = image.find(f"{space}Pixels")
        if pixels is None:
            continue
        made = SeriesInfo(
            name=image.get("Name") or "",
            pixels_type=pixels.get("Type", ""),
            size={axis: int(pixels.get(f"Size{axis}", "1")) for axis in "XYZCT"},
            order=pixels.get("DimensionOrder", "XYZCT"),
            description=image.findtext(f"{space}Description"),
            acquired=image.findtext(f"{space}AcquisitionDate"),
            physical=dict(_physical(pixels)),
            time_increment=_quantity(pixels, "TimeIncrement", "s", TIMES),
            channels=[channel.get("Name") for channel in pixels.iter(f"{space}Channel")],
            first_page=first,
        )
        first += made.n_planes
        yield made


def _physical(pixels: Any) -> Iterator[tuple[str, tuple[float, str]]]:
    for axis in "XYZ":
        found = _quantity(pixels, f"PhysicalSize{axis}", "µm", UNITS)
        if found is not None:
            yield axis, found


def _quantity(element: Any, name: str, default: str, units: dict[str, str]) -> tuple[float, str] | None:
    value = element.get(name)
    if value is None:
        return None
    return float(value), units[element.get(f"{name}Unit", default)]


def _type_of(dtype: Any) -> str:
    if dtype.kind in TYPES:
        return f"{TYPES[dtype.kind]}{8 * dtype.itemsize}"
    return {4: "float", 8: "double"}[dtype.itemsize]
