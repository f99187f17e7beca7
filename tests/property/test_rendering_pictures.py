"""What holds of every picture: nothing is lost, made up or moved, whatever the localizations and their order."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from locstream.localizations import Localizations, empty
from locstream.rendering.colour import colourise
from locstream.rendering.grid import Grid, grid
from locstream.rendering.options import RenderOptions
from locstream.rendering.picture import fit
from locstream.rendering.render import Rendered, Renderer, render
from locstream.rendering.scale_bar import bar_length_nm, length_label, with_scale_bar

HEIGHT, WIDTH, PIXEL = 6, 9, 100.0
OPTIONS = (RenderOptions(mode="histogram"), RenderOptions(), RenderOptions(bin_nm=37, min_blur_nm=20))

any_float = st.floats(width=32)
ordinary = st.floats(-200, 1100, width=32)
precision = st.floats(0, 300, width=32)


@st.composite
def tables(
    draw: st.DrawFn, position: st.SearchStrategy[float] = any_float, sigma: st.SearchStrategy[float] = any_float
) -> Localizations:
    rows = empty(draw(st.integers(0, 30)))
    for name, values in (
        ("x_nm", position),
        ("y_nm", position),
        ("x_uncertainty_nm", sigma),
        ("y_uncertainty_nm", sigma),
    ):
        rows[name] = draw(hnp.arrays(np.float32, len(rows), elements=values))
    return rows


def picture(rows: Localizations, options: RenderOptions) -> Rendered:
    return render(rows, HEIGHT, WIDTH, PIXEL, options)


@given(tables(), st.sampled_from(OPTIONS))
def test_every_localization_is_accounted_for_once(rows: Localizations, options: RenderOptions) -> None:
    """Whatever bits a row holds: no crash, no number that is not one, no mass out of nothing."""
    r = picture(rows, options)
    assert r.tally.inside + r.tally.outside + r.tally.unusable == len(rows)
    assert np.all(np.isfinite(r.image))
    assert r.image.min() >= 0
    mass = r.image.sum(dtype=float)
    if options.mode == "histogram":
        assert mass == r.tally.inside
    else:
        assert mass <= (len(rows) - r.tally.unusable) * (1 + 1e-6)


@given(tables(), st.sampled_from(OPTIONS), st.data())
def test_batches_make_no_difference(rows: Localizations, options: RenderOptions, data: st.DataObject) -> None:
    renderer = Renderer(HEIGHT, WIDTH, PIXEL, options)
    start = 0
    while start < len(rows):
        stop = data.draw(st.integers(start + 1, len(rows)))
        renderer.add(rows[start:stop])
        start = stop
    whole = picture(rows, options)
    np.testing.assert_array_equal(renderer.rendered.image, whole.image)
    assert renderer.rendered.tally == whole.tally


@given(tables(), st.sampled_from(OPTIONS), st.randoms(use_true_random=False))
def test_the_order_makes_no_difference(rows: Localizations, options: RenderOptions, random: Random) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    one, other = picture(rows, options), picture(rows[order], options)
    assert one.tally == other.tally
    np.testing.assert_allclose(one.image, other.image, rtol=1e-5, atol=1e-6)


@given(tables(ordinary, precision))
def test_the_picture_turns_over_with_the_sample(rows: Localizations) -> None:
    """A picture that is off by half a pixel, or favours one side, is not its own mirror image."""
    mirrored = rows.copy()
    mirrored["x_nm"] = (WIDTH - 1) * PIXEL - rows["x_nm"]
    one, other = picture(rows, OPTIONS[1]).image, picture(mirrored, OPTIONS[1]).image
    # where 3 sigma ends on the edge of a pixel, the pixel beyond belongs to one of the two pictures only
    np.testing.assert_allclose(other[:, ::-1], one, atol=0.003 * max(1, len(rows)))


@given(tables(ordinary, precision))
def test_rows_and_columns_are_treated_alike(rows: Localizations) -> None:
    swapped = rows.copy()
    for x, y in (("x_nm", "y_nm"), ("x_uncertainty_nm", "y_uncertainty_nm")):
        swapped[x], swapped[y] = rows[y], rows[x]
    one = render(rows, HEIGHT, WIDTH, PIXEL, OPTIONS[1])
    other = render(swapped, WIDTH, HEIGHT, PIXEL, OPTIONS[1])
    np.testing.assert_allclose(other.image.T, one.image, rtol=1e-5, atol=1e-6)


@given(st.integers(1, 80), st.integers(1, 80), st.floats(1, 250), st.floats(1, 500))
def test_the_grid_covers_the_field_with_less_than_a_bin_to_spare(
    height: int, width: int, pixel_nm: float, bin_nm: float
) -> None:
    g: Grid = grid(height, width, pixel_nm, bin_nm)
    for bins, pixels in ((g.rows, height), (g.columns, width)):
        assert -1e-5 < bins - pixels * pixel_nm / bin_nm < 1 + 1e-5


@given(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
def test_positions_survive_the_way_to_pixels_and_back(x: float, y: float) -> None:
    g = grid(512, 300, 107.3, 13.7)
    assert np.allclose(g.to_nm(*g.to_px(x, y)), (x, y), atol=1e-6)


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 50)),
    st.integers(1, 40),
)
def test_a_smaller_preview_loses_no_localization(image: npt.NDArray[np.float32], max_px: int) -> None:
    fitted, bin_nm = fit(image, 20.0, max_px)
    assert max(fitted.shape) <= max_px
    assert fitted.sum(dtype=float) == image.sum(dtype=float)
    factor = round(bin_nm / 20)
    assert fitted.shape == tuple(-(-n // factor) for n in image.shape)
    assert fitted[0, 0] == image[:factor, :factor].sum()
    assert factor == 1 or max(image.shape) > max_px * (factor - 1), "no more is summed than must be"


@given(st.floats(1, 1e7))
def test_an_automatic_scale_bar_is_round_and_near_a_fifth(width_nm: float) -> None:
    nm = bar_length_nm(width_nm)
    digit = nm / 10 ** math.floor(math.log10(nm) + 1e-9)
    assert any(math.isclose(digit, d) for d in (1, 2, 5))
    assert 0.2 / math.sqrt(2.51) < nm / width_nm < 0.2 * math.sqrt(2.51)


@given(st.sampled_from([d * 10.0**n for n in range(7) for d in (1, 2, 5)]))
def test_a_label_reads_back_as_the_length(length_nm: float) -> None:
    number, unit = length_label(length_nm).split()
    assert float(number) * {"nm": 1, "µm": 1e3, "mm": 1e6}[unit] == length_nm
    assert 1 <= float(number) < 1000


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.floats(1, 1000), st.one_of(st.just("auto"), st.floats(1, 1e7)))
def test_a_scale_bar_can_be_drawn_on_anything(rows: int, columns: int, bin_nm: float, length: float | str) -> None:
    rgb = colourise(np.zeros((rows, columns), np.float32), 1.0, colormap="hot")
    drawn = with_scale_bar(rgb, bin_nm, length)  # type: ignore[arg-type]  # hypothesis cannot say Literal
    assert drawn.shape[0] >= rows
    assert drawn.shape[1] >= columns
    assert drawn.max() == 255
