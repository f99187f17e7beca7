"""One camera frame as a file: what was on the camera at that moment, to measure in or to show."""

from __future__ import annotations

from pathlib import Path

import tifffile

from locstream.bundle.whole_file import refuse_existing, whole_file
from locstream.errors import LocstreamError
from locstream.rendering.ome import plane_metadata
from locstream.stacks.source import Image


def save_frame(path: Path, image: Image, number: int, pixel_size_nm: float, name: str) -> None:
    """Write a frame as an OME-TIFF of 16 bits, as the camera gave it; complete or not at all.

    Parameters
    ----------
    path
        Must not exist.
    image
        Shape (rows, columns), uint16, ADU; row 0 is the top.
    number
        Frame number, from 0.
    pixel_size_nm
        Edge of a camera pixel in the sample, nm; stored in µm.
    name
        Of the acquisition.

    Raises
    ------
    LocstreamError
        The file exists, or the disk refuses.
    """
    refuse_existing(path)
    metadata = plane_metadata(f"{name}, frame {number}", pixel_size_nm)
    try:
        with whole_file(path) as part, tifffile.TiffWriter(part, ome=True) as tiff:
            tiff.write(image, photometric="minisblack", metadata=metadata)
    except OSError as error:
        raise LocstreamError(
            f"frame {number:,} could not be written to {path.parent}: {error.strerror or error}",
            safe="saving a frame changes no other file",
            todo="make room, or open the window where you may write",
        ) from error
