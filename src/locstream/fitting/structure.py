"""Light that stays: the structure of a sample that shines in every frame, as known light under its molecules.

The median over time of a pixel knows nothing of molecules that shine in less than half of the frames. What of it rises
above its surroundings is structure. It is not taken off the counts, which would then no more be Poisson distributed:
it joins the mean of each pixel as light that is known, so that its noise counts in detection, fit and uncertainties.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from locstream.compiled import Floats
from locstream.errors import ConfigError, StackError
from locstream.fitting.sensor import Sensor
from locstream.stacks.source import Image

BLOCK = 50
"""So many frames in a row share one median."""
REACH = 25
"""Frames before and after them that have a say in it; memory holds no more than 3 blocks."""
FEWEST_FRAMES = 20
"""Of fewer the median is not free of the molecules."""
SURROUNDINGS_PX = 15
"""Structure is what rises above the lowest pixel of a square of this edge; what varies more slowly is background."""


def with_structure(frames: Iterable[Image]) -> Iterator[tuple[Image, Image]]:
    """Give each frame with the median of those around it.

    Parameters
    ----------
    frames
        Shape (t, rows, columns), uint16, ADU; read as far as 75 frames ahead.

    Yields
    ------
    image, median : numpy.ndarray
        Both of shape (rows, columns), uint16, ADU; one median for `BLOCK` frames.

    Raises
    ------
    StackError
        The frames differ in shape.
    ConfigError
        There are fewer than `FEWEST_FRAMES`.
    """
    source = iter(frames)
    before: list[Image] = []
    here = list(itertools.islice(source, BLOCK))
    while here:
        after = list(itertools.islice(source, BLOCK))
        window = [*before[-REACH:], *here, *after[:REACH]]
        shapes = {np.shape(image) for image in window}
        if len(shapes) > 1:
            raise StackError(f"the frames differ in shape: {' and '.join(map(str, sorted(shapes)))} px")
        if len(window) < FEWEST_FRAMES:
            raise ConfigError(
                f'background = "temporal_median" needs {FEWEST_FRAMES} frames or more; there are {len(window)}',
                todo='set background = "local"',
            )
        median = np.partition(np.stack(window), len(window) // 2, axis=0)[len(window) // 2]
        for image in here:
            yield image, median
        before, here = here, after


def structured(camera: Sensor, median: Image) -> Sensor:
    """Return the camera as it sees a sample with structure: light that is known joins offset and variance.

    A count less the known light, plus variance and known light, is the Poisson number it was; see `gaussian`.
    """
    light = np.maximum((median.astype(np.float32) - camera.offset_adu) * camera.scale, np.float32(0))
    structure = light - _lowest_around(light)
    return Sensor(
        np.ascontiguousarray(camera.offset_adu + structure / camera.scale),
        np.ascontiguousarray(np.broadcast_to(camera.scale, light.shape)),
        np.ascontiguousarray(camera.variance + structure),
    )


def _lowest_around(light: Floats) -> Floats:
    """Return the lowest pixel of the square around each."""
    half = SURROUNDINGS_PX // 2
    for axis in (0, 1):
        padded = np.pad(light, [(half, half) if k == axis else (0, 0) for k in (0, 1)], mode="edge")
        light = np.lib.stride_tricks.sliding_window_view(padded, SURROUNDINGS_PX, axis=axis).min(axis=-1)
    return light
