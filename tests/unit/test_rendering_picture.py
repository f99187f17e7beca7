"""The picture people look at: nothing moved, nothing lost, and the PNG knows its size."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locstream.localizations import Localizations, empty
from locstream.rendering.options import RenderOptions
from locstream.rendering.picture import SMALLEST_SIDE_PX, preview, save_png
from locstream.rendering.render import render

PLAIN = RenderOptions(caption=False, colormap="gray", mode="histogram")


def at(*positions: tuple[float, float]) -> Localizations:
    rows = empty(len(positions))
    rows["x_nm"], rows["y_nm"] = np.array(positions).T
    rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = 10
    return rows


def pixels_per_metre(path: Path) -> tuple[int, int, int]:
    data = path.read_bytes()
    start = data.index(b"pHYs") + 4
    across, down, unit = struct.unpack(">IIB", data[start : start + 9])
    return across, down, unit


def test_a_localization_is_seen_where_it_is() -> None:
    rendered = render(at((1000, 300)), 60, 80, 100.0, PLAIN)
    shown = preview(rendered, PLAIN)
    assert shown.rgb.shape == (300, 400, 3)
    column, row = rendered.grid.to_px(1000.0, 300.0)
    lit = np.argwhere(shown.rgb[:200].any(axis=2))
    assert lit.tolist() == [[row, column]]


def test_an_empty_picture_is_black_with_a_scale_bar() -> None:
    shown = preview(render(empty(0), 60, 80, 100.0, RenderOptions()), RenderOptions(), "nothing yet")
    assert shown.brightest == 1
    rows, columns = shown.rgb.any(axis=2).nonzero()
    assert rows.size > 0
    inside = rows < 300
    assert rows[inside].min() > 200
    assert columns[inside].min() > 200


def test_the_caption_is_a_strip_under_the_same_picture() -> None:
    rows = at((1000, 300), (2000, 3000))
    rendered = render(rows, 60, 80, 100.0, PLAIN)
    bare, captioned = preview(rendered, PLAIN), preview(rendered, PLAIN.model_copy(update={"caption": True}), "run 3")
    np.testing.assert_array_equal(captioned.rgb[:300], bare.rgb)
    assert captioned.rgb[300:].any()
    named, unnamed = (
        preview(rendered, PLAIN.model_copy(update={"caption": True}), name).rgb[300:] for name in ("a long name", "")
    )
    assert np.flatnonzero(named.any(axis=(0, 2)))[-1] > np.flatnonzero(unnamed.any(axis=(0, 2)))[-1]


def test_a_large_picture_is_summed_in_whole_pixels() -> None:
    options = PLAIN.model_copy(update={"preview_max_px": 256, "bin_nm": 10.0})
    rendered = render(at((0, 0), (15, 0), (30, 0), (3000, 0)), 40, 60, 100.0, options)
    shown = preview(rendered, options)
    assert rendered.image.shape == (400, 600)
    assert (shown.rgb.shape, shown.bin_nm, shown.shown_nm) == ((134, 200, 3), 30.0, 30.0)
    # x = 0 and 15 nm lie in rendered columns 5 and 6, 30 nm in 8: shown columns 1, 2 and 2
    lit = np.argwhere(shown.rgb[:70].any(axis=2))
    assert lit.tolist() == [[1, 1], [1, 2], [1, 101]]


def test_a_small_picture_is_enlarged_in_whole_pixels() -> None:
    rendered = render(at((0, 0), (100, 0)), 4, 6, 100.0, PLAIN)
    shown = preview(rendered, PLAIN)
    factor = -(-SMALLEST_SIDE_PX // 20)
    assert shown.rgb.shape == (20 * factor, 30 * factor, 3)
    assert shown.bin_nm == pytest.approx(20 / factor)
    assert shown.shown_nm == 20
    lit = shown.rgb[: 10 * factor].any(axis=2)
    assert np.count_nonzero(lit) == 2 * factor**2
    assert lit[2 * factor : 3 * factor, 2 * factor : 3 * factor].all()


def test_a_small_but_long_picture_stays_below_the_longest_side() -> None:
    rendered = render(empty(0), 2, 200, 100.0, PLAIN)
    shown = preview(rendered, PLAIN)
    assert shown.rgb.shape[1] <= PLAIN.preview_max_px
    assert shown.rgb.shape[1] == 1000 * (PLAIN.preview_max_px // 1000)


def test_contrast_colour_and_gamma_of_the_options_are_the_ones_shown() -> None:
    rows = at(*[(1000, 300)] * 8, *[(2000, 300)] * 2)
    rendered = render(rows, 60, 80, 100.0, PLAIN)

    def value(**update: object) -> list[int]:
        rgb: list[int] = preview(rendered, PLAIN.model_copy(update=update)).rgb[17, 102].tolist()
        return rgb

    assert value(contrast_percentile=100.0) == [64] * 3
    assert value(contrast_percentile=1.0)[0] > 240
    assert value(contrast_percentile=100.0, gamma=0.5) == [128] * 3
    assert value(contrast_percentile=100.0, colormap="cyan") == [0, 64, 64]


@pytest.mark.parametrize("bin_nm", [0.75, 5.0, 20.0, 33.3, 1000.0])
def test_the_png_knows_its_physical_size(bin_nm: float, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_png(path, np.zeros((4, 6, 3), np.uint8), bin_nm)
    across, down, unit = pixels_per_metre(path)
    assert unit == 1, "metres"
    assert across == down
    assert 1e9 / across == pytest.approx(bin_nm, rel=1e-6)


def test_a_size_beyond_what_png_can_say_is_the_nearest_it_can(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8), 0.1)
    across, _, _ = pixels_per_metre(tmp_path / "a.png")
    assert across == pytest.approx(2**31, rel=1e-6)
    assert across < 2**31


def test_the_png_holds_the_pixels_and_the_text(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (7, 11, 3), np.uint8)
    text = {"Title": "α-tubulin, Müller", "Software": "locstream", "Description": "two\nlines"}
    save_png(tmp_path / "whatever.part", rgb, 20.0, text)
    with Image.open(tmp_path / "whatever.part") as png:
        assert png.format == "PNG"
        np.testing.assert_array_equal(np.array(png), rgb)
        assert {key: str(png.text[key]) for key in text} == text  # type: ignore[attr-defined]  # PngImageFile's own
