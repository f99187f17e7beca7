"""The picture of a measured camera: its maps where they belong, in their colours, at any shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from locstream.calibrating.measured_camera import LightLevel, MeasuredCamera
from locstream.calibrating.picture import HISTOGRAM_PX, LINE_PX, MARGIN_PX, PANEL_PX, camera_picture
from locstream.rendering.colour import lookup_table

FIRST, LAST = (lookup_table("viridis")[n] for n in (0, 255))
TOP, LEFT = MARGIN_PX + 2 * LINE_PX, MARGIN_PX


def camera(shape: tuple[int, int], seed: int = 1) -> MeasuredCamera:
    rng = np.random.default_rng(seed)
    return MeasuredCamera(
        offset_adu=100 + rng.standard_normal(shape),
        read_noise_e=1.5 * np.exp(0.2 * rng.standard_normal(shape)),
        gain_e_per_adu=0.46 * (1 + 0.02 * rng.standard_normal(shape)),
        gain_uncertainty_e_per_adu=np.full(shape, 0.01),
        dead=np.zeros(shape, bool),
        unlit=0,
        em_gain=1.0,
        dark_frames=1000,
        offset_drift_adu=0.0,
        levels=(LightLevel(100, 100, 2.2, 0),),
        scalar_gain_e_per_adu=0.46,
        gain_spread=0.02,
        gain_chance=0.01,
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (96, 96), (384, 200), (385, 385), (700, 1300)])
def test_every_shape_of_sensor_fits(shape: tuple[int, int]) -> None:
    rgb = camera_picture(camera(shape), "Camera α, 12 × 3 px, a title too long for its place " * 3)
    assert rgb.dtype == np.uint8
    assert rgb.shape[2] == 3
    assert rgb.shape[1] == MARGIN_PX + 3 * (PANEL_PX + MARGIN_PX)
    assert rgb.shape[0] <= TOP + PANEL_PX + HISTOGRAM_PX + LINE_PX + 3 * MARGIN_PX


def test_rows_go_down_and_columns_to_the_right() -> None:
    """One corner of each map is marked: offset top left, read noise top right, gain bottom left."""
    found = camera((96, 96))
    offset, noise, gain = (np.ones((96, 96)) for _ in range(3))
    offset[:20, :20], noise[:20, -20:], gain[-20:, :20] = 2, 2, 2
    marked = replace(found, offset_adu=offset, read_noise_e=noise, gain_e_per_adu=gain)
    rgb = camera_picture(marked, "")
    corners = {"top left": (5, 5), "top right": (5, 378), "bottom left": (378, 5), "bottom right": (378, 378)}
    for n, where in enumerate(("top left", "top right", "bottom left")):
        panel = rgb[TOP:, LEFT + n * (PANEL_PX + MARGIN_PX) :]
        for name, (row, column) in corners.items():
            expected = LAST if name == where else FIRST
            np.testing.assert_array_equal(panel[row, column], expected, err_msg=f"panel {n}, {name}")


def test_a_large_map_is_averaged_not_sampled() -> None:
    """Single bright pixels, one in each square that becomes one pixel, are neither lost nor blown up."""
    found = camera((768, 768))
    offset = np.zeros((768, 768))
    offset[1::2, 1::2] = 4
    offset[:, :8], offset[:, -8:] = 0, 4
    rgb = camera_picture(replace(found, offset_adu=offset), "")
    middle = rgb[TOP + 10 : TOP + 300, LEFT + 20 : LEFT + 300].reshape(-1, 3)
    np.testing.assert_array_equal(np.unique(middle, axis=0), lookup_table("viridis")[[round(255 / 4)]])


def test_dead_pixels_do_not_squeeze_the_histogram() -> None:
    found = camera((96, 96))
    noise, dead = found.read_noise_e.copy(), found.dead.copy()
    noise[4, 4], dead[4, 4] = 1e4, True
    with_dead = camera_picture(replace(found, read_noise_e=noise, dead=dead), "")
    without = camera_picture(found, "")
    histogram = np.s_[
        TOP + PANEL_PX + MARGIN_PX : TOP + PANEL_PX + MARGIN_PX + HISTOGRAM_PX, LEFT + PANEL_PX + MARGIN_PX :
    ]
    lit = (with_dead[histogram].max(axis=2) > 40).mean(), (without[histogram].max(axis=2) > 40).mean()
    assert lit[0] == pytest.approx(lit[1], rel=0.05)


def test_maps_without_any_spread_are_shown() -> None:
    flat = np.full((10, 12), 100.0)
    rgb = camera_picture(replace(camera((10, 12)), offset_adu=flat, gain_e_per_adu=flat, read_noise_e=0 * flat), "flat")
    assert len(np.unique(rgb[TOP + 5 : TOP + 100, LEFT + 5 : LEFT + 100].reshape(-1, 3), axis=0)) == 1
