"""Depth from the widths is as good as the Cramér–Rao bound of a fit of z itself, and knows how good it is."""

from __future__ import annotations

import numpy as np
import pytest

from bead_stacks import depth_bound_nm, depth_means, lens
from fitting_frames import expose
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitOptions, fit_spots
from locstream.fitting.depth import depth, depth_curves
from locstream.fitting.fit import fit
from locstream.fitting.gaussian import SIGMA, SIGMA_Y
from locstream.localizations import LOCALIZATION_3D

CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5)
BOX, SIDE = 11, 21


def frames(z_nm: float, photons: float, background: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames with one molecule each, and the parameters of the molecules."""
    rng = np.random.default_rng(seed)
    xy = SIDE // 2 + rng.uniform(-0.5, 0.5, (n, 2))
    theta = np.column_stack([xy, np.tile([photons, background, z_nm], (n, 1))])
    return expose(depth_means(theta, SIDE, lens()), CAMERA, rng), theta


CASES = [
    (z, photons, background) for z in (-400.0, -200.0, 0.0, 200.0, 400.0) for photons, background in [(2000.0, 10.0)]
]
MORE = [
    (z, photons, background)
    for z in (-400.0, 0.0, 250.0, 400.0)
    for photons, background in [(1000.0, 10.0), (5000.0, 50.0)]
]


@pytest.mark.parametrize(
    ("z_nm", "photons", "background"), [*CASES, *(pytest.param(*case, marks=pytest.mark.full) for case in MORE)]
)
def test_rmse_over_bound_of_a_simulated_stack(z_nm: float, photons: float, background: float) -> None:
    stack, theta = frames(z_nm, photons, background, 1500, seed=int(z_nm) + 1000)
    rows = fit(stack, CAMERA, FitOptions(box_px=BOX, model="sigma_xy"), astigmatism=lens(), threads=1)
    assert rows.dtype == LOCALIZATION_3D
    near = np.hypot(rows["x_nm"] / 100 - SIDE // 2, rows["y_nm"] / 100 - SIDE // 2) < 1.5
    rows = rows[near]
    assert len(rows) >= 0.99 * len(stack)
    error = rows["z_nm"] - z_nm
    bound = depth_bound_nm(theta[:200], BOX, lens()).mean()
    assert np.sqrt(np.mean(error**2)) <= 1.1 * bound
    assert (error / rows["z_uncertainty_nm"]).std() == pytest.approx(1, abs=0.1)
    assert abs(error.mean()) < 0.15 * bound


def test_depth_without_noise_comes_back_over_the_whole_range() -> None:
    through = lens()
    for z in np.linspace(-590, 590, 60):
        sigma = [float(width(z)) * 100 for width in (through.sigma_x_px, through.sigma_y_px)]
        found, bound = depth(*sigma, 2.0, 3.0, 0.2, depth_curves(through, 100.0))
        assert found == pytest.approx(z, abs=0.1)
        assert 0 < bound < 50


def test_the_likeliest_depth_is_that_of_a_plain_search() -> None:
    """For widths that no depth has, and bounds that are unlike and correlated."""
    rng = np.random.default_rng(0)
    through = lens()
    along = depth_curves(through, 100.0)
    z = np.arange(-600, 600, 0.05)
    curve_x, curve_y = through.sigma_x_px(z) * 100, through.sigma_y_px(z) * 100
    for _ in range(50):
        k = rng.integers(2000, len(z) - 2000)
        bound_x, bound_y, r = rng.uniform(2, 8), rng.uniform(2, 8), rng.uniform(-0.3, 0.6)
        sigma_x, sigma_y = curve_x[k] + rng.normal(0, bound_x), curve_y[k] + rng.normal(0, bound_y)
        u, v = (sigma_x - curve_x) / bound_x, (sigma_y - curve_y) / bound_y
        expected = z[np.argmin(u * u - 2 * r * u * v + v * v)]
        found, bound = depth(sigma_x, sigma_y, bound_x, bound_y, r, along)
        assert found == pytest.approx(expected, abs=0.02 * bound + 0.2)


def test_the_bound_of_depth_is_that_of_the_widths_propagated() -> None:
    through = lens()
    z, h = 130.0, 0.5
    slope = np.array(
        [100 * float(width(z + h) - width(z - h)) / (2 * h) for width in (through.sigma_x_px, through.sigma_y_px)]
    )
    covariance = np.array([[9.0, 0.3 * 3 * 5], [0.3 * 3 * 5, 25.0]])
    expected = 1 / np.sqrt(slope @ np.linalg.inv(covariance) @ slope)
    sigma = [float(width(z)) * 100 for width in (through.sigma_x_px, through.sigma_y_px)]
    assert depth(*sigma, 3.0, 5.0, 0.3, depth_curves(through, 100.0))[1] == pytest.approx(expected, rel=1e-3)


def test_the_sign_follows_the_larger_width() -> None:
    """The lens of these tests has its focus for x below, that for y above: an image that is wide in x lies above."""
    theta = np.array([[5.0, 5.0, 20_000, 5, 300.0], [5.0, 5.0, 20_000, 5, -300.0]])
    fits = fit_spots(depth_means(theta, BOX, lens()).astype(np.float32), 1.5, model="sigma_xy")
    assert fits.estimate[0, SIGMA] > fits.estimate[0, SIGMA_Y]
    assert fits.estimate[1, SIGMA] < fits.estimate[1, SIGMA_Y]
