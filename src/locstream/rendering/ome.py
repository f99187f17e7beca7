"""The quantitative picture: an OME-TIFF with its pixel size, for Fiji, napari and OMERO."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tifffile

import locstream
from locstream.rendering.grid import Picture
from locstream.rendering.pyramid import smaller_copies

PYRAMID_ABOVE_PX = 3072
"""A longer side gets smaller copies inside the file: OMERO serves no larger float plane without them."""

SMALLEST_LEVEL_PX = 512
TILE_PX = 256
MAP_NAMESPACE = "openmicroscopy.org/omero/client/mapAnnotation"


def save_ome_tiff(
    path: Path,
    image: Picture,
    bin_nm: float,
    name: str,
    description: str = "",
    annotations: Mapping[str, str] | None = None,
) -> None:
    """Write the picture as float32, one plane, axes YX, not scaled, flipped or coloured.

    Its scale bar is the physical pixel size, which every reader of OME-TIFF turns into one; nothing is
    drawn into the data. A picture with a side above `PYRAMID_ABOVE_PX` also holds copies of half the
    size and less, each the mean of 2 × 2 pixels of the one before; the full plane is untouched.

    Parameters
    ----------
    path
        Written in place, whatever its suffix; see `locstream.bundle.images` for all or nothing.
    image
        Shape (rows, columns), float32, localizations per pixel; row 0 is the top.
    bin_nm
        Edge of a pixel in the sample, nm; stored in µm.
    name
        Name of the image.
    description
        Free text.
    annotations
        Keys and values to file with the image; OMERO shows them as key-value pairs.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    metadata = plane_metadata(name, bin_nm) | {
        "Description": _printable(description),
        "Channel": {"Name": "localizations per pixel"},
    }
    if annotations:
        values = {_printable(k): _printable(v) for k, v in annotations.items()}
        metadata["MapAnnotation"] = {"Namespace": MAP_NAMESPACE, "Value": values}
    levels = smaller_copies(image, SMALLEST_LEVEL_PX) if max(image.shape) > PYRAMID_ABOVE_PX else []
    per_cm = 1e7 / bin_nm
    # A picture of single molecules is mostly zeros: fast deflate shrinks it several times at the disk's speed.
    stored: dict[str, Any] = {
        "photometric": "minisblack",
        "tile": (TILE_PX, TILE_PX),
        "compression": "zlib",
        "compressionargs": {"level": 1},
    }
    with tifffile.TiffWriter(path, ome=True, bigtiff=image.nbytes > 2**31) as tiff:
        tiff.write(
            image,
            metadata=metadata,
            subifds=len(levels),
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
            software=f"locstream {locstream.__version__}",
            **stored,
        )
        for level in levels:
            tiff.write(level, subfiletype=1, metadata=None, **stored)


def plane_metadata(name: str, pixel_nm: float) -> dict[str, Any]:
    """Return what the OME-XML of one plane says, as tifffile wants it: its name, and the edge of a pixel, nm."""
    size_um = round(pixel_nm / 1000, 9)
    return {
        "axes": "YX",
        "Name": _printable(name),
        "PhysicalSizeX": size_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": size_um,
        "PhysicalSizeYUnit": "µm",
        "Creator": f"locstream {locstream.__version__}",
    }


def _printable(text: str) -> str:
    # XML 1.0 has no way to write other control characters, and tifffile does not check.
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
