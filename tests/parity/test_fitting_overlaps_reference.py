"""A joint fit of molecules that overlap finds what a plain double precision fit of the same pixels finds."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, molecules
from fitting_reference import derivatives, gaussians, maximize
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.gaussian import SpotFits, box_columns, fit_boxes, room_for_fits
from locstream.fitting.groups import GroupRoom, room_for_groups
from locstream.fitting.joint import GROUP_PRIOR
from locstream.fitting.matched_filter import Peaks
from locstream.fitting.overlaps import resolve_overlaps, room_to_find
from locstream.fitting.scoring import WIDTHS_VARY
from locstream.fitting.sensor import sensor
from locstream.fitting.spots import cut_spots, room_for_spots
from locstream.fitting.starts import start_weights

CAMERA = CameraCalibration(100.0, 100.0, 0.5, 1.0)
SIGMA_PX, BACKGROUND = 1.3, 10.0
SHAPE = 40, 48
BOX = 7


def fitted(image: np.ndarray, pixels: list[tuple[int, int]], room: GroupRoom | None = None) -> tuple[SpotFits, int]:
    """Fit the molecules at these peaks, first one by one, then jointly."""
    eyes = sensor(CAMERA, *SHAPE)
    n = len(pixels)
    peaks = Peaks(np.array(pixels, np.int32), np.full(n, 100, np.float32), np.full(n, BACKGROUND, np.float32))
    spots, fits = room_for_spots(n, BOX), room_for_fits(n + room_to_find(n))
    compiled_for = box_columns(BOX)
    weights = start_weights(BOX, SIGMA_PX, compiled_for[1])
    cut_spots(image, eyes, 65_536.0, peaks, 20.0, SIGMA_PX, weights, compiled_for, spots)
    fit_boxes(spots.light, spots.known, spots.start, SIGMA_PX, 0.0, compiled_for, fits)
    fits.estimate[:n, :2] += spots.corner[:, ::-1]
    room = room or room_for_groups(BOX, SIGMA_PX)
    return fits, resolve_overlaps(image, eyes, 65_536.0, 5.0, SIGMA_PX, peaks, spots, BOX, False, room, fits)


@pytest.mark.parametrize(
    "places",
    [
        [(15, 20), (15, 22)],
        [(15, 20), (17, 23)],
        [(15, 20), (19, 24)],
        [(12, 20), (15, 23), (18, 20)],
        [(12, 20), (12, 24), (16, 20), (16, 24), (20, 22)],
        [(15, 8), (15, 13), (15, 18), (15, 23), (15, 28)],
        [(10, 20), (16, 20), (22, 20), (28, 20)],
        [(3, 44), (1, 40)],
    ],
    ids=["2 px apart", "3.6 px", "5.7 px", "three", "five", "a row", "a column", "at the edge"],
)
def test_molecules_that_overlap(places: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(len(places) + sum(map(sum, places)))
    y, x = np.array(places, float).T + rng.uniform(-0.3, 0.3, (2, len(places)))
    photons = rng.uniform(1500, 4000, len(places))
    image = expose(light(molecules(x, y, photons), *SHAPE, sigma=SIGMA_PX, background=BACKGROUND), CAMERA, rng)
    fits, n = fitted(image, sorted(places))
    assert n == len(places), "none was missing, none may be found"
    assert (fits.status[:n] == 0).all()

    members = np.argsort([y * SHAPE[1] + x for y, x in places])
    mask = np.zeros(SHAPE, bool)
    for row, column in places:
        top, left = min(max(row - 3, 0), SHAPE[0] - BOX), min(max(column - 3, 0), SHAPE[1] - BOX)
        mask[top : top + BOX, left : left + BOX] = True
    start = np.column_stack([x, y, photons, np.full(n, SIGMA_PX)])[members].ravel()
    start = np.append(start, BACKGROUND)
    precision = np.zeros_like(start)
    precision[3:-1:4] = 1 / (GROUP_PRIOR * SIGMA_PX) ** 2
    model = gaussians(n, 0, 0, *SHAPE)
    known = np.full(mask.sum(), 1.0 + 0.5**2 / 12)  # read noise, and rounding to whole ADU
    expected = maximize(
        lambda theta: model(theta)[mask],
        start,
        CAMERA.photoelectrons(image).astype(float)[mask],
        known,
        prior=(start.copy(), precision),
    )
    slope, mean = derivatives(lambda theta: model(theta)[mask], expected.theta), model(expected.theta)[mask] + known
    covariance = np.linalg.inv((slope / mean) @ slope.T + np.diag(precision))
    scatter = covariance - (covariance * precision) @ covariance
    drawn = covariance * precision * WIDTHS_VARY * SIGMA_PX  # by widths that vary
    claimed = np.sqrt(np.diag(scatter) + np.sum(drawn**2, axis=1))
    expected.uncertainty[2::4] = claimed[2::4]
    theta, uncertainty = expected.theta[:-1].reshape(n, 4), expected.uncertainty[:-1].reshape(n, 4)
    slack = 0.05 * uncertainty + np.array([2e-3, 2e-3, 5, 2e-3])
    np.testing.assert_array_less(np.abs(fits.estimate[:n, :4] - theta), slack)
    np.testing.assert_allclose(fits.uncertainty[:n, :4], uncertainty, rtol=0.02)
    np.testing.assert_allclose(fits.estimate[:n, 4], expected.theta[-1], rtol=2e-3)
    np.testing.assert_allclose(fits.uncertainty[:n, 4], claimed[-1], rtol=0.02)
    assert fits.chi2[0] == pytest.approx(expected.chi2 / (mask.sum() - len(start)), rel=0.01)


def test_a_group_leaves_nothing_behind_for_the_next() -> None:
    """All groups of a detector work in the same room, where a large one leaves more than a small one overwrites."""
    rng = np.random.default_rng(3)
    small, large = [(15, 20), (17, 23)], [(12, 8), (12, 13), (15, 18), (12, 23), (16, 12), (19, 16)]
    images = []
    for places in (small, large):
        y, x = np.array(places, float).T + rng.uniform(-0.3, 0.3, (2, len(places)))
        mean = light(molecules(x, y, 2500), *SHAPE, sigma=SIGMA_PX, background=BACKGROUND)
        images.append(expose(mean, CAMERA, rng))
    room = room_for_groups(BOX, SIGMA_PX)
    alone, _ = fitted(images[0], small)
    fitted(images[1], sorted(large), room)
    after, n = fitted(images[0], small, room)
    np.testing.assert_array_equal(after.estimate[:n], alone.estimate[:n])
    np.testing.assert_array_equal(after.uncertainty[:n], alone.uncertainty[:n])
