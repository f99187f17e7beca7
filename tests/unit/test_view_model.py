"""The picture without a window: rows kept, filters and back, numbers, colours, saving."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locstream.errors import ConfigError, LocstreamError
from locstream.formats.thunderstorm import read_thunderstorm
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty
from locstream_view.model.deep_zoom import affordable_bin
from locstream_view.model.distribution import distribution
from locstream_view.model.kept_rows import KeptRows
from locstream_view.model.model import ViewModel
from locstream_view.model.pyramid import DEFAULT_PIXEL_NM
from locstream_view.model.saved import read_settings, save_view
from locstream_view.model.settings import ROW_FILTERS, Filters, Range, ViewSettings, Window
from locstream_view.model.shown import brightest_per_um2, coloured, legend, value_table
from locstream_view.model.trends import BLOCKS, PerFrame

SIZE_PX, PIXEL_NM = 64, 100.0
FIELD = Window(-50.0, -50.0, 6_400.0, 6_400.0)


def some_rows(n: int, seed: int = 1, first_frame: int = 0, dtype: np.dtype[np.void] = LOCALIZATION) -> Localizations:
    chance = np.random.default_rng(seed)
    rows = empty(n, dtype)
    rows["frame"] = first_frame + np.sort(chance.integers(0, 1 + n // 5, n))
    for name in ("x_nm", "y_nm"):
        rows[name] = chance.uniform(-49, 6_349, n)
    rows["photons"] = chance.gamma(2, 400, n)
    rows["background"] = chance.uniform(5, 15, n)
    for name in ("x_uncertainty_nm", "y_uncertainty_nm"):
        rows[name] = chance.uniform(4, 30, n)
    for name in ("sigma_x_nm", "sigma_y_nm"):
        rows[name] = chance.normal(130, 10, n)
    if "z_nm" in (dtype.names or ()):
        rows["z_nm"] = chance.uniform(-400, 400, n)
    return rows


def a_model(rows: Localizations, **options: int) -> ViewModel:
    model = ViewModel(SIZE_PX, SIZE_PX, PIXEL_NM, dtype=rows.dtype, **options)
    model.add(rows)
    return model


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


class TestColour:
    def test_by_time_early_is_blue_and_late_is_orange(self) -> None:
        rows = empty(2)
        rows["x_nm"], rows["y_nm"], rows["frame"] = [1_000, 3_000], 2_000, [0, 99]
        rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = 10
        model = a_model(rows)
        model.choose(Filters(), "time")
        model.settle()
        settings = ViewSettings(colour_by="time", contrast_percentile=50)
        for nm_per_px in (5.0, 50.0):
            drawn = model.draw(model.field, nm_per_px, settings)
            rgb = coloured(drawn, settings, brightest_per_um2(drawn, settings)).astype(int)
            middle = int((2_000 - drawn.grid.top_nm) / drawn.grid.bin_nm)
            early, late = (int((x - drawn.grid.left_nm) / drawn.grid.bin_nm) for x in (1_000, 3_000))
            assert rgb[middle, early, 2] > rgb[middle, early, 0] > 0
            assert rgb[middle, late, 0] > rgb[middle, late, 2]
            words = legend(drawn, settings, 1.0)
            assert (words.title, words.low, words.high) == ("frame", "0", "99")

    def test_by_depth_where_there_is_none_is_by_density(self) -> None:
        model = a_model(some_rows(10))
        model.choose(Filters(), "depth")
        model.settle()
        assert model.draw(model.field, 50.0).means is None

    def test_by_depth(self) -> None:
        rows = some_rows(50, dtype=LOCALIZATION_3D)
        model = a_model(rows)
        model.choose(Filters(), "depth")
        model.settle()
        drawn = model.draw(model.field, 50.0)
        assert drawn.means is not None
        assert np.nanmin(drawn.means) >= rows["z_nm"].min()
        assert legend(drawn, ViewSettings(), 1.0).title == "z (nm)"
        assert drawn.span == pytest.approx(tuple(np.percentile(rows["z_nm"], (1, 99))))
        assert model.draw(model.field, 50.0, ViewSettings(depth_range_nm=(-9.0, 9.0))).span == (-9.0, 9.0)

    def test_the_two_ends_differ_in_more_than_hue(self) -> None:
        first, last = value_table()[0].astype(int), value_table()[-1].astype(int)
        assert last[0] - first[0] > 150
        assert first[2] - last[2] > 150

    def test_locked_contrast_is_the_same_at_every_zoom(self) -> None:
        model = a_model(some_rows(5_000))
        settings = ViewSettings(brightest_per_um2=321.0)
        for nm_per_px in (3.0, 20.0, 100.0):
            assert brightest_per_um2(model.draw(model.field, nm_per_px, settings), settings) == 321.0

    def test_density_does_not_depend_on_the_pixel(self) -> None:
        model = a_model(some_rows(5_000))
        for nm_per_px in (25.0, 50.0, 100.0):
            drawn = model.draw(model.field, nm_per_px, ViewSettings(drawing="counts"))
            density = drawn.image.mean() * drawn.per_um2
            assert density == pytest.approx(5_000 / FIELD.area_um2, rel=0.02)


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


class TestSaved:
    def saved(self, folder: Path) -> tuple[ViewSettings, Localizations, Path]:
        rows = some_rows(300)
        filters = Filters(photons=Range(low=600))
        settings = ViewSettings(filters=filters, window=Window(100.0, 200.0, 3_000.0, 2_000.0), colormap="viridis")
        model = a_model(rows)
        model.choose(filters)
        model.settle()
        drawn = model.draw(Window(100.0, 200.0, 3_000.0, 2_000.0), 40.0, settings)
        shown = model.kept_rows(filters)
        save_view(folder / "mine", drawn, settings, brightest_per_um2(drawn, settings), shown, PIXEL_NM, "run")
        return settings, rows[filters.mask(rows)], folder

    def test_the_settings_show_the_same_again(self, tmp_path: Path) -> None:
        settings, _, folder = self.saved(tmp_path)
        assert read_settings(folder / "mine_view.json") == settings

    def test_the_table_holds_the_rows_that_are_shown(self, tmp_path: Path) -> None:
        _, shown, folder = self.saved(tmp_path)
        table = read_thunderstorm(folder / "mine_view.csv", PIXEL_NM)
        assert len(table) == len(shown)
        np.testing.assert_allclose(table["x_nm"], shown["x_nm"], atol=1e-2)
        np.testing.assert_array_equal(table["frame"], shown["frame"])

    def test_the_png_has_bar_caption_and_legend(self, tmp_path: Path) -> None:
        _, _, folder = self.saved(tmp_path)
        with Image.open(folder / "mine_view.png") as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = pixels.shape[:2]
        assert min(height, width) >= 512
        assert (pixels == 255).all(axis=2).sum() > 100  # bar and letters
        assert len(np.unique(pixels[-30:].reshape(-1, 3), axis=0)) > 50  # the ramp

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        self.saved(tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(LocstreamError, match="exists already"):
            self.saved(tmp_path)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_folder_that_is_not_there_is_an_error_with_advice(self, tmp_path: Path) -> None:
        with pytest.raises(LocstreamError, match="could not be written") as caught:
            self.saved(tmp_path / "nowhere")
        assert caught.value.todo

    @pytest.mark.parametrize("text", ["", "{", json.dumps({"colour": 3}), json.dumps({"gamma": -1})])
    def test_what_is_no_saved_view_is_refused(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "x_view.json"
        path.write_text(text)
        with pytest.raises(ConfigError, match="is not a saved view"):
            read_settings(path)
        with pytest.raises(ConfigError, match="cannot be read"):
            read_settings(tmp_path / "none.json")
