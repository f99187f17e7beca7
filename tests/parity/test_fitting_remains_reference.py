"""What remains of a frame, and where more molecules show in it, against plain sums over the same pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import correlate

from fitting_frames import expose, light, molecules
from locstream.calibration.camera import CameraCalibration
from locstream.fitting.gaussian import PHOTONS, SIGMA, X, Y, room_for_fits
from locstream.fitting.groups import GroupRoom, collect, room_for_groups
from locstream.fitting.joint import Prior, fit_group
from locstream.fitting.newcomers import search, search_pair, split
from locstream.fitting.remains import (
    TILE_PX,
    Remains,
    cover,
    find_background,
    height_of_peak,
    noise_alone,
    remains_of,
    score_every_pixel,
    shine,
)
from locstream.fitting.sensor import sensor

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)
SHAPE = 50, 60
TOP, BOTTOM, LEFT, RIGHT = 6, 46, 4, 57
BOX = 7


def frame() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    table = molecules([20.3, 33.8, 50.1], [15.6, 30.2, 40.9], [3000, 1500, 800])
    return expose(light(table, *SHAPE, sigma=1.3, background=12.0), CAMERA, rng), table


def rest_of(image: np.ndarray, saturation_adu: float = 65_536.0) -> Remains:
    return remains_of(image, sensor(CAMERA, *SHAPE), saturation_adu, TOP, BOTTOM, LEFT, RIGHT)


def add(table: np.ndarray, part: float, remains: Remains, room: GroupRoom) -> None:
    fits = room_for_fits(len(table))
    for k, name in ((X, "x"), (Y, "y"), (PHOTONS, "photons")):
        fits.estimate[:, k] = table[name]
    fits.estimate[:, SIGMA] = 1.3
    members = np.arange(len(table), dtype=np.int32)
    shine(part, members, len(table), fits.estimate, remains, room)


def test_the_light_of_molecules_is_their_image_and_can_be_taken_away() -> None:
    image, table = frame()
    remains, room = rest_of(image), room_for_groups(BOX, 1.3)
    add(table, 1.0, remains, room)
    expected = light(table, *SHAPE, sigma=1.3, background=0.0)[TOP:BOTTOM, LEFT:RIGHT]
    np.testing.assert_allclose(remains.light, expected, atol=1e-3 * 3000 * 0.1)
    assert remains.light.sum() == pytest.approx(expected.sum(), rel=1e-3)
    add(table, -1.0, remains, room)
    np.testing.assert_allclose(remains.light, 0, atol=1e-3)


def test_the_background_is_the_mean_of_what_remains_around() -> None:
    image, table = frame()
    image[30, 30] = 5000
    remains, room = rest_of(image, 4095.0), room_for_groups(BOX, 1.3)
    add(table, 1.0, remains, room)
    find_background(remains)
    rest = CAMERA.photoelectrons(image)[TOP:BOTTOM, LEFT:RIGHT] - remains.light
    rest[30 - TOP, 30 - LEFT] = np.nan
    for j in range(remains.background.shape[0]):
        for i in range(remains.background.shape[1]):
            around = rest[max(j - 1, 0) * TILE_PX : (j + 2) * TILE_PX, max(i - 1, 0) * TILE_PX : (i + 2) * TILE_PX]
            assert remains.background[j, i] == pytest.approx(np.nanmean(around), rel=1e-3)
    assert remains.background.mean() == pytest.approx(12, abs=0.5)


def test_the_score_of_one_more_molecule_at_every_pixel() -> None:
    image, table = frame()
    image[20, 40] = 5000
    remains, room = rest_of(image, 4095.0), room_for_groups(BOX, 1.3)
    add(table[:2], 1.0, remains, room)
    find_background(remains)
    level = np.repeat(np.repeat(remains.background, TILE_PX, 0), TILE_PX, 1)[: BOTTOM - TOP, : RIGHT - LEFT]
    mean = remains.light + level
    usable = ~np.isnan(remains.excess)
    weight = np.where(usable, 1 / (mean + remains.variance), 0)
    profile = np.exp(-0.5 * (np.arange(-2, 3) / 1.3) ** 2)
    kernel = np.outer(profile, profile)
    score = correlate(np.where(usable, weight * (np.nan_to_num(remains.excess) - mean), 0), kernel)
    information = correlate(weight, kernel**2)
    score_every_pixel(remains, room.profile)
    inner = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(remains.score[inner], score[inner], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(remains.information[inner], information[inner], rtol=2e-3)
    assert not usable.all()

    peak = round(table["y"][2]) - TOP, round(table["x"][2]) - LEFT
    heights = np.array(
        [[height_of_peak(remains, j, i, 25.0) for i in range(3, 50)] for j in range(3, BOTTOM - TOP - 3)]
    )
    assert [(j + 3, i + 3) for j, i in np.argwhere(heights > 0)] == [peak], "the one whose light was left"
    assert heights.max() * 2 * math.pi * 1.3**2 == pytest.approx(800, rel=0.35)
    remains.covered[peak] = True
    assert height_of_peak(remains, *peak, 25.0) == 0


def test_boxes_cover_what_is_in_them() -> None:
    remains = rest_of(frame()[0])
    places = [(5.2, 7.6), (30.4, 20.0), (33.6, 22.4), (58.0, 45.0)]
    for x, y in places:
        cover(remains, x, y, BOX)
    rows, columns = np.mgrid[TOP:BOTTOM, LEFT:RIGHT]
    far = np.min([np.maximum(abs(rows - round(y)), abs(columns - round(x))) for x, y in places], axis=0)
    np.testing.assert_array_equal(remains.covered, far <= BOX // 2)


def test_the_noise_of_the_matched_filter_is_what_it_scatters_by() -> None:
    """Photons of a molecule that is not there, at one place of many frames without any."""
    rng, remains = np.random.default_rng(3), rest_of(np.full(SHAPE, 130, np.uint16))
    find_background(remains)
    background, variance = float(remains.background[0, 0]), 1.6**2
    rows, columns = np.mgrid[-8:9, -8:9]
    image = np.exp(-0.5 * (rows**2 + columns**2) / 1.3**2) / (2 * np.pi * 1.3**2)
    noise = rng.poisson(background, (20_000, *image.shape)) + rng.normal(0, 1.6, (20_000, *image.shape))
    photons = ((noise - background) * image).sum(axis=(1, 2)) / (image**2).sum()
    assert noise_alone(remains, 20.0, 20.0, 1.3) == pytest.approx(photons.std(), rel=0.03)
    assert photons.std() == pytest.approx(math.sqrt((background + variance) / (image**2).sum()), rel=0.03)


@pytest.mark.parametrize("degrees", [0, 35, 90, 160])
def test_a_member_that_is_two_shows_in_which_direction(degrees: float) -> None:
    """Fitted as one, a pair 2 px apart leaves light along its line; split along it, the fit finds both."""
    away = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    first, second = np.array([30.2, 25.1]) - away, np.array([30.2, 25.1]) + away
    table = molecules([first[0], second[0]], [first[1], second[1]], 4000)
    mean = light(table, *SHAPE, sigma=1.3, background=10.0)
    image = (100 + np.rint(mean / 0.46)).astype(np.uint16)
    room, prior = room_for_groups(BOX, 1.3), Prior(1.3, 0.1, 3.5, 0.0, 0.0)
    corner, member = np.array([[22, 27]], np.int32), np.zeros(1, np.int32)
    group = collect(image, sensor(CAMERA, *SHAPE), 65_536.0, corner, BOX, member, 1, room)
    theta, start = np.zeros((3, 4)), np.zeros((3, 2))
    theta[0] = 3.2, 3.1, 8000, 1.3
    start[0] = theta[0, :2]
    alone = fit_group(theta, start, 1, 10.0, prior, 2e-3, group, room)
    strength, which, direction = search_pair(theta, 1, np.zeros(3, np.bool_), group, room)
    assert which == 0
    assert strength > 5
    turned = abs((math.degrees(direction) - degrees + 90) % 180 - 90)
    assert turned < 5
    assert search_pair(theta, 1, np.ones(3, np.bool_), group, room)[1] == -1, "one that was refused is not asked again"
    split(theta, start, 1, 0, direction, 1.3)
    both = fit_group(theta, start, 2, alone.background, prior, 2e-3, group, room)
    assert both.converged
    assert alone.chi2 - both.chi2 > 100
    found = np.array(sorted(theta[:2, :2].tolist())) + np.array([group.left, group.top])
    np.testing.assert_allclose(found, sorted([first.tolist(), second.tolist()]), atol=0.05)
    assert search(theta, 2, group, room)[0] < 2, "nothing is left"
