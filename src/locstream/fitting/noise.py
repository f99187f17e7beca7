"""Does the noise of a frame agree with the camera's calibration? Many a stack comes with none, or with a wrong one."""

from __future__ import annotations

import numpy as np

from locstream.compiled import Floats, U, exact
from locstream.fitting.sensor import Sensor
from locstream.stacks.source import Image

BLOCK_PX = 8
"""The noise is taken from the differences within pairs of neighbours, four pairs at a time."""
MAX_BLOCKS = 1024
"""Blocks looked at in a frame; their rows are spread over it."""
MIN_BLOCKS = 64
"""With fewer the quartile is too uncertain."""
QUARTER_OF_CHI2 = 0.4806
"""A quarter of all draws of a chi-square with four degrees of freedom, divided by four, lie below this. The quartile
keeps to blocks without molecules as long as there are enough of them."""
AGREES_WITHIN = 1.5
"""A calibration is believed where the noise of the frame is within this factor of what it calls for."""


def noise_ratio(image: Image, camera: Sensor) -> tuple[float, float]:
    """Return the variance of a frame's noise over that which its light and the calibration call for.

    Parameters
    ----------
    image
        Shape (rows, columns), uint16, ADU.
    camera
        What `sensor` gave for frames of this shape.

    Returns
    -------
    ratio : float
        1 where the two agree within a factor of 1.5, and where the frame is too small to tell.
    light : float
        What a typical pixel holds, in the unit of `Sensor`; 0 where they agree.
    """
    height, width = image.shape
    across = width // BLOCK_PX
    every = max(1, height * across // MAX_BLOCKS)
    ratios, lights = np.empty((2, (height + every - 1) // every * across), np.float32)
    n, below, above = look_at_blocks(image, camera, every, ratios, lights)
    if n < MIN_BLOCKS or (4 * below < n and 4 * above < 3 * n):
        return 1.0, 0.0
    # Seldom needed, and numba takes eight seconds to compile a partition.
    return float(np.partition(ratios, n // 4)[n // 4]), float(np.partition(lights, n // 2)[n // 2])


@exact
def look_at_blocks(image: Image, camera: Sensor, every: int, ratios: Floats, lights: Floats) -> tuple[int, int, int]:
    """Compare noise and light in blocks of every so many rows.

    Returns how many blocks there are, and how many have clearly less and clearly more noise than they should.
    """
    offset, scale, variance = camera
    height, width = image.shape
    n = below = above = 0
    for y in range(0, height, every):
        offset_row, scale_row = U(min(y, offset.shape[0] - 1)), U(min(y, scale.shape[0] - 1))
        variance_row = U(min(y, variance.shape[0] - 1))
        for block in range(width // BLOCK_PX):
            light = expected = spread = np.float32(0)
            for pair in range(U(BLOCK_PX // 2)):
                x = U(block * BLOCK_PX) + pair * U(2)
                first = (np.float32(image[U(y), x]) - offset[offset_row, x]) * scale[scale_row, x]
                x += U(1)
                second = (np.float32(image[U(y), x]) - offset[offset_row, x]) * scale[scale_row, x]
                light += first + second
                expected += variance[variance_row, x - U(1)] + variance[variance_row, x]
                spread += (first - second) ** 2
            ratio = spread / (max(light, np.float32(0)) + expected) / np.float32(QUARTER_OF_CHI2)
            ratios[n], lights[n] = ratio, light / BLOCK_PX
            below += int(ratio < 1 / AGREES_WITHIN)
            above += int(ratio > AGREES_WITHIN)
            n += 1
    return n, below, above
