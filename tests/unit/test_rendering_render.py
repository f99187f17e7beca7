"""Tables and batches of tables become the same picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from locstream.errors import ConfigError
from locstream.localizations import Localizations, empty
from locstream.rendering import render as rendering
from locstream.rendering.grid import Tally
from locstream.rendering.options import Mode, RenderOptions
from locstream.rendering.render import Renderer, render

MODES: tuple[Mode, ...] = ("gaussian", "histogram")


def table(n: int, seed: int = 0) -> Localizations:
    rng = np.random.default_rng(seed)
    rows = empty(n)
    rows["x_nm"], rows["y_nm"] = rng.uniform(-100, 3300, n), rng.uniform(-100, 2500, n)
    rows["x_uncertainty_nm"], rows["y_uncertainty_nm"] = rng.gamma(5, 2, (2, n))
    return rows


@pytest.mark.parametrize("mode", MODES)
def test_batches_give_the_picture_of_the_whole_table(mode: Mode) -> None:
    rows, options = table(5000), RenderOptions(mode=mode)
    whole = render(rows, 24, 32, 100.0, options)
    batches = render((rows[i : i + 700] for i in range(0, 5000, 700)), 24, 32, 100.0, options)
    np.testing.assert_array_equal(batches.image, whole.image)
    assert batches.tally == whole.tally
    assert whole.tally.inside + whole.tally.outside == 5000
    assert whole.tally.outside > 0


@pytest.mark.parametrize("mode", MODES)
def test_a_large_table_is_drawn_in_pieces_and_nothing_is_left_out(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, options = table(1000), RenderOptions(mode=mode)
    at_once = render(rows, 24, 32, 100.0, options)
    monkeypatch.setattr(rendering, "ROWS_AT_ONCE", 7)
    np.testing.assert_array_equal(render(rows, 24, 32, 100.0, options).image, at_once.image)


def test_the_picture_has_the_camera_s_shape_in_bins() -> None:
    r = render(table(10), 24, 32, 100.0, RenderOptions(bin_nm=25))
    assert r.image.shape == r.grid.shape == (96, 128)
    assert r.image.dtype == np.float32
    assert r.mode == "gaussian"


def test_a_gaussian_picture_uses_each_axis_own_precision() -> None:
    rows = empty(1)
    rows["x_nm"], rows["y_nm"], rows["x_uncertainty_nm"], rows["y_uncertainty_nm"] = 1600, 1200, 80, 10
    image = render(rows, 24, 32, 100.0, RenderOptions()).image
    tall, wide = (np.ptp(np.flatnonzero(image.any(axis=axis))) + 1 for axis in (1, 0))
    assert wide > 3 * tall


def test_a_histogram_needs_no_precision() -> None:
    rows = table(100)
    rows["x_uncertainty_nm"] = np.nan
    assert render(rows, 24, 32, 100.0, RenderOptions(mode="histogram")).tally.unusable == 0
    assert render(rows, 24, 32, 100.0, RenderOptions()).tally == Tally(unusable=100)


def test_the_blurs_of_the_options_are_the_ones_drawn_with() -> None:
    rows = table(300)
    soft = render(rows, 24, 32, 100.0, RenderOptions(min_blur_nm=100))
    sharp = render(rows, 24, 32, 100.0, RenderOptions())
    assert soft.image.max() < sharp.image.max() / 4
    strict = render(rows, 24, 32, 100.0, RenderOptions(max_blur_nm=10))
    worse = (rows["x_uncertainty_nm"] > 10) | (rows["y_uncertainty_nm"] > 10)
    assert strict.tally.unusable == np.count_nonzero(worse) > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [empty(0), [], [empty(0), empty(0)]], ids=["table", "no batch", "empty batches"])
def test_nothing_gives_an_empty_picture(mode: Mode, rows: Localizations | list[Localizations]) -> None:
    r = render(rows, 24, 32, 100.0, RenderOptions(mode=mode))
    assert r.image.shape == (120, 160)
    assert not r.image.any()
    assert r.tally == Tally()


def test_a_renderer_can_be_looked_at_on_the_way() -> None:
    rows, renderer = table(400), Renderer(24, 32, 100.0, RenderOptions())
    renderer.add(rows[:100])
    first = renderer.rendered
    assert sum((first.tally.inside, first.tally.outside)) == 100
    renderer.add(rows[100:])
    assert renderer.rendered.tally == render(rows, 24, 32, 100.0, RenderOptions()).tally


def test_batches_are_taken_one_at_a_time() -> None:
    alive = 0

    def batches() -> Iterator[Localizations]:
        nonlocal alive
        for seed in range(5):
            alive += 1
            yield table(10, seed)

    render(batches(), 24, 32, 100.0, RenderOptions())
    assert alive == 5


def test_a_picture_too_large_is_refused_before_anything_is_read() -> None:
    def batches() -> Iterator[Localizations]:
        pytest.fail("the rows were read")
        yield empty(0)

    with pytest.raises(ConfigError, match="GiB"):
        render(batches(), 10_000, 10_000, 100.0, RenderOptions(bin_nm=1))
