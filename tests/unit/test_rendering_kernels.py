"""What one localization becomes: where it lies, how wide it is, what happens at the edges."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from locstream.rendering import gaussian, histogram
from locstream.rendering.grid import Grid, Picture, Tally, grid

FIELD = grid(10, 16, 100.0, 20.0)
"""Not square, so that rows and columns cannot be mistaken for each other: 50 × 80 rendered pixels."""

Column = npt.NDArray[np.float32]


def column(*values: float) -> Column:
    return np.array(values, np.float32)


def count(x: Column, y: Column, g: Grid = FIELD) -> tuple[Picture, Tally]:
    image = np.zeros(g.shape, np.float32)
    return image, histogram.accumulate(image, g, x, y)


def splat(
    x: Column, y: Column, sx: Column, sy: Column, *, low: float = 0.1, high: float = 250.0, g: Grid = FIELD
) -> tuple[Picture, Tally]:
    image = np.zeros(g.shape, np.float32)
    return image, gaussian.accumulate(image, g, x, y, sx, sy, min_blur_nm=low, max_blur_nm=high)


def centroid_nm(image: Picture, g: Grid = FIELD) -> tuple[float, float]:
    rows, columns = np.indices(image.shape)
    mass = image.sum(dtype=float)
    x, y = g.to_nm((columns * image).sum(dtype=float) / mass, (rows * image).sum(dtype=float) / mass)
    return float(x), float(y)


def spread_nm(image: Picture, axis: int, g: Grid = FIELD) -> float:
    """Standard deviation along an axis of the image (0: down rows), nm."""
    profile = image.sum(axis=1 - axis, dtype=float)
    at = np.arange(profile.size) * g.bin_nm
    mean = (at * profile).sum() / profile.sum()
    return math.sqrt(((at - mean) ** 2 * profile).sum() / profile.sum())


@pytest.mark.parametrize(
    ("x", "y", "row", "col"), [(-50, -50, 0, 0), (-30.5, -50, 0, 0), (-30, 0, 2, 1), (1549, 949, 49, 79)]
)
def test_a_count_goes_to_the_pixel_that_covers_it(x: float, y: float, row: int, col: int) -> None:
    image, tally = count(column(x), column(y))
    assert image[row, col] == 1
    assert image.sum() == 1
    assert tally == Tally(inside=1)


@pytest.mark.parametrize(("x", "y"), [(-50.1, 0), (0, -50.1), (1550, 0), (0, 950), (1e30, 0), (0, -1e30), (1550, 950)])
def test_what_lies_outside_is_counted_and_never_wraps(x: float, y: float) -> None:
    image, tally = count(column(x), column(y))
    assert not image.any()
    assert tally == Tally(outside=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_position_that_is_not_finite_is_unusable(bad: float) -> None:
    image, tally = count(column(bad, 0, 0), column(0, bad, 0))
    assert tally == Tally(inside=1, unusable=2)
    assert image.sum() == 1


def test_counts_add_to_what_is_there() -> None:
    image = np.full(FIELD.shape, 2, np.float32)
    histogram.accumulate(image, FIELD, column(0, 0, 0), column(0, 0, 0))
    assert sorted(set(image.ravel().tolist())) == [2, 5]


def test_columns_of_a_structured_table_can_be_counted_as_they_are() -> None:
    table = np.zeros(3, [("x_nm", "<f4"), ("other", "<u2"), ("y_nm", "<f8")])
    table["x_nm"], table["y_nm"] = [0, 20, 40], [0, 0, 100]
    image, tally = count(table["x_nm"], table["y_nm"])
    assert tally.inside == 3
    assert np.argwhere(image).tolist() == [[2, 2], [2, 3], [7, 4]]


@pytest.mark.parametrize("x", [700.0, 703.0, 707.0, 711.9])
@pytest.mark.parametrize("sigma", [2.0, 8.0, 25.0])
def test_a_gaussian_stays_where_its_localization_is(x: float, sigma: float) -> None:
    y = 1.3 * x - 500
    image, tally = splat(column(x), column(y), column(sigma), column(sigma))
    assert tally == Tally(inside=1)
    assert image.sum(dtype=float) == pytest.approx(1, abs=1e-6)
    # Sampled in pixels, a Gaussian of s pixels can only be told to 1/pi exp(-2 (pi s)^2) of one; and it is cut.
    s = sigma / FIELD.bin_nm
    tolerance_nm = 1.1 * FIELD.bin_nm / math.pi * math.exp(-2 * (math.pi * s) ** 2) + 0.02 * sigma
    assert centroid_nm(image) == pytest.approx((x, y), abs=tolerance_nm)


def test_a_gaussian_is_as_wide_as_its_precision_along_each_axis() -> None:
    image, _ = splat(column(700), column(500), column(60), column(25))
    for axis, sigma in ((1, 60.0), (0, 25.0)):
        # the pixel itself adds the variance of a box, cutting at 3 sigma takes 3 % of the variance
        assert spread_nm(image, axis) == pytest.approx(math.sqrt(sigma**2 + FIELD.bin_nm**2 / 12), rel=0.03)


def test_a_very_narrow_gaussian_is_a_count() -> None:
    rng = np.random.default_rng(4)
    x, y = (rng.uniform(0, 900, 200).astype(np.float32) for _ in range(2))
    inner = (np.abs((x + 50) % 20 - 10) < 9) & (np.abs((y + 50) % 20 - 10) < 9)
    tiny = np.full(inner.sum(), 0.1, np.float32)
    drawn, _ = splat(x[inner], y[inner], tiny, tiny)
    counted, _ = count(x[inner], y[inner])
    np.testing.assert_allclose(drawn, counted, atol=1e-6)


def test_half_of_a_gaussian_on_the_edge_is_lost_not_moved() -> None:
    for x, y in ((-50, 500), (1550, 500), (700, -50), (700, 950)):
        image, _ = splat(column(x), column(y), column(20), column(20))
        assert image.sum(dtype=float) == pytest.approx(0.5, abs=0.005)
    corner, _ = splat(column(-50), column(-50), column(20), column(20))
    assert corner.sum(dtype=float) == pytest.approx(0.25, abs=0.005)


def test_the_tail_of_a_localization_outside_reaches_in() -> None:
    image, tally = splat(column(-60), column(500), column(20), column(20))
    assert tally == Tally(outside=1)
    assert 0.25 < image.sum(dtype=float) < 0.35
    assert image[:, 2].any()
    assert not image[:, 3:].any()


@pytest.mark.parametrize("far", [-1e30, -1000.0, 2500.0, 1e30])
def test_a_localization_far_outside_leaves_no_trace(far: float) -> None:
    image, tally = splat(column(far, 500), column(500, far), column(250, 250), column(250, 250))
    assert tally == Tally(outside=2)
    assert not image.any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1.0, 250.5, 1e30])
def test_a_precision_that_cannot_be_drawn_is_counted_as_unusable(bad: float) -> None:
    image, tally = splat(column(500, 500), column(500, 500), column(bad, 10), column(10, bad))
    assert tally == Tally(unusable=2)
    assert not image.any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gaussian_needs_a_finite_position(bad: float) -> None:
    _, tally = splat(column(bad, 500), column(500, bad), column(10, 10), column(10, 10))
    assert tally == Tally(unusable=2)


def test_no_precision_is_narrower_than_the_smallest_blur() -> None:
    narrow, _ = splat(column(500, 600), column(500, 300), column(0, 3), column(0.1, 12), low=30)
    wide, _ = splat(column(500, 600), column(500, 300), column(30, 30), column(30, 30), low=30)
    np.testing.assert_array_equal(narrow, wide)


def test_the_widest_gaussian_fits_its_scratch_space_wherever_it_lies() -> None:
    x = np.linspace(500, 540, 401, dtype=np.float32)
    y = np.full_like(x, 450)
    g = grid(40, 40, 100.0, 20.0)
    for high in (1.0, 99.875, 100.0, 250.0):
        sigma = np.full_like(x, high)
        image, tally = splat(x, y, sigma, sigma, high=high, g=g)
        assert tally.inside == x.size
        assert 0 < image.sum(dtype=float) <= x.size + 1e-3


@pytest.mark.parametrize("shape", [FIELD.shape[::-1], (50, 79), (4000,)])
def test_an_image_that_is_not_of_the_grid_is_refused(shape: tuple[int, ...]) -> None:
    image, one = np.zeros(shape, np.float32), column(1)
    with pytest.raises(ValueError, match="shape"):
        histogram.accumulate(image, FIELD, one, one)
    with pytest.raises(ValueError, match="shape"):
        gaussian.accumulate(image, FIELD, one, one, one, one, min_blur_nm=1, max_blur_nm=2)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (-1, 10), (11, 10), (math.nan, 10)])
def test_blurs_that_make_no_sense_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="min_blur_nm"):
        splat(column(1), column(1), column(1), column(1), low=low, high=high)


def test_nothing_to_draw_changes_nothing() -> None:
    none = column()
    assert count(none, none)[1] == splat(none, none, none, none)[1] == Tally()
