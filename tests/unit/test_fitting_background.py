"""The tiles of the background: where they lie, and what is between them."""

from __future__ import annotations

import numpy as np
import pytest

from locstream.fitting.background import (
    FOUR,
    FOURS,
    MARGIN,
    RING_ROWS,
    TILE_PX,
    background_at,
    tile_edges,
    tile_medians,
    tiles_along,
    ways_between_tiles,
)
from locstream.fitting.buffers import CACHE_LINE, aligned
from locstream.fitting.smoothing import REACH_PX, SMOOTH_ROWS

LENGTHS = [1, 2, 3, 5, 15, 16, 31, 32, 33, 47, 48, 63, 64, 79, 100, 331, 512, 1000, 2048]


@pytest.mark.parametrize("length", LENGTHS)
def test_tiles_cover_an_axis_once_and_none_is_small(length: int) -> None:
    edges = tile_edges(length)
    assert edges[0] == 0
    assert edges[-1] == length
    assert len(edges) == tiles_along(length) + 1
    assert np.diff(edges).min() >= min(length, TILE_PX)
    assert np.diff(edges).max() < 2 * TILE_PX


@pytest.mark.parametrize("length", LENGTHS)
def test_the_way_from_tile_to_tile_goes_from_middle_to_middle(length: int) -> None:
    starts, part = ways_between_tiles(length)
    tiles = tiles_along(length)
    assert len(starts) == max(tiles - 1, 1) + 1
    assert starts[0] == 0
    assert starts[-1] == length
    assert (np.diff(starts) > 0).all()
    assert part.shape == (length,)
    way = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    expected = np.clip((np.arange(length) + 0.5) * tiles / length - 0.5, 0, max(tiles - 1, 1)) - way
    np.testing.assert_allclose(part, expected, atol=2e-5 * tiles)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_ring_holds_all_rows_that_are_needed_together(length: int) -> None:
    """From those above the first row of a way that the filter reaches, to the tiles that are converted meanwhile."""
    edges, (starts, _) = tile_edges(length), ways_between_tiles(length)
    for way in range(len(starts) - 1):
        first, end = max(starts[way] - REACH_PX, 0), edges[min(way + 3, len(edges) - 1)]
        assert -(-end // FOUR) * FOUR - first <= RING_ROWS  # four at a time


@pytest.mark.parametrize("length", LENGTHS)
def test_the_ring_of_means_holds_those_of_a_tile_and_two_vectors_take_them(length: int) -> None:
    of_a_tile, two_groups = np.diff((tile_edges(length) + 1) // FOUR), 8
    assert of_a_tile.max() <= min(FOURS, two_groups)
    assert of_a_tile.min() >= min(length // FOUR, TILE_PX // FOUR - 1)


@pytest.mark.parametrize("length", LENGTHS)
def test_rows_that_the_filter_reaches_below_a_way_have_been_converted(length: int) -> None:
    edges, (starts, _) = tile_edges(length), ways_between_tiles(length)
    for way in range(len(starts) - 2):
        lowest = min(starts[way + 1] - 1 + REACH_PX, length - 1)
        assert lowest < edges[way + 2]


def test_the_ring_of_smoothed_rows_holds_two_and_all_within_separation_and_reach() -> None:
    greatest_separation = 5
    assert 2 + 2 * greatest_separation <= SMOOTH_ROWS
    assert 2 + 2 * REACH_PX <= SMOOTH_ROWS
    assert greatest_separation <= MARGIN
    assert REACH_PX <= MARGIN


def test_between_four_tiles_the_background_is_their_mean_and_in_the_corner_that_of_the_tile() -> None:
    tiles = np.array([[1, 2], [3, 10]], np.float32)
    assert background_at(tiles, 15, 15, 32, 32) == pytest.approx(4, abs=0.3)
    assert background_at(tiles, 0, 0, 32, 32) == 1
    assert background_at(tiles, 31, 31, 32, 32) == 10
    assert background_at(tiles[:1, :1], 7, 3, 9, 12) == 1


def test_the_median_of_a_tile_leaves_out_a_hot_pixel() -> None:
    values = np.full((40, 48), 3, np.float32)
    values[5, 5] = values[30, 40] = 1000
    np.testing.assert_array_equal(tile_medians(values, 40, 48), np.full((2, 3), 3))
    np.testing.assert_array_equal(tile_medians(values[:1], 40, 48), np.full((2, 3), 3))


@pytest.mark.parametrize("shape", [(3,), (7, 64), (2, 3, 16)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_room_begins_with_a_cache_line_and_is_empty(shape: tuple[int, ...], dtype: type) -> None:
    room = aligned(shape, dtype)
    assert room.ctypes.data % CACHE_LINE == 0
    assert room.shape == shape
    assert room.dtype == dtype
    assert room.flags.c_contiguous
    assert room.flags.writeable
    assert not room.any()
