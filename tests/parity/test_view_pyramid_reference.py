"""The picture against plain numpy at every zoom; a pattern without symmetry, upright everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from locstream.localizations import LOCALIZATION, Localizations, empty
from locstream.rendering.colour import colourise
from locstream.rendering.grid import Grid
from locstream.rendering.options import RenderOptions
from locstream.rendering.render import render
from locstream_view.following.raw_frames import RecordedFrames
from locstream_view.model.deep_zoom import draw_gaussians
from locstream_view.model.model import ViewModel
from locstream_view.model.pyramid import CountPyramid
from locstream_view.model.saved import save_view
from locstream_view.model.settings import ViewSettings, Window
from locstream_view.model.shown import Drawn, brightest_per_um2, coloured, value_table

WIDTH_PX, HEIGHT_PX, PIXEL_NM = 61, 43, 107.0


def some_rows(n: int, seed: int = 3) -> Localizations:
    """Return rows all over the field and a little beyond, with some that have no position."""
    chance = np.random.default_rng(seed)
    rows = empty(n, LOCALIZATION)
    rows["frame"] = np.sort(chance.integers(0, 1 + n // 10, n))
    rows["x_nm"] = chance.uniform(-100, WIDTH_PX * PIXEL_NM, n)
    rows["y_nm"] = chance.uniform(-100, HEIGHT_PX * PIXEL_NM, n)
    rows["x_uncertainty_nm"], rows["y_uncertainty_nm"] = chance.uniform(4, 30, (2, n))
    rows["photons"] = chance.gamma(2, 400, n)
    rows["x_nm"][:: max(n // 5, 1)] = np.nan
    return rows


def numpy_histogram(rows: Localizations, shape: tuple[int, int], bin_nm: float) -> np.ndarray:
    """Count with numpy alone."""
    edge = -0.5 * PIXEL_NM
    finite = rows[np.isfinite(rows["x_nm"])]
    edges = (edge + bin_nm * np.arange(n + 1) for n in shape)
    y, x = finite["y_nm"].astype(float), finite["x_nm"].astype(float)
    inside = (x >= edge) & (x < edge + bin_nm * shape[1]) & (y >= edge) & (y < edge + bin_nm * shape[0])
    return np.histogram2d(y[inside], x[inside], list(edges))[0]


def test_every_level_is_the_numpy_histogram() -> None:
    rows = some_rows(20_000)
    model = ViewModel(WIDTH_PX, HEIGHT_PX, PIXEL_NM)
    for start in range(0, len(rows), 777):
        model.add(rows[start : start + 777])
    assert len(model.levels_nm) >= 3
    base_shape = model.image(model.levels_nm[0]).shape
    in_base = numpy_histogram(rows, base_shape, model.levels_nm[0])
    for level, bin_nm in enumerate(model.levels_nm):
        image = model.image(bin_nm)
        expected = numpy_histogram(rows, image.shape, bin_nm)
        # A coarse level may reach a bin further than the finest one, which ends with the field.
        if expected.sum() != in_base.sum():
            factor = 2**level
            padded = np.pad(in_base, [(0, -n % factor) for n in in_base.shape])
            shape = padded.shape[0] // factor, factor, padded.shape[1] // factor, factor
            expected = padded.reshape(shape).sum(axis=(1, 3))
        np.testing.assert_array_equal(image, expected)


def test_counted_pixel_size_that_is_no_level_is_the_numpy_histogram() -> None:
    rows = some_rows(5_000)
    model = ViewModel(WIDTH_PX, HEIGHT_PX, PIXEL_NM)
    model.add(rows)
    image = model.image(33.0)
    np.testing.assert_array_equal(image, numpy_histogram(rows, image.shape, 33.0))


def test_window_of_a_level_is_a_slice_of_it() -> None:
    rows = some_rows(5_000)
    pyramid = CountPyramid(WIDTH_PX, HEIGHT_PX, PIXEL_NM)
    pyramid.add(rows["x_nm"], rows["y_nm"])
    for level, grid in enumerate(pyramid.levels):
        whole, _, _ = pyramid.window(level, Window(-1e6, -1e6, 2e6, 2e6))
        part, _, where = pyramid.window(level, Window(1_000.0, 700.0, 1_500.0, 2_000.0))
        top = round((where.top_nm - grid.top_nm) / grid.bin_nm)
        left = round((where.left_nm - grid.left_nm) / grid.bin_nm)
        np.testing.assert_array_equal(part, whole[top : top + part.shape[0], left : left + part.shape[1]])
        assert where.left_nm <= 1_000.0
        assert where.left_nm + where.columns * where.bin_nm >= 2_500.0


def test_means_are_the_plain_means() -> None:
    rows = some_rows(4_000)
    pyramid = CountPyramid(WIDTH_PX, HEIGHT_PX, PIXEL_NM, weighted=True)
    pyramid.add(rows["x_nm"], rows["y_nm"], rows["frame"].astype(np.float32))
    for level, grid in enumerate(pyramid.levels):
        counts, means, _ = pyramid.window(level, Window(-1e6, -1e6, 2e6, 2e6))
        assert means is not None
        finite = rows[np.isfinite(rows["x_nm"])]
        column = np.floor((finite["x_nm"].astype(float) - grid.left_nm) / grid.bin_nm).astype(int)
        row = np.floor((finite["y_nm"].astype(float) - grid.top_nm) / grid.bin_nm).astype(int)
        inside = (column >= 0) & (column < grid.columns) & (row >= 0) & (row < grid.rows)
        sums = np.zeros(grid.shape)
        np.add.at(sums, (row[inside], column[inside]), finite["frame"][inside])
        seen = counts > 0
        assert np.isnan(means[~seen]).all()
        if level == 0:
            np.testing.assert_allclose(means[seen], sums[seen] / counts[seen], rtol=1e-5)


def test_deep_zoom_is_the_finished_picture() -> None:
    rows = some_rows(600)
    rows = rows[np.isfinite(rows["x_nm"])]
    rendered = render(rows, HEIGHT_PX, WIDTH_PX, PIXEL_NM, RenderOptions(bin_nm=10))
    grid = rendered.grid
    field = Window(grid.left_nm, grid.top_nm, grid.columns * 10.0, grid.rows * 10.0)
    image, _, where = draw_gaussians(rows, field, 10.0)
    assert where == grid
    np.testing.assert_array_equal(image, rendered.image)


def test_deep_zoom_with_means_has_the_same_mass() -> None:
    rows = some_rows(400)
    rows = rows[np.isfinite(rows["x_nm"])]
    window = Window(1_000.0, 1_000.0, 2_000.0, 1_500.0)
    plain, _, _ = draw_gaussians(rows, window, 8.0)
    image, means, _ = draw_gaussians(rows, window, 8.0, rows["frame"].astype(np.float32))
    assert means is not None
    np.testing.assert_allclose(image, plain, atol=1e-6)
    seen = image > 0
    assert means[seen].min() >= rows["frame"].min()
    assert means[seen].max() <= rows["frame"].max() + 1e-3


@pytest.mark.parametrize("gamma", [0.3, 0.7, 1.0, 2.0])
def test_colours_are_those_of_the_finished_picture(gamma: float) -> None:
    image = np.random.default_rng(1).gamma(0.5, 4, (40, 50)).astype(np.float32)
    image[::3] = 0
    drawn = Drawn(image, None, Grid(40, 50, 20.0, 0.0, 0.0), "counts")
    settings = ViewSettings(gamma=gamma, colormap="gray")
    found = coloured(drawn, settings, 12.0 * drawn.per_um2)
    expected = colourise(image, 12.0, colormap="gray", gamma=gamma)
    bright = image > 0.1  # a power below 1 is steep at 0
    assert np.abs(found.astype(int) - expected)[bright].max() <= 2
    np.testing.assert_array_equal(found[image == 0], expected[image == 0])


def test_colours_of_means_against_numpy() -> None:
    chance = np.random.default_rng(2)
    image = chance.gamma(0.5, 4, (40, 50)).astype(np.float32)
    means = chance.uniform(-10, 110, (40, 50)).astype(np.float32)
    means[::4] = np.nan
    drawn = Drawn(image, means, Grid(40, 50, 20.0, 0.0, 0.0), "counts", "time", (0.0, 100.0))
    found = coloured(drawn, ViewSettings(gamma=1.0), 12.0 * drawn.per_um2)
    hue = value_table()[np.rint(np.clip(np.nan_to_num(means) / 100, 0, 1) * 255).astype(int)]
    expected = np.rint(hue * np.clip(image / 12, 0, 1)[:, :, None])
    expected[np.isnan(means)] = 0
    assert np.abs(found.astype(int) - expected).max() <= 2


# An F has no symmetry: mirrored, turned or transposed it is another pattern. (column, row) in camera pixels.
LETTER_F = [(10, 6), (10, 9), (10, 12), (10, 15), (10, 18), (13, 6), (16, 6), (19, 6), (13, 12), (16, 12)]


def frame_of_the_letter() -> np.ndarray:
    frame = np.full((HEIGHT_PX, WIDTH_PX), 100, np.uint16)
    for column, row in LETTER_F:
        frame[row, column] = 1_000
    return frame


def rows_of_the_letter() -> Localizations:
    rows = empty(len(LETTER_F), LOCALIZATION)
    rows["x_nm"], rows["y_nm"] = np.array(LETTER_F).T * PIXEL_NM
    rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = 10
    return rows


def lit_camera_pixels(image: np.ndarray, bin_nm: float, left_nm: float, top_nm: float) -> set[tuple[int, int]]:
    """Return the camera pixels, (column, row), under the brightest pixel of each spot."""
    rows, columns = np.nonzero(image > 0.3 * image.max())
    x, y = left_nm + (columns + 0.5) * bin_nm, top_nm + (rows + 0.5) * bin_nm
    return {(int(c), int(r)) for c, r in zip(np.rint(x / PIXEL_NM), np.rint(y / PIXEL_NM), strict=True)}


@pytest.mark.parametrize("nm_per_px", [2.0, 9.0, 25.0, 90.0])
def test_the_letter_is_upright_at_every_zoom_and_in_the_file(nm_per_px: float, tmp_path: Path) -> None:
    frame = frame_of_the_letter()
    lit_in_the_frame = {(int(c), int(r)) for r, c in zip(*np.nonzero(frame > 500), strict=True)}
    model = ViewModel(WIDTH_PX, HEIGHT_PX, PIXEL_NM)
    model.add(rows_of_the_letter())
    settings = ViewSettings()
    drawn = model.draw(Window(500.0, 300.0, 2_500.0, 2_500.0), nm_per_px, settings)
    where = drawn.grid
    assert lit_camera_pixels(drawn.image, where.bin_nm, where.left_nm, where.top_nm) == lit_in_the_frame

    rows = rows_of_the_letter()
    files = save_view(tmp_path / "f", drawn, settings, brightest_per_um2(drawn, settings), rows, PIXEL_NM, "letter")
    with tifffile.TiffFile(files.ome_tiff) as tiff:
        stored = tiff.asarray()
        ome = tiff.ome_metadata or ""
    np.testing.assert_array_equal(stored, drawn.image)
    assert f'PhysicalSizeX="{round(where.bin_nm / 1000, 9)}"' in ome
    assert f'PhysicalSizeY="{round(where.bin_nm / 1000, 9)}"' in ome


def test_the_raw_frame_is_the_recorded_one(tmp_path: Path) -> None:
    from locstream.bundle.files import RunFiles
    from locstream.stacks.live import LiveStackWriter

    files = RunFiles(tmp_path, "run")
    with LiveStackWriter(files.live_stack, HEIGHT_PX, WIDTH_PX) as writer:
        raw = RecordedFrames(files)
        assert raw.newest(5) is None
        for number in (0, 1, 3):
            image = frame_of_the_letter()
            image[0, 0] = number
            writer.append(image, number, 1.0)
        assert [raw.newest(upto).number for upto in (0, 1, 2, 9, 3)] == [0, 1, 1, 3, 3]
        newest = raw.newest(0)
        assert newest is not None
        np.testing.assert_array_equal(newest.image[1:], frame_of_the_letter()[1:])
        raw.close()
