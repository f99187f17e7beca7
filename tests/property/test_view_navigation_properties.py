"""What the mouse does, as arithmetic: nothing under the cursor moves when zooming, and no zoom loses the sample."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locstream_view.model.navigation import FINEST_NM_PER_PX, Navigation
from locstream_view.model.settings import Window

FIELD = Window(-53.5, -53.5, 27_000.0, 14_000.0)
places = st.floats(0, 700)
factors = st.floats(0.05, 20)


def inside_at(x_px: float, y_px: float) -> Navigation:
    return Navigation.whole(FIELD, 800, 700).zoomed(3.0, x_px, y_px)


@given(places, places, places, places)
def test_screen_to_sample_and_back(x0: float, y0: float, x: float, y: float) -> None:
    where = inside_at(x0, y0)
    assert where.to_px(*where.to_nm(x, y)) == pytest.approx((x, y), abs=1e-6)


@given(st.floats(200, 600), st.floats(250, 450), st.floats(1.0, 30))
def test_what_is_under_the_cursor_stays_there(x: float, y: float, factor: float) -> None:
    where = Navigation.whole(FIELD, 800, 700)
    before = where.to_nm(x, y)
    assert where.zoomed(factor, x, y).to_nm(x, y) == pytest.approx(before, abs=1e-3)


@given(st.lists(st.tuples(factors, places, places), max_size=30))
def test_some_of_the_sample_is_always_in_view(steps: list[tuple[float, float, float]]) -> None:
    where = Navigation.whole(FIELD, 800, 700)
    for factor, x, y in steps:
        where = where.zoomed(factor, x, y).dragged(x - 350, y - 350)
        assert where.nm_per_px >= FINEST_NM_PER_PX
        assert where.inside.width_nm > 0
        assert where.inside.height_nm > 0


@given(st.floats(-900, 900), st.floats(-900, 900))
def test_a_drag_moves_the_sample_with_the_mouse(right: float, down: float) -> None:
    where = inside_at(400, 350).zoomed(10, 400, 350)
    x, y = where.to_nm(100, 100)
    moved = where.dragged(right * 0.2, down * 0.2)
    assert moved.to_px(x, y) == pytest.approx((100 + right * 0.2, 100 + down * 0.2), abs=1e-6)


@given(st.integers(1, 3_000), st.integers(1, 3_000))
def test_the_whole_field_fits_on_every_screen(width: int, height: int) -> None:
    where = Navigation.whole(FIELD, width, height)
    assert where.inside == pytest.approx(FIELD)
    left, top = where.to_px(FIELD.left_nm, FIELD.top_nm)
    right, bottom = where.to_px(FIELD.left_nm + FIELD.width_nm, FIELD.top_nm + FIELD.height_nm)
    assert min(left, top, width - right, height - bottom) >= 0


def test_a_window_is_shown_as_large_as_it_fits() -> None:
    window = Window(1_000.0, 2_000.0, 500.0, 400.0)
    where = Navigation.whole(FIELD, 800, 700).showing(window)
    left, top, width, height = where.inside
    assert left <= 1_000
    assert top <= 2_000
    assert left + width >= 1_500
    assert top + height >= 2_400
    assert width == pytest.approx(500) or height == pytest.approx(400)
