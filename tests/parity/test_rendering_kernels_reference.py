"""The kernels agree with plain numpy that does the same over whole rows, without a loop over pixels or a shortcut."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import erf

from locstream.rendering import gaussian, histogram
from locstream.rendering.gaussian import TRUNCATION
from locstream.rendering.grid import Grid, Tally, grid

Column = npt.NDArray[np.float32]
GRIDS = [grid(20, 30, 100.0, 20.0), grid(20, 30, 107.3, 13.7), grid(5, 3, 160.0, 160.0), grid(4, 9, 65.0, 200.0)]


def positions(g: Grid, n: int, seed: int) -> tuple[Column, Column]:
    """Return positions over the field and well around it, some of them useless."""
    rng = np.random.default_rng(seed)
    x = g.left_nm + rng.uniform(-0.2, 1.2, n) * g.columns * g.bin_nm
    y = g.top_nm + rng.uniform(-0.2, 1.2, n) * g.rows * g.bin_nm
    x[::97], y[::89] = np.nan, np.inf
    x[5::101], y[7::103] = -1e30, 1e30
    return x.astype(np.float32), y.astype(np.float32)


def plain_histogram(g: Grid, x: Column, y: Column) -> tuple[npt.NDArray[np.float64], Tally]:
    with np.errstate(invalid="ignore"):
        columns = np.floor((x.astype(np.float64) - g.left_nm) / g.bin_nm)
        rows = np.floor((y.astype(np.float64) - g.top_nm) / g.bin_nm)
    usable = np.isfinite(columns) & np.isfinite(rows)
    inside = usable & (columns >= 0) & (columns < g.columns) & (rows >= 0) & (rows < g.rows)
    image = np.zeros(g.shape)
    np.add.at(image, (rows[inside].astype(int), columns[inside].astype(int)), 1)
    tally = Tally(int(inside.sum()), int((usable & ~inside).sum()), int((~usable).sum()))
    return image, tally


def plain_profile(n: int, left_nm: float, bin_nm: float, centre_nm: float, sigma_nm: float) -> npt.NDArray[np.float64]:
    """Return the share of one Gaussian in each of `n` pixels; its support is cut, its mass over the support is 1."""
    low, high = (np.floor((centre_nm + side * TRUNCATION * sigma_nm - left_nm) / bin_nm) for side in (-1, 1))
    if high < 0 or low >= n:
        return np.zeros(n)
    edges = left_nm + np.arange(n + 1) * bin_nm

    def below(at: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.asarray(0.5 * (1 + erf((np.asarray(at) - centre_nm) / (sigma_nm * np.sqrt(2)))))

    pixels = np.arange(n)
    share = np.where((pixels >= low) & (pixels <= high), np.diff(below(edges)), 0)
    support_nm = left_nm + low * bin_nm, left_nm + (high + 1) * bin_nm
    return np.asarray(share / (below(support_nm[1]) - below(support_nm[0])))


@pytest.mark.parametrize("g", GRIDS, ids=str)
def test_the_histogram_is_numpys_to_the_last_count(g: Grid) -> None:
    x, y = positions(g, 20_000, seed=1)
    image = np.zeros(g.shape, np.float32)
    tally = histogram.accumulate(image, g, x, y)
    expected, expected_tally = plain_histogram(g, x, y)
    np.testing.assert_array_equal(image, expected)
    assert tally == expected_tally
    assert min(tally.inside, tally.outside, tally.unusable) > 0


@pytest.mark.parametrize("g", GRIDS, ids=str)
def test_the_histogram_agrees_with_numpys_own_away_from_the_edges(g: Grid) -> None:
    x, y = positions(g, 5000, seed=2)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    across, down = ((v - edge) / g.bin_nm for v, edge in ((x.astype(float), g.left_nm), (y.astype(float), g.top_nm)))
    keep = (np.abs(across - np.rint(across)) > 1e-3) & (np.abs(down - np.rint(down)) > 1e-3)
    keep |= (np.abs(across) > 1e6) | (np.abs(down) > 1e6)
    edges = (np.arange(g.rows + 1) * g.bin_nm + g.top_nm, np.arange(g.columns + 1) * g.bin_nm + g.left_nm)
    expected, *_ = np.histogram2d(y[keep], x[keep], bins=edges)
    image = np.zeros(g.shape, np.float32)
    histogram.accumulate(image, g, x[keep], y[keep])
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("g", GRIDS, ids=str)
@pytest.mark.parametrize("widths_nm", [(0.0, 15.0), (5.0, 60.0), (100.0, 260.0)], ids=str)
def test_the_gaussians_are_the_plain_ones(g: Grid, widths_nm: tuple[float, float]) -> None:
    low, high = 5.0, 250.0
    n = 300
    x, y = positions(g, n, seed=3)
    rng = np.random.default_rng(4)
    sigma_x, sigma_y = (rng.uniform(*widths_nm, n).astype(np.float32) for _ in range(2))
    sigma_x[11::61], sigma_y[13::67] = np.nan, -1

    image = np.zeros(g.shape, np.float32)
    tally = gaussian.accumulate(image, g, x, y, sigma_x, sigma_y, min_blur_nm=low, max_blur_nm=high)

    with np.errstate(invalid="ignore"):
        usable = np.isfinite(x) & np.isfinite(y)
        usable &= (sigma_x >= 0) & (sigma_x <= high) & (sigma_y >= 0) & (sigma_y <= high)
    expected = np.zeros(g.shape)
    for i in np.flatnonzero(usable):
        across = plain_profile(g.columns, g.left_nm, g.bin_nm, float(x[i]), max(float(sigma_x[i]), low))
        down = plain_profile(g.rows, g.top_nm, g.bin_nm, float(y[i]), max(float(sigma_y[i]), low))
        expected += np.outer(down, across)
    np.testing.assert_allclose(image, expected, rtol=2e-5, atol=1e-6)
    _, places = plain_histogram(g, np.where(usable, x, np.nan), y)
    assert tally == places
    assert min(tally.inside, tally.outside, tally.unusable) > 0


def test_the_sum_of_the_gaussians_is_the_number_of_localizations_inside() -> None:
    g = grid(60, 60, 100.0, 20.0)
    rng = np.random.default_rng(5)
    n = 20_000
    sigma = rng.gamma(5, 3, n).clip(0, 100).astype(np.float32)
    margin = TRUNCATION * 100 + g.bin_nm
    x, y = (rng.uniform(g.left_nm + margin, -g.left_nm + 5900 - margin, n).astype(np.float32) for _ in range(2))
    image = np.zeros(g.shape, np.float32)
    tally = gaussian.accumulate(image, g, x, y, sigma, sigma, min_blur_nm=5, max_blur_nm=250)
    assert tally == Tally(inside=n)
    assert image.sum(dtype=np.float64) == pytest.approx(n, rel=1e-6)
