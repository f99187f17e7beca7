"""The average of camera frames lies under the picture where the sample is, upright, in grey, and in what is saved."""

from __future__ import annotations

import numpy as np
import pytest

from locstream.localizations import empty
from locstream.rendering.grid import Grid
from locstream_view.model.camera_average import DIMMED, CameraAverage, begin_average
from locstream_view.model.model import ViewModel
from locstream_view.model.settings import ViewSettings, Window
from locstream_view.model.shown import brightest_per_um2, coloured

PIXEL_NM = 100.0
BRIGHTEST = int(255 * DIMMED)


def frames(n: int, rows: int = 30, columns: int = 40) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 65_536, (n, rows, columns)).astype(np.uint16)


def with_one_spot(row: int, column: int, rows: int = 30, columns: int = 40) -> CameraAverage:
    image = np.full((rows, columns), 100, np.uint16)
    image[row, column] = 5000
    image[0, 0] = 5000  # so that the percentile of the brightest is no single pixel's
    return begin_average(image)


def test_it_is_the_mean_of_all_frames() -> None:
    stack = frames(25)
    average = begin_average(stack[0])
    for image in stack[1:]:
        average = average.with_frame(image)
    assert average.frames == 25
    np.testing.assert_allclose(average.mean, stack.mean(0), rtol=1e-5)


def test_each_camera_pixel_lies_where_its_localizations_lie() -> None:
    average = with_one_spot(7, 12)
    grid = Grid(300, 400, 10.0, -50.0, -50.0)  # the whole field, ten to a camera pixel
    grey = average.under(grid, PIXEL_NM)
    column, row = grid.to_px(1200.0, 700.0)
    area = grey[60:80, 110:130]
    assert grey[round(row), round(column)] > 0.9 * BRIGHTEST
    assert np.unravel_index(area.argmax(), area.shape) == pytest.approx((round(row) - 60, round(column) - 110), abs=1)
    assert grey[round(column) // 2, round(row)] == 0, "not transposed"


def test_between_pixels_it_is_interpolated_and_outside_it_is_black() -> None:
    average = begin_average(np.tile(np.arange(0, 400, 10, dtype=np.uint16), (30, 1)))
    grid = Grid(1, 4000, 1.0, 0.0, 1000.0)
    grey = average.under(grid, PIXEL_NM)[0].astype(int)
    inside = grey[:3900]
    assert (np.diff(inside) >= 0).all()
    assert np.diff(inside).max() <= 1, "no steps of a camera pixel"
    assert average.under(Grid(5, 5, 10.0, 4_100.0, 0.0), PIXEL_NM).max() == 0
    assert average.under(Grid(5, 5, 10.0, 0.0, -500.0), PIXEL_NM).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1)])
def test_the_smallest_cameras_have_one_too(shape: tuple[int, int]) -> None:
    average = begin_average(np.full(shape, 7, np.uint16))
    assert average.under(Grid(4, 4, 50.0, -50.0, -50.0), PIXEL_NM).shape == (4, 4)


def model_with_a_row() -> ViewModel:
    model = ViewModel(40, 30, PIXEL_NM)
    rows = empty(1)
    rows["x_nm"], rows["y_nm"], rows["photons"] = 3000.0, 2000.0, 500.0
    rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = 10.0
    model.add(rows)
    return model


def test_it_is_seen_where_it_is_asked_for_and_dimmer_than_what_lies_over_it() -> None:
    model = model_with_a_row()
    asked = ViewSettings(under="camera", drawing="counts")
    assert model.draw(model.field, 20.0, asked).under is None, "no frame was looked at yet"
    for image in frames(3):
        model.look_at(image)
    without = model.draw(model.field, 20.0, ViewSettings(drawing="counts"))
    assert without.under is None
    drawn = model.draw(model.field, 20.0, asked)
    assert drawn.under is not None
    assert drawn.under.shape == drawn.image.shape
    plain = coloured(without, asked, brightest_per_um2(without, asked)).astype(int)
    both = coloured(drawn, asked, brightest_per_um2(drawn, asked)).astype(int)
    where = drawn.image > 0
    assert where.sum() == 1
    assert (both[where] == np.maximum(plain[where], drawn.under[where][:, None])).all()
    assert (both[~where] == drawn.under[~where][:, None]).all(), "grey"
    assert both[~where].max() <= BRIGHTEST < both[where].max()


def test_a_part_that_is_zoomed_into_shows_the_same_place() -> None:
    model = model_with_a_row()
    model.average = with_one_spot(7, 12)
    settings = ViewSettings(under="camera")
    drawn = model.draw(Window(1000.0, 500.0, 400.0, 400.0), 4.0, settings)
    assert drawn.under is not None
    row, column = np.unravel_index(drawn.under.argmax(), drawn.under.shape)
    x_nm, y_nm = drawn.grid.to_nm(float(column), float(row))
    assert (x_nm, y_nm) == pytest.approx((1200, 700), abs=8)
