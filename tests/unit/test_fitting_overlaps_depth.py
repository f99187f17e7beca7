"""Molecules that overlap behind an astigmatic lens: their depth, and those that stand alone beside them."""

from __future__ import annotations

import numpy as np
import pytest

from bead_stacks import lens
from fitting_frames import expose, integrated
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.depth import options_for_depth
from locstream.fitting.gaussian import PHOTONS, box_columns, fit_boxes, room_for_fits
from locstream.fitting.groups import room_for_groups
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.overlaps import resolve_overlaps, room_to_find
from locstream.fitting.sensor import sensor
from locstream.fitting.spots import cut_spots, room_for_spots
from locstream.fitting.starts import start_weights

CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.6)
LENS = lens()
OPTIONS = options_for_depth(FitOptions(), LENS, 100.0)
SIGMA_PX, BOX = OPTIONS.psf_sigma_nm / 100, OPTIONS.box_px
CELL, CELLS = 36, 5
SIZE = CELL * CELLS
"""Pairs lie in cells this far apart, so that no pair is in the light of another."""


def light(x: np.ndarray, y: np.ndarray, z_nm: np.ndarray, photons: np.ndarray, background: float) -> np.ndarray:
    """Return the expected photons of each pixel of a frame."""
    mean = np.full((SIZE, SIZE), background)
    for place in zip(x, y, LENS.sigma_x_px(z_nm), LENS.sigma_y_px(z_nm), photons, strict=True):
        column, row, sigma_x, sigma_y, n = map(float, place)
        mean += n * np.outer(integrated(row, sigma_y, 0, SIZE), integrated(column, sigma_x, 0, SIZE))
    return mean


def pairs(distance_px: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and depth of a pair in each cell, each turned in a direction of its own."""
    row, column = np.divmod(np.arange(CELLS**2), CELLS)
    angle = rng.uniform(0, 2 * np.pi, CELLS**2)
    middle = CELL * (np.array([column, row]) + 0.5) + rng.uniform(-1, 1, (2, CELLS**2))
    half = 0.5 * distance_px * np.array([np.cos(angle), np.sin(angle)])
    x, y = np.concatenate([middle - half, middle + half], axis=1)
    return x, y, rng.uniform(-350, 350, len(x))


def localized(distance_px: float, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return errors of x, y and z in nm of those that were found of pairs, their bounds, and which were found."""
    localizer = Localizer(CAMERA, SIZE, SIZE, OPTIONS, LENS)
    errors, bounds, there = [], [], []
    for frame in range(frames):
        rng = np.random.default_rng([frame, round(10 * distance_px)])
        x, y, z = pairs(distance_px, rng)
        photons = rng.uniform(1500, 4000, len(x))
        rows = localizer(expose(light(x, y, z, photons, 10.0), CAMERA, rng), frame)
        found = np.column_stack([rows["x_nm"], rows["y_nm"], rows["z_nm"]])
        claimed = np.column_stack([rows["x_uncertainty_nm"], rows["y_uncertainty_nm"], rows["z_uncertainty_nm"]])
        for truth in np.column_stack([100 * x, 100 * y, z]):
            away = np.hypot(*(found[:, :2] - truth[:2]).T)
            k = away.argmin()
            there.append(away[k] < 100)
            if there[-1]:
                errors.append(found[k] - truth)
                bounds.append(claimed[k])
    return np.array(errors), np.array(bounds), np.array(there)


@pytest.mark.parametrize("distance_px", [4.0, 6.0, 8.0])
def test_pairs_are_found_with_their_depths_as_certain_as_is_claimed(distance_px: float) -> None:
    errors, bounds, there = localized(distance_px, frames=8)
    assert there.mean() > 0.9
    assert np.median(np.abs(errors[:, 2])) < 25
    pulls = errors / bounds
    for axis in range(3):
        middle = np.subtract(*np.percentile(pulls[:, axis], [84.1, 15.9])) / 2
        assert middle == pytest.approx(1, abs=0.15)
        assert abs(np.median(pulls[:, axis])) < 0.2


def test_those_that_stand_alone_stay_as_they_were_fitted() -> None:
    """The joint stage takes up a pair, and leaves the rows of the molecules around it as they are, bit by bit."""
    rng = np.random.default_rng(2)
    pixels = [(20, 20), (20, 140), (90, 84), (90, 90), (150, 20), (150, 150)]
    y, x = np.array(pixels, float).T + rng.uniform(-0.4, 0.4, (2, len(pixels)))
    mean = light(x, y, np.linspace(-300, 300, len(pixels)), np.full(len(pixels), 3000.0), 10.0)
    image, eyes, n = expose(mean, CAMERA, rng), sensor(CAMERA, SIZE, SIZE), len(pixels)
    peaks = Peaks(np.array(pixels, np.int32), np.full(n, 100, np.float32), np.full(n, 10, np.float32))
    spots, fits = room_for_spots(n, BOX), room_for_fits(n + room_to_find(n), "sigma_xy")
    compiled_for = box_columns(BOX, "sigma_xy")
    weights = start_weights(BOX, SIGMA_PX, compiled_for[1])
    cut_spots(image, eyes, 65_536.0, peaks, 20.0, SIGMA_PX, weights, compiled_for, spots)
    fit_boxes(spots.light, spots.known, spots.start, SIGMA_PX, 0.25, compiled_for, fits)
    fits.estimate[:n, :2] += spots.corner[:, ::-1]
    before = [values[:n].copy() for values in fits]
    room = room_for_groups(BOX, SIGMA_PX, 2)
    assert resolve_overlaps(image, eyes, 65_536.0, 5.0, SIGMA_PX, peaks, spots, BOX, False, room, fits) == n
    alone = np.array([True, True, False, False, True, True])
    for values, single in zip(fits, before, strict=True):
        np.testing.assert_array_equal(values[:n][alone], single[alone])
    photons = np.abs(np.stack([fits.estimate[:n, PHOTONS], before[0][:, PHOTONS]]) - 3000)[:, ~alone]
    assert (photons[0] < photons[1] - 50).all(), "each had taken light of the other for its own"
