"""From what was drawn to colours, and to the four files of a saved view."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locstream.errors import ConfigError, LocstreamError
from locstream.formats.thunderstorm import read_thunderstorm
from locstream.localizations import LOCALIZATION_3D, Localizations, empty
from locstream_view.model.saved import read_settings, save_view
from locstream_view.model.settings import Filters, Range, ViewSettings, Window
from locstream_view.model.shown import brightest_per_um2, coloured, legend, value_table
from viewed_rows import FIELD, PIXEL_NM, a_model, some_rows


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
