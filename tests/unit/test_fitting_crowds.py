"""Crowds: so many molecules that most show no peak of their own."""

from __future__ import annotations

import numpy as np
import pytest

from fitting_frames import expose, light, molecules
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.crowds import CROWD_SIGMAS, CROWDED_BY, stand_in_crowd
from locstream.fitting.gaussian import X, Y, room_for_fits
from locstream.localizations import Localizations
from scoring import Score, score

CAMERA = CameraCalibration(100.0, 100.0, 0.46, 1.6)
SIDE = 96
PER_UM2 = 3.0


def dense(frame: int, background: float, per_um2: float = PER_UM2) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame and its truth: x, y (px), photons."""
    rng = np.random.default_rng([frame, round(background)])
    n = rng.poisson(per_um2 * (0.1 * (SIDE - 16)) ** 2)
    x, y = rng.uniform(8, SIDE - 8, (2, n))
    photons = 200 + rng.exponential(800, n)
    mean = light(molecules(x, y, photons), SIDE, SIDE, sigma=1.3, background=background)
    return expose(mean, CAMERA, rng), np.column_stack([x, y, photons])


def found(background: float, frames: int = 6, **options: object) -> tuple[Localizations, np.ndarray]:
    localizer = Localizer(CAMERA, SIDE, SIDE, FitOptions.model_validate(options))
    images, truths = zip(*(dense(k, background) for k in range(frames)), strict=True)
    rows = np.concatenate([localizer(image, k) for k, image in enumerate(images)])
    return rows, np.concatenate([np.column_stack([np.full(len(t), k), t]) for k, t in enumerate(truths)])


def has_neighbours(rows: Localizations) -> np.ndarray:
    """Tell which rows have so many others near that they stand in a crowd."""
    x, y, frame = rows["x_nm"], rows["y_nm"], rows["frame"]
    away = np.hypot(x[:, np.newaxis] - x, y[:, np.newaxis] - y)
    near = (away <= CROWD_SIGMAS * 130.0) & (frame[:, np.newaxis] == frame)
    return near.sum(axis=1) > CROWDED_BY  # one is the row itself


def scored(background: float, **options: object) -> Score:
    rows, truth = found(background, **options)
    return score(rows, 100.0, truth[:, :3], 2.0)


@pytest.mark.parametrize(("background", "least"), [(10.0, 0.78), (50.0, 0.74)])
def test_most_of_a_crowd_are_found_and_hardly_any_that_are_not_there(background: float, least: float) -> None:
    """One fit a peak finds half of these: 0.53 and 0.49."""
    result = scored(background)
    assert result.jaccard > least
    assert result.matched / result.found > 0.96


def test_a_width_that_is_known_tells_more_of_them_apart() -> None:
    assert scored(10.0, model="fixed").jaccard > scored(10.0).jaccard + 0.01


@pytest.mark.parametrize("psf_sigma_nm", [115.0, 145.0])
def test_a_width_that_is_a_tenth_off_costs_little(psf_sigma_nm: float) -> None:
    assert scored(10.0, psf_sigma_nm=psf_sigma_nm).jaccard > scored(10.0).jaccard - 0.04


def test_what_would_not_be_found_alone_is_not_found_in_a_crowd() -> None:
    """Five standard deviations of the matched filter are 168 photons here; molecules have 200 at least."""
    rows, _ = found(50.0, model="fixed")
    alone = 2 * np.sqrt(np.pi) * 1.3 * np.sqrt(50 + 1.6**2)
    faint = rows["photons"] < 5 * alone
    assert not faint[has_neighbours(rows)].any(), "the background of each place is its own"
    assert faint.sum() <= 1, "a peak beside the crowds may be fainter by its own fit: one in fifty thousand"
    assert np.mean(rows["photons"] < 1.5 * 5 * alone) > 0.02, "many that could just be found are"


@pytest.mark.parametrize("model", ["sigma", "fixed"])
def test_those_who_stand_apart_from_a_crowd_are_found_however_it_is_fitted(model: str) -> None:
    """In a dense frame a tile's background is full of molecules: some that stand apart show no peak at first."""
    apart = hits = 0
    for frame in range(6):
        image, truth = dense(frame, 50.0)
        places = truth[:, :2]
        away = np.hypot(*(places[:, None] - places).transpose(2, 0, 1)) + 99 * np.eye(len(places))
        chosen = (away.min(axis=1) > 4) & (truth[:, 2] > 350)
        rows = Localizer(CAMERA, SIDE, SIDE, FitOptions.model_validate({"model": model}))(image, frame)
        seen = np.column_stack([rows["x_nm"], rows["y_nm"]]) / 100
        nearest = np.hypot(*(places[chosen][:, None] - seen).transpose(2, 0, 1)).min(axis=1)
        apart, hits = apart + len(nearest), hits + int(np.sum(nearest < 1))
    assert apart > 150
    assert hits >= 0.99 * apart


def test_molecules_that_stand_in_rows_are_counted() -> None:
    """Nothing is missed where the light of four neighbours reaches, and hardly anything is taken for two."""
    rng = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(np.arange(10, 87, 7.0), np.arange(10, 87, 7.0)), -1).reshape(-1, 2)
    x, y = (grid + rng.uniform(-1, 1, grid.shape)).T
    mean = light(molecules(x, y, 1000.0), SIDE, SIDE, sigma=1.3, background=10.0)
    for model in ("sigma", "fixed"):
        rows = Localizer(CAMERA, SIDE, SIDE, FitOptions.model_validate({"model": model}))(expose(mean, CAMERA, rng), 0)
        truth = np.column_stack([np.zeros(len(x)), x, y])
        result = score(rows, 100.0, truth, 1.0)
        assert result.matched == len(grid)
        assert result.found <= 1.04 * len(grid)


def test_the_default_threshold_is_near_the_best() -> None:
    at = {threshold: scored(50.0, threshold=threshold).jaccard for threshold in (4.0, 5.0, 6.0)}
    assert at[5.0] > max(at.values()) - 0.015


def test_most_claim_what_their_error_is() -> None:
    """The middle of the errors is little wider than claimed: what a block takes for known has errors of its own. The
    wings are pairs that were taken for one."""
    rows, truth = found(10.0)
    pulls = []
    for frame in np.unique(rows["frame"]):
        of, there = rows[rows["frame"] == frame], truth[truth[:, 0] == frame]
        away = np.hypot(of["x_nm"][:, None] / 100 - there[:, 1], of["y_nm"][:, None] / 100 - there[:, 2])
        nearest = away.argmin(axis=1)
        good = away.min(axis=1) < 1
        dx = of["x_nm"] / 100 - there[nearest, 1]
        pulls.append((dx / (of["x_uncertainty_nm"] / 100))[good])
    values = np.concatenate(pulls)
    assert 0.9 < 1.4826 * np.median(np.abs(values)) < 1.5
    assert abs(np.median(values)) < 0.15


def test_a_frame_is_the_same_on_its_side() -> None:
    """The order in which blocks are fitted is not that of the sample: it must not decide what is found."""
    image, truth = dense(3, 10.0)
    upright = Localizer(CAMERA, SIDE, SIDE, FitOptions())(image, 0)
    turned = Localizer(CAMERA, SIDE, SIDE, FitOptions())(np.ascontiguousarray(image.T), 0)
    frame = np.zeros(len(upright))
    as_truth = np.column_stack([frame, upright["y_nm"] / 100, upright["x_nm"] / 100])
    assert score(turned, 100.0, as_truth, 1.0).jaccard > 0.9
    assert len(upright) > 0.75 * len(truth)


def test_the_same_frame_gives_the_same_rows() -> None:
    localizer = Localizer(CAMERA, SIDE, SIDE, FitOptions())
    images = [dense(k, 10.0)[0] for k in range(3)]
    first = [localizer(image, 0).tobytes() for image in images]
    assert [localizer(image, 0).tobytes() for image in reversed(images)] == first[::-1]


def test_a_crowd_leaves_those_far_from_it_as_they_were() -> None:
    """The same isolated molecules, once with a crowd in the other corner."""
    rng = np.random.default_rng(8)
    alone = molecules(rng.uniform(10, 86, 4), np.array([80.0, 84.0, 76.0, 88.0]), 2500)
    alone["x"] = [12, 36, 60, 84]
    crowd = molecules(rng.uniform(8, 56, 60), rng.uniform(8, 40, 60), rng.uniform(400, 2000, 60))
    quiet = light(alone, SIDE, SIDE, sigma=1.3, background=10.0)
    crowded = quiet + light(crowd, SIDE, SIDE, sigma=1.3, background=0.0)
    adu = [100 + np.rint(mean / 0.46).astype(np.uint16) for mean in (quiet, crowded)]
    rows = [Localizer(CAMERA, SIDE, SIDE, FitOptions())(image, 0) for image in adu]
    far = [r[r["y_nm"] > 7000] for r in rows]
    assert len(far[0]) == len(far[1]) == 4
    assert len(rows[1]) > 40
    np.testing.assert_allclose(far[1]["x_nm"], far[0]["x_nm"], atol=0.5)
    np.testing.assert_allclose(far[1]["photons"], far[0]["photons"], rtol=0.01)


def test_a_saturated_pixel_takes_its_molecules_and_not_the_crowd() -> None:
    image, truth = dense(1, 10.0)
    row, column = round(truth[0, 1]), round(truth[0, 0])
    image[row, column] = 4095
    camera = CameraCalibration(100.0, 100.0, 0.46, 1.6, saturation_adu=4095)
    rows = Localizer(camera, SIDE, SIDE, FitOptions())(image, 0)
    whole = Localizer(CAMERA, SIDE, SIDE, FitOptions())(dense(1, 10.0)[0], 0)
    assert 0.85 * len(whole) < len(rows) < len(whole) + 5
    assert np.isfinite(rows["x_nm"]).all()


def test_who_stands_in_a_crowd_is_told_as_counting_tells_it() -> None:
    rng = np.random.default_rng(5)
    n = 120
    fits = room_for_fits(2 * n)
    fits.estimate[:n, X], fits.estimate[:n, Y] = rng.uniform(0, 120, (2, n))
    fits.status[:] = 0
    fits.status[7] = 3  # bad data: neither stands in a crowd nor makes one
    places = fits.estimate[:n, :2].astype(float)
    near = np.hypot(*(places[:, None] - places).transpose(2, 0, 1)) <= CROWD_SIGMAS * 1.3
    np.fill_diagonal(near, False)
    near[7, :] = near[:, 7] = False
    core = near.sum(axis=1) >= CROWDED_BY
    expected = core | near[core].any(axis=0)
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(stand_in_crowd(fits, n, 1.3)[:n], expected)
