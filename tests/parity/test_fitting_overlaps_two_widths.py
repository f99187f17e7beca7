"""A joint fit with a width of each axis finds what a plain double precision fit of the same pixels finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fitting_frames import expose
from fitting_reference import derivatives, gaussians, maximize
from locstream.calibration.camera import CameraCalibration
from locstream.fitting import FitStatus
from locstream.fitting.gaussian import BACKGROUND, SIGMA_Y, TWO_WIDTHS, SpotFits, room_for_fits
from locstream.fitting.groups import collect, room_for_groups
from locstream.fitting.joint import Prior, fit_group, write_members
from locstream.fitting.sensor import sensor

CAMERA = CameraCalibration(100.0, 100.0, 0.5, 1.0)
SHAPE = 44, 46
BOX, FOCUS_PX, SPREAD = 11, 1.45, 0.5
NOISE = 1.0 + 0.5**2 / 12  # read noise, and rounding to whole ADU
COLUMNS = [0, 1, 2, 3, SIGMA_Y]


def fitted(image: np.ndarray, theta: np.ndarray, background: float) -> tuple[SpotFits, np.ndarray]:
    """Fit members from where they are, jointly; returns the fits and which pixels were looked at."""
    n = len(theta)
    corner = np.clip(np.rint(theta[:, 1::-1]) - BOX // 2, 0, np.array(SHAPE) - BOX).astype(np.int32)
    member, room, fits = np.arange(n, dtype=np.int32), room_for_groups(BOX, FOCUS_PX, 2), room_for_fits(n, "sigma_xy")
    group = collect(image, sensor(CAMERA, *SHAPE), 65_536.0, corner, BOX, member, n, room)
    theta = theta - np.array([group.left, group.top, 0, 0, 0])
    start = theta[:, :2].copy()
    prior = Prior(FOCUS_PX, SPREAD, 0.5 * BOX, 0.0, 0.0)
    ended = fit_group(theta, start, n, background, prior, 1e-4, group, room)
    write_members(member, n, theta, start, ended, prior, group, True, room, fits)
    inside = np.zeros(SHAPE, bool)
    for top, left in corner:
        inside[top : top + BOX, left : left + BOX] = True
    return fits, inside


@st.composite
def groups(draw: st.DrawFn) -> np.ndarray:
    """Draw two to four members, each 3 to 7 px from the one before: x, y, photons and two widths of each."""
    members, x, y = [], 22.0, 20.0
    for _ in range(draw(st.integers(2, 4))):
        light = draw(st.floats(2000, 8000)), draw(st.floats(1.2, 2.3)), draw(st.floats(1.2, 2.3))
        members.append((x, y, *light))
        away, angle = draw(st.floats(3.5, 7)), draw(st.floats(0, 2 * math.pi))
        x, y = x + away * math.cos(angle), y + away * math.sin(angle)
    return np.array(members)


@settings(max_examples=25, deadline=None)
@given(truth=groups(), background=st.floats(5, 40), seed=st.integers(0, 2**32 - 1))
def test_a_group_behind_an_astigmatic_lens(truth: np.ndarray, background: float, seed: int) -> None:
    assume(((truth[:, :2] > 3) & (truth[:, :2] < 40)).all())
    apart = np.hypot(*(truth[:, None, :2] - truth[None, :, :2]).transpose(2, 0, 1))[np.triu_indices(len(truth), 1)]
    assume(apart.min() > 3)
    rng = np.random.default_rng(seed)
    n, whole = len(truth), gaussians(len(truth), 0, 0, *SHAPE, widths=2)
    start = np.append(truth.ravel(), background)
    image = expose(whole(start), CAMERA, rng)
    near = truth + rng.uniform(-0.3, 0.3, truth.shape) * np.array([1, 1, 1000, 0.5, 0.5])
    fits, inside = fitted(image, near, background)

    centre, precision = start.copy(), np.zeros_like(start)
    for column in (3, 4):
        centre[column:-1:5], precision[column:-1:5] = FOCUS_PX, 1 / (SPREAD * FOCUS_PX) ** 2
    expected = maximize(
        lambda theta: whole(theta)[inside],
        start,
        CAMERA.photoelectrons(image).astype(float)[inside],
        np.full(inside.sum(), NOISE),
        prior=(centre, precision),
    )
    assume(expected.theta[-1] > 2 * expected.uncertainty[-1])
    theta, uncertainty = expected.theta[:-1].reshape(n, 5), expected.uncertainty[:-1].reshape(n, 5)
    assert (fits.status == FitStatus.CONVERGED).all()
    slack = 0.05 * uncertainty + np.array([2e-3, 2e-3, 5, 2e-3, 2e-3])
    np.testing.assert_array_less(np.abs(fits.estimate[:, COLUMNS] - theta), slack)
    np.testing.assert_allclose(fits.uncertainty[:, COLUMNS], uncertainty, rtol=0.02)
    np.testing.assert_allclose(fits.estimate[:, BACKGROUND], expected.theta[-1], rtol=5e-3)
    np.testing.assert_allclose(fits.uncertainty[:, BACKGROUND], expected.uncertainty[-1], rtol=0.02)
    assert fits.chi2[0] == pytest.approx(expected.chi2 / (inside.sum() - len(start)), rel=0.01)

    slope = derivatives(lambda theta: whole(theta)[inside], expected.theta)
    mean = whole(expected.theta)[inside] + NOISE
    covariance = np.linalg.inv((slope / mean) @ slope.T + np.diag(precision))
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    of_widths = np.array([correlation[5 * k + 3, 5 * k + 4] for k in range(n)])
    np.testing.assert_allclose(fits.uncertainty[:, TWO_WIDTHS], of_widths, atol=0.02)
