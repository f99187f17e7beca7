"""Contrast and colour do what a microscopist expects of them."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from locstream.rendering.colour import Rgb, colourise, full_scale, lookup_table
from locstream.rendering.options import Colormap

COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)


def luminance(rgb: Rgb) -> np.ndarray:
    """Relative luminance (ITU-R BT.709) of sRGB colours."""
    linear = np.where(rgb <= 10, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_more_is_always_lighter(colormap: Colormap) -> None:
    """So that it can be read without seeing its hues; whole numbers of 255 leave flat steps, never steps back."""
    light = luminance(lookup_table(colormap))
    assert np.all(np.diff(light) > -1e-3)
    assert np.all(light[16:] > light[:-16])


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_none_is_the_darkest(colormap: Colormap) -> None:
    darkest = lookup_table(colormap)[0]
    assert luminance(darkest) < 0.02
    if colormap != "viridis":
        assert darkest.max() <= 4


def test_the_published_maps_are_followed() -> None:
    """Entries 0, 128 and 255 of the public-domain tables, in 255ths."""
    for colormap, entries in {
        "magma": ((0.001462, 0.000466, 0.013866), (0.716387, 0.214982, 0.475290), (0.987053, 0.991438, 0.749504)),
        "viridis": ((0.267004, 0.004874, 0.329415), (0.127568, 0.566949, 0.550556), (0.993248, 0.906157, 0.143936)),
    }.items():
        drawn = lookup_table(colormap)[[0, 128, 255]].astype(float)
        np.testing.assert_allclose(drawn, np.array(entries) * 255, atol=3)


def test_hot_goes_over_red_and_yellow_to_white() -> None:
    hot = lookup_table("hot").astype(int)
    red, yellow = hot[95], hot[191]
    assert red[0] > 250
    assert red[1:].tolist() == [0, 0]
    assert yellow[:2].min() > 250
    assert yellow[2] == 0
    assert hot[255].tolist() == [255, 255, 255]


def test_a_table_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        lookup_table("hot")[0] = 1


def test_empty_pixels_do_not_count_for_the_contrast() -> None:
    image = np.zeros((100, 100), np.float32)
    image[:10, :10] = np.arange(1, 101).reshape(10, 10)
    assert full_scale(image, 99.5) == pytest.approx(np.percentile(np.arange(1, 101), 99.5))
    assert full_scale(image, 100) == 100


def test_one_hot_spot_does_not_darken_the_picture() -> None:
    image = np.ones((50, 50), np.float32)
    image[3, 4] = 1e6
    assert full_scale(image, 99.5) == 1


def test_an_empty_picture_has_a_scale_and_is_dark() -> None:
    image = np.zeros((4, 5), np.float32)
    assert full_scale(image, 99.5) == 1
    assert not colourise(image, 1.0, colormap="hot").any()


def test_values_take_their_share_of_the_map_and_the_top_is_cut() -> None:
    image = np.array([[0, 1, 2, 4, 100]], np.float32)
    gray = colourise(image, 4.0, colormap="gray")
    assert gray.shape == (1, 5, 3)
    assert gray.dtype == np.uint8
    assert gray[0, :, 0].tolist() == [0, 64, 128, 255, 255]


def test_gamma_below_one_lifts_what_is_faint_and_moves_neither_end() -> None:
    image = np.linspace(0, 1, 11, dtype=np.float32)[None]
    flat = colourise(image, 1.0, colormap="gray")[0, :, 0].astype(int)
    lifted = colourise(image, 1.0, colormap="gray", gamma=0.5)[0, :, 0].astype(int)
    assert lifted[[0, -1]].tolist() == flat[[0, -1]].tolist() == [0, 255]
    assert np.all(lifted[1:-1] > flat[1:-1])
    np.testing.assert_allclose(lifted, np.sqrt(image[0]) * 255, atol=0.51)


def test_the_image_itself_is_not_changed() -> None:
    image = np.full((3, 3), 5, np.float32)
    colourise(image, 1.0, colormap="magma", gamma=2)
    assert np.all(image == 5)
