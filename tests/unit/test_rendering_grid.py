"""The grid covers the camera's field of view, edge to edge, and knows both units."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from locstream.errors import ConfigError
from locstream.rendering.grid import MAX_PIXELS, Grid, Tally, grid


def test_the_first_rendered_pixel_starts_at_the_edge_of_the_first_camera_pixel() -> None:
    g = grid(64, 32, 130.0, 13.0)
    assert (g.left_nm, g.top_nm) == (-65.0, -65.0)
    assert g.shape == (640, 320)
    # the far edges: half a camera pixel beyond the centre of the last one
    assert g.left_nm + g.columns * g.bin_nm == pytest.approx(31.5 * 130)
    assert g.top_nm + g.rows * g.bin_nm == pytest.approx(63.5 * 130)


def test_a_bin_that_does_not_divide_the_field_reaches_less_than_one_bin_beyond() -> None:
    g = grid(10, 7, 100.0, 30.0)
    assert g.shape == (34, 24)
    for bins, size in ((g.rows, 1000), (g.columns, 700)):
        assert 0 <= bins * 30 - size < 30


@pytest.mark.parametrize("pixels", range(1, 40))
def test_rounding_never_adds_a_bin(pixels: int) -> None:
    assert grid(pixels, pixels, 0.1 * 3, 0.3).shape == (pixels, pixels)


def test_a_bin_larger_than_the_field_is_one_pixel() -> None:
    assert grid(1, 3, 100.0, 1000.0).shape == (1, 1)


def test_camera_pixel_centres_fall_where_the_camera_pixel_is_drawn() -> None:
    g = grid(8, 8, 100.0, 20.0)
    column, row = g.to_px(300.0, 500.0)
    # camera pixel (5, 3) is five rendered pixels wide: columns 15 to 19, rows 25 to 29
    assert (column, row) == (17.0, 27.0)
    assert g.to_nm(17, 27) == (300.0, 500.0)


def test_conversions_take_arrays() -> None:
    g = grid(8, 8, 100.0, 20.0)
    x, y = np.array([0.0, 10.0, 700.0]), np.array([3.0, -50.0, 1.0])
    columns, rows = g.to_px(x, y)
    assert columns.tolist() == [g.to_px(a, 0)[0] for a in x]
    back_x, back_y = g.to_nm(columns, rows)
    np.testing.assert_allclose(back_x, x, atol=1e-9)
    np.testing.assert_allclose(back_y, y, atol=1e-9)


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ((0, 8, 100.0, 20.0), "height_px = 0 px"),
        ((8, -1, 100.0, 20.0), "width_px = -1 px"),
        ((8, 8, 0.0, 20.0), "pixel_size_nm = 0.0 nm"),
        ((8, 8, math.nan, 20.0), "pixel_size_nm = nan nm"),
        ((8, 8, 100.0, math.inf), "bin_nm = inf nm"),
    ],
)
def test_a_size_that_is_none_is_refused_by_name(sizes: tuple[int, int, float, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        grid(*sizes)


def test_a_picture_too_large_for_memory_is_refused_with_a_bin_that_fits() -> None:
    with pytest.raises(ConfigError, match="GiB") as refused:
        grid(2048, 2048, 160.0, 1.0)
    advised = float(refused.value.todo.split("bin_nm to ")[1].split(" nm")[0])
    fitting = grid(2048, 2048, 160.0, advised)
    assert fitting.rows * fitting.columns <= MAX_PIXELS
    with pytest.raises(ConfigError):
        grid(2048, 2048, 160.0, advised - 1)


def test_a_grid_cannot_change() -> None:
    g = Grid(2, 3, 20.0, -50.0, -50.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        g.rows = 4  # type: ignore[misc]  # the point of the test


def test_tallies_add_up() -> None:
    assert Tally(1, 2, 3) + Tally(10, 20, 30) == Tally(11, 22, 33)
    assert Tally() + Tally(1, 2, 3) == Tally(1, 2, 3)
