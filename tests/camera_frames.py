"""Frames of a camera that is known to the pixel: dark, evenly lit, or of a sample that blinks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from fitting_frames import expose, light, molecules
from locstream.calibration.camera import CameraCalibration

Frames = npt.NDArray[np.uint16]


def uneven_camera(
    height: int = 24,
    width: int = 32,
    *,
    gain_spread: float = 0.02,
    hot: float = 0.01,
    em_gain: float = 1.0,
    seed: int = 0,
) -> CameraCalibration:
    """Return an sCMOS camera whose pixels differ, with some that are eight times as noisy as the others."""
    rng = np.random.default_rng([seed, height, width])
    shape = height, width
    noise = 1.5 * np.exp(0.15 * rng.standard_normal(shape))
    noise[rng.random(shape) < hot] *= 8
    return CameraCalibration(
        pixel_size_nm=100.0,
        offset_adu=100 + 2 * rng.standard_normal(shape),
        gain_e_per_adu=0.46 * em_gain * (1 + gain_spread * rng.standard_normal(shape)),
        read_noise_e=noise * em_gain**0.5,
        em_gain=em_gain,
    )


def even_light(
    camera: CameraCalibration,
    frames: int,
    photons: float,
    *,
    flicker: float = 0.0,
    drift: float = 0.0,
    shade: npt.ArrayLike = 1.0,
    seed: int = 0,
) -> Iterator[Frames]:
    """Give frames of an evenly lit (times `shade`) camera; the lamp may flicker, and drift from first to last."""
    assert camera.map_shape is not None
    rng = np.random.default_rng([seed, frames, int(photons)])
    for t in range(frames):
        lamp = photons * (1 + flicker * rng.standard_normal()) * (1 + drift * (t / frames - 0.5))
        yield expose(np.broadcast_to(max(lamp, 0.0) * np.asarray(shade, float), camera.map_shape), camera, rng)


def sample(
    camera: CameraCalibration,
    frames: int,
    *,
    size: int = 128,
    background: float = 10.0,
    contrast: float = 3.0,
    emitters: float = 0.0,
    on_frames: float = 2.5,
    photons: float = 1000.0,
    bleaching: float = 0.0,
    seed: int = 0,
) -> Frames:
    """Return frames of a sample on which molecules blink.

    Parameters
    ----------
    camera
        With scalars, or maps of size × size px.
    frames
        How many.
    size
        Rows and columns, px.
    background, contrast
        Photons per pixel in its darkest place, and by how much it is more, relative, in its brightest.
    emitters, on_frames, photons
        Molecules that shine in a frame, for how many frames each on average, and their photons in a frame.
    bleaching
        Share of the background that is lost from first to last frame.
    seed
        Another number gives another sample.
    """
    rng = np.random.default_rng(seed)
    structure = gaussian_filter(rng.standard_normal((size, size)), 8)
    structure = background * (1 + contrast * (structure - structure.min()) / np.ptp(structure))
    stack = np.empty((frames, size, size), np.uint16)
    shining = np.empty((0, 4))  # x, y, photons, frames to go
    for t in range(-10, frames):
        new = rng.poisson(emitters / on_frames)
        begun = np.column_stack(
            [*rng.uniform(0, size, (2, new)), photons * rng.lognormal(0, 0.3, new), rng.exponential(on_frames, new)]
        )
        shining = np.concatenate([shining, begun])
        if t >= 0:
            seen = molecules(shining[:, 0], shining[:, 1], shining[:, 2] * np.minimum(shining[:, 3], 1))
            mean = structure * (1 - bleaching * t / frames) + light(seen, size, size, sigma=1.3, background=0)
            stack[t] = expose(mean, camera, rng)
        shining = shining[shining[:, 3] > 1] - (0, 0, 0, 1)
    return stack
