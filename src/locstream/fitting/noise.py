"""Does the noise of a frame agree with the camera's calibration? Many a stack comes with none, or with a wrong one."""

from __future__ import annotations

import numba
import numpy as np

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


@numba.njit(cache=True, nogil=True, error_model="numpy")
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
    offset, scale, variance = camera
    height, width = image.shape
    across = width // BLOCK_PX
    every = max(1, height * across // MAX_BLOCKS)
    ratios, lights = np.empty((2, (height + every - 1) // every * across), np.float32)
    n = below = above = 0
    for y in range(0, height, every):
        offset_row, scale_row, variance_row = y % offset.shape[0], y % scale.shape[0], y % variance.shape[0]
        for block in range(across):
            light = expected = spread = np.float32(0)
            for x in range(block * BLOCK_PX, (block + 1) * BLOCK_PX, 2):
                first = (np.float32(image[y, x]) - offset[offset_row, x]) * scale[scale_row, x]
                second = (np.float32(image[y, x + 1]) - offset[offset_row, x + 1]) * scale[scale_row, x + 1]
                light += first + second
                expected += variance[variance_row, x] + variance[variance_row, x + 1]
                spread += (first - second) ** 2
            ratio = spread / (max(light, np.float32(0)) + expected) / np.float32(QUARTER_OF_CHI2)
            ratios[n], lights[n] = ratio, light / BLOCK_PX
            below += int(ratio < 1 / AGREES_WITHIN)
            above += int(ratio > AGREES_WITHIN)
            n += 1
    if n < MIN_BLOCKS or (4 * below < n and 4 * above < 3 * n):
        return 1.0, 0.0
    return float(np.partition(ratios, n // 4)[n // 4]), float(np.partition(lights, n // 2)[n // 2])
