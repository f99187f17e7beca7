"""The picture without a window: rows kept, filters and back, numbers."""

from __future__ import annotations

import numpy as np
import pytest

from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, empty
from locstream_view.model.deep_zoom import affordable_bin
from locstream_view.model.distribution import distribution
from locstream_view.model.kept_rows import KeptRows
from locstream_view.model.model import ViewModel
from locstream_view.model.pyramid import DEFAULT_PIXEL_NM
from locstream_view.model.settings import ROW_FILTERS, Filters, Range, ViewSettings, Window
from locstream_view.model.trends import BLOCKS, PerFrame
from viewed_rows import FIELD, PIXEL_NM, SIZE_PX, a_model, some_rows


class TestKeptRows:
    def test_window_gives_the_rows_inside_and_no_others(self) -> None:
        rows = some_rows(3_000)
        kept = KeptRows(LOCALIZATION, FIELD, 10_000)
        for start in range(0, 3_000, 500):
            kept.add(rows[start : start + 500])
        window = Window(1_000.0, 2_000.0, 700.0, 1_300.0)
        x, y = rows["x_nm"], rows["y_nm"]
        expected = rows[(x >= 1_000) & (x < 1_700) & (y >= 2_000) & (y < 3_300)]
        np.testing.assert_array_equal(np.sort(kept.inside(window)), np.sort(expected))
        assert len(expected) > 10

    def test_oldest_make_room_and_are_no_longer_found(self) -> None:
        rows = some_rows(5_000)
        kept = KeptRows(LOCALIZATION, FIELD, 1_200)
        for start in range(0, 5_000, 333):
            kept.add(rows[start : start + 333])
        assert (kept.first, kept.end, len(kept)) == (3_800, 5_000, 1_200)
        np.testing.assert_array_equal(kept.rows(0, 5_000), rows[-1_200:])
        np.testing.assert_array_equal(np.sort(kept.inside(FIELD)), np.sort(rows[-1_200:]))
        assert kept.number_near(FIELD, 10_000) == 1_200

    def test_a_batch_larger_than_the_memory_leaves_its_end(self) -> None:
        rows = some_rows(3_000)
        kept = KeptRows(LOCALIZATION, FIELD, 700)
        kept.add(rows)
        np.testing.assert_array_equal(kept.rows(0, kept.end), rows[-700:])
        assert kept.end == 3_000

    def test_rows_of_a_frame(self) -> None:
        rows = some_rows(2_000)
        kept = KeptRows(LOCALIZATION, FIELD, 1_500)
        kept.add(rows)
        for number in (rows["frame"][600], rows["frame"][-1]):
            np.testing.assert_array_equal(kept.of_frame(int(number)), rows[rows["frame"] == number])
        assert len(kept.of_frame(0)) == 0
        assert len(kept.of_frame(10**6)) == 0

    def test_a_row_without_a_position_is_in_no_window(self) -> None:
        rows = some_rows(10)
        rows["x_nm"][3] = np.nan
        rows["y_nm"][4] = 1e9
        kept = KeptRows(LOCALIZATION, FIELD, 100)
        kept.add(rows)
        assert len(kept.inside(FIELD)) == 8


class TestFilters:
    @pytest.mark.parametrize("name", ROW_FILTERS)
    def test_each_range_leaves_out_what_is_outside(self, name: str) -> None:
        rows = some_rows(500, dtype=LOCALIZATION_3D)
        values = {
            "precision_nm": 0.5 * (rows["x_uncertainty_nm"].astype(float) + rows["y_uncertainty_nm"]),
            "sigma_nm": 0.5 * (rows["sigma_x_nm"].astype(float) + rows["sigma_y_nm"]),
        }.get(name, rows[name] if name in (rows.dtype.names or ()) else rows["frame"])
        low, high = float(np.percentile(values, 30)), float(np.percentile(values, 60))
        mask = Filters(**{name: Range(low=low, high=high)}).mask(rows)
        np.testing.assert_array_equal(mask, (values >= low) & (values <= high))
        assert 0 < mask.sum() < 500

    def test_depth_range_without_depth_leaves_nothing_out(self) -> None:
        assert Filters(z_nm=Range(low=0)).mask(some_rows(9)).all()

    def test_range_from_above_to_below_is_refused(self) -> None:
        with pytest.raises(ValueError, match="empty"):
            Range(low=5, high=4)

    def test_filters_can_be_taken_back_to_the_last_count(self) -> None:
        rows = some_rows(4_000)
        model = a_model(rows)
        before = model.image(model.levels_nm[0]).copy()
        model.choose(Filters(photons=Range(low=900)))
        model.settle()
        chosen = rows[rows["photons"] >= 900]
        assert model.counted.shown == len(chosen) < model.counted.total == 4_000
        np.testing.assert_array_equal(model.image(model.levels_nm[0]), a_model(chosen).image(model.levels_nm[0]))
        model.choose(Filters())
        assert model.counted.shown == 4_000
        np.testing.assert_array_equal(model.image(model.levels_nm[0]), before)

    def test_rows_that_come_during_and_after_the_change_are_filtered(self) -> None:
        first, then, last = some_rows(1_000, 1), some_rows(1_000, 2, 300), some_rows(1_000, 3, 600)
        model = a_model(first)
        filters = Filters(background=Range(high=9))
        model.choose(filters)
        model.add(then)
        model.settle()
        model.add(last)
        every = np.concatenate([first, then, last])
        assert model.counted.shown == int(filters.mask(every).sum())
        np.testing.assert_array_equal(model.kept_rows(filters), every[filters.mask(every)])

    def test_a_choice_that_is_overtaken_is_forgotten(self) -> None:
        rows = some_rows(1_000)
        model = a_model(rows)
        model.choose(Filters(photons=Range(low=100)))
        model.choose(Filters(photons=Range(low=800)))
        model.settle()
        assert model.counted.shown == int((rows["photons"] >= 800).sum())
        model.choose(Filters(photons=Range(low=100)))
        model.choose(Filters(photons=Range(low=800)))
        assert not model.step()
        assert model.counted.shown == int((rows["photons"] >= 800).sum())


class TestMemory:
    def test_the_picture_does_not_grow(self) -> None:
        model = ViewModel(SIZE_PX, SIZE_PX, PIXEL_NM, keep_rows=2_000)
        size = model._all.pyramid.nbytes
        for batch in range(20):
            model.add(some_rows(1_000, batch, batch * 200))
        assert model._all.pyramid.nbytes == size
        counted = model.counted
        assert (counted.total, counted.kept) == (20_000, 2_000)
        assert model.image(model.levels_nm[-1]).sum() == 20_000

    def test_a_large_sensor_begins_with_a_coarser_pixel(self) -> None:
        model = ViewModel(2_304, 2_304, 100.0)
        assert model.levels_nm[0] == DEFAULT_PIXEL_NM
        assert model._all.pyramid.nbytes < 720e6

    @pytest.mark.parametrize(
        ("side_px", "finest_nm"), [(512, 10.0), (579, 10.0), (580, 20.0), (2_316, 20.0), (2_400, 40.0)]
    )
    def test_the_finest_pixel_by_the_sensor(self, side_px: int, finest_nm: float) -> None:
        assert ViewModel(side_px, side_px, 100.0).levels_nm[0] == finest_nm

    def test_a_large_sensor_counts_as_any_other(self) -> None:
        model = ViewModel(2_304, 2_304, 100.0)
        rows = empty(3)
        rows["x_nm"], rows["y_nm"] = [-49.0, 230_349.0, 115_000.0], [-49.0, 230_349.0, 40_000.0]
        model.add(rows)
        for x, y in zip(rows["x_nm"], rows["y_nm"], strict=True):
            window = Window(float(x) - 500, float(y) - 400, 1_000.0, 800.0)
            drawn = model.draw(window, DEFAULT_PIXEL_NM, ViewSettings(drawing="counts"))
            row, column = ((y - drawn.grid.top_nm) // DEFAULT_PIXEL_NM, (x - drawn.grid.left_nm) // DEFAULT_PIXEL_NM)
            assert drawn.grid.bin_nm == DEFAULT_PIXEL_NM
            assert drawn.image[int(row), int(column)] == drawn.image.sum() == 1

    def test_deep_zoom_into_very_many_rows_is_drawn_coarser(self) -> None:
        rows = some_rows(50_000)
        assert affordable_bin(rows[:100], 1.0) == 1.0
        assert affordable_bin(rows, 1.0) > 1.0


def test_zoomed_in_it_is_gaussians_and_zoomed_out_counts() -> None:
    model = a_model(some_rows(1_000))
    assert model.draw(model.field, 50.0).how == "counts"
    deep = model.draw(Window(0.0, 0.0, 500.0, 500.0), 2.0)
    assert deep.how == "gaussians"
    assert deep.grid.bin_nm == 2.0
    assert model.draw(model.field, 50.0, ViewSettings(drawing="gaussians")).how == "gaussians"
    assert model.draw(Window(0.0, 0.0, 500.0, 500.0), 2.0, ViewSettings(drawing="counts")).how == "counts"


def test_counts_are_never_finer_than_the_pixel_that_was_asked_for() -> None:
    model = a_model(some_rows(1_000))
    settings = ViewSettings(drawing="counts", pixel_nm=20)
    assert model.draw(Window(0.0, 0.0, 500.0, 500.0), 2.0, settings).grid.bin_nm == 20


def test_region_numbers_are_those_of_its_rows() -> None:
    rows = some_rows(4_000)
    model = a_model(rows)
    filters = Filters(photons=Range(low=500))
    model.choose(filters)
    model.settle()
    window = Window(1_000.0, 1_000.0, 2_000.0, 1_000.0)
    found = model.region(window)
    x, y = rows["x_nm"], rows["y_nm"]
    inside = rows[(x >= 1_000) & (x < 3_000) & (y >= 1_000) & (y < 2_000) & (rows["photons"] >= 500)]
    assert found.localizations == len(inside)
    assert found.per_um2 == pytest.approx(len(inside) / 2.0)
    assert found.photons == pytest.approx(np.median(inside["photons"]))
    assert (found.first_frame, found.last_frame) == (inside["frame"].min(), inside["frame"].max())
    nothing = model.region(Window(-50.0, -50.0, 1e-3, 1e-3))
    assert nothing.localizations == 0
    assert np.isnan(nothing.photons)


class TestTrend:
    def test_is_the_plain_mean_per_block(self) -> None:
        rows = some_rows(3_000)
        per_frame = PerFrame()
        per_frame.add(rows["frame"], 700)
        counts = np.bincount(rows["frame"], minlength=701)
        np.testing.assert_array_equal(per_frame.trend.per_frame, counts)

    def test_keeps_its_size_and_its_sum_over_a_long_acquisition(self) -> None:
        per_frame = PerFrame()
        for start in range(0, 50_000, 500):
            per_frame.add(np.repeat(np.arange(start, start + 500, dtype=np.uint32), 3), start + 499)
        trend = per_frame.trend
        assert BLOCKS / 2 <= len(trend.frames) <= BLOCKS
        np.testing.assert_array_equal(trend.per_frame, 3.0)

    def test_frames_without_rows_count(self) -> None:
        per_frame = PerFrame()
        per_frame.add(np.array([0, 0], np.uint32), 3)
        np.testing.assert_array_equal(per_frame.trend.per_frame, [2, 0, 0, 0])

    def test_nothing_yet(self) -> None:
        assert len(PerFrame().trend.frames) == 0


def test_distribution_has_the_median_and_every_value_in_its_range() -> None:
    rows = some_rows(1_000)
    found = distribution(rows, "photons")
    assert found.median == pytest.approx(np.median(rows["photons"].astype(float)))
    assert 980 <= found.counts.sum() <= 1_000
    assert np.isnan(distribution(rows[:0], "photons").median)
    same = some_rows(5)
    same["photons"] = 7
    assert distribution(same, "photons").counts.sum() == 5
