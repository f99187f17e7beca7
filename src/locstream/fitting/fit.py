"""Fit a finished stack with every core: the same rows as a live acquisition gives."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.calibration.camera import CameraCalibration
from locstream.errors import StackError
from locstream.fitting.depth import options_for_depth
from locstream.fitting.localizer import Localizer, warmup
from locstream.fitting.options import FitOptions
from locstream.fitting.structure import with_structure
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty, joined
from locstream.stacks.source import Image

AHEAD = 4
"""Frames that may be in the hands of a thread or waiting for one, for each thread."""


def fit(
    frames: Iterable[Image],
    calibration: CameraCalibration,
    options: FitOptions | None = None,
    *,
    astigmatism: AstigmatismCalibration | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda fitted: None,
) -> Localizations:
    """Find and fit the molecules of a stack.

    Parameters
    ----------
    frames
        Shape (t, rows, columns), uint16, ADU: an array, or anything that gives frames one by one; it is
        read only as far as fitting has come.
    calibration
        The camera: offset, gain, read noise, pixel size; numbers, or maps of one frame's shape.
    options
        How molecules are found and fitted; None for the defaults. With depth, what is not set follows from the
        astigmatism: a width of each axis, the width in focus, the box.
    astigmatism
        What `locstream.read_astigmatism` read; gives every row its depth. None for a table without.
    threads
        Threads to fit with; None for one a processor.
    progress
        Called with the number of frames fitted so far.

    Returns
    -------
    numpy.ndarray
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, or `LOCALIZATION_3D` with depth, in frame order.
        Positions in nm from the centre of pixel (0, 0), x along columns; frames count from 0.

    Raises
    ------
    StackError
        A frame is not uint16, not two-dimensional, or of another shape than the first.
    ConfigError
        The calibration's maps do not cover the frames, or the astigmatism goes with another model or pixel size, or a
        median over time is asked for of a camera whose gain is not known or of too few frames.

    Examples
    --------
    >>> import numpy as np
    >>> import locstream
    >>> camera = locstream.CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.46)
    >>> dark = np.full((3, 32, 40), 122, np.uint16)
    >>> len(locstream.fit(dark, camera))
    0
    """
    options = options or FitOptions()
    if astigmatism is not None:
        options = options_for_depth(options, astigmatism, calibration.pixel_size_nm)
    none = empty(0, LOCALIZATION if astigmatism is None else LOCALIZATION_3D)
    tables = fit_frames(frames, calibration, options, astigmatism=astigmatism, threads=threads, progress=progress)
    return joined([none, *tables])


Seen = tuple[Image, Image | None]
"""A frame, and the median of those around it where it is known."""


def _numbered(frames: Iterable[Seen]) -> Iterator[tuple[int, tuple[int, int], Image, Image | None]]:
    """Give number, shape of the first, frame and median; whichever thread comes first, it is frame 0 that decides."""
    shape: tuple[int, ...] = ()
    for number, (image, median) in enumerate(frames):
        shape = shape or np.shape(image)
        if len(shape) != 2:
            raise StackError(
                f"frame {number} has {len(shape)} axes, not 2: rows and columns",
                todo="give frames of shape (rows, columns), or a stack of shape (frames, rows, columns)",
            )
        yield number, (shape[0], shape[1]), image, median


def fit_frames(
    frames: Iterable[Image],
    calibration: CameraCalibration,
    options: FitOptions,
    *,
    astigmatism: AstigmatismCalibration | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda fitted: None,
) -> Iterator[Localizations]:
    """Give the rows of frame after frame; memory stays flat. Parameters and errors as in `fit`."""
    count = threads or os.cpu_count() or 1
    own = threading.local()
    warmup(options.model_copy(update={"background": "local"}), calibration.pixel_size_nm, astigmatism)

    def localize(number: int, shape: tuple[int, int], image: Image, median: Image | None) -> Localizations:
        if not hasattr(own, "localizer") or own.median is not median:
            height, width = shape
            own.localizer, own.median = Localizer(calibration, height, width, options, astigmatism, median), median
        localizer: Localizer = own.localizer
        return localizer(image, number)

    seen = with_structure(frames) if options.background == "temporal_median" else ((image, None) for image in frames)
    numbered = _numbered(seen)
    with ThreadPoolExecutor(count, thread_name_prefix="fit") as pool:
        waiting: deque[Future[Localizations]] = deque(
            pool.submit(localize, *each) for each in itertools.islice(numbered, AHEAD * count)
        )
        for done in itertools.count(1):
            if not waiting:
                return
            table = waiting.popleft().result()
            waiting.extend(pool.submit(localize, *each) for each in itertools.islice(numbered, 1))
            progress(done)
            yield table
