"""Which frames the pages of a live stack are, as the pages themselves say; also of one that is finished as OME-TIFF."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from locstream.errors import StackError
from locstream.stacks.frames_in_file import ReadOnlyFile
from locstream.stacks.live_page import FRAME_NUMBER, FRAME_TIME, HEADER, complete_pages, from_ns
from locstream.stacks.tiff_structure import TiffStructure


class PagesInfo(NamedTuple):
    """Number and time of each page.

    Parameters
    ----------
    numbers
        Shape (pages,), int64: frame numbers from 0, increasing; what is missing was dropped by the camera.
    times_s
        Shape (pages,), float64: seconds since the epoch (UTC), NaN where not known.
    """

    numbers: npt.NDArray[np.int64]
    times_s: npt.NDArray[np.float64]


def read_pages_info(path: Path) -> PagesInfo:
    """Return which frames the complete pages of a stack are.

    Parameters
    ----------
    path
        ``NAME.live.tif``, also while it grows, or the ``NAME.ome.tif`` that it has become.

    Raises
    ------
    StackError
        The file cannot be read, or its pages do not say it: it was not recorded by locstream.
    """
    numbers, times_s = array("q"), array("d")
    file = ReadOnlyFile(path)
    try:
        if file.size() >= len(HEADER):  # else it was killed before it had a header
            tiff = TiffStructure(file)
            for ifd, _ in complete_pages(tiff):
                number = tiff.scalar(ifd, FRAME_NUMBER, -1)
                if number < 0:
                    raise StackError(f"page {len(numbers)} of {path} does not say which frame it is")
                numbers.append(number)
                times_s.append(from_ns(tiff.scalar(ifd, FRAME_TIME, 0)))
    finally:
        file.close()
    return PagesInfo(np.array(numbers, np.int64), np.array(times_s, np.float64))
