"""The scale bar is as long as it says, and can be read on any picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from locstream.rendering.colour import Rgb
from locstream.rendering.scale_bar import bar_length_nm, length_label, with_caption, with_scale_bar

WHITE = 255


def flat(rows: int, columns: int, grey: int = 0) -> Rgb:
    return np.full((rows, columns, 3), grey, np.uint8)


def longest_run(row: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return first index and length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
    starts, lengths = edges[::2], np.diff(edges)[::2]
    best = int(np.argmax(lengths))
    return int(starts[best]), int(lengths[best])


def bar_of(rgb: Rgb) -> tuple[int, int, int, int]:
    """Return top, bottom (past the last), left and length of the bar: the lowest white block of a black picture."""
    white = (rgb == WHITE).all(axis=2)
    bottom = int(np.flatnonzero(white.any(axis=1))[-1]) + 1
    left, length = longest_run(white[bottom - 1])
    top = bottom
    while top and white[top - 1, left : left + length].all():
        top -= 1
    return top, bottom, left, length


@pytest.mark.parametrize("shape", [(300, 300), (700, 500), (256, 2000), (4000, 4000)])
@pytest.mark.parametrize("bin_nm", [5.0, 20.0, 33.3])
def test_the_bar_is_as_long_as_it_says(shape: tuple[int, int], bin_nm: float) -> None:
    drawn = with_scale_bar(flat(*shape), bin_nm)
    assert drawn.shape == (*shape, 3)
    _, _, _, length = bar_of(drawn)
    assert length == round(bar_length_nm(shape[1] * bin_nm) / bin_nm)
    assert 0.12 * shape[1] < length < 0.33 * shape[1]


def test_a_given_length_is_drawn() -> None:
    *_, length = bar_of(with_scale_bar(flat(400, 400), 20.0, 3000.0))
    assert length == 150


def test_a_bar_that_does_not_fit_becomes_one_that_does() -> None:
    asked, automatic = (with_scale_bar(flat(400, 400), 20.0, nm) for nm in (7201.0, "auto"))
    np.testing.assert_array_equal(asked, automatic)
    *_, length = bar_of(with_scale_bar(flat(400, 400), 20.0, 7200.0))
    assert length == 360


@pytest.mark.parametrize("side", [256, 300, 1000, 4000])
def test_bar_and_letters_can_be_read_and_stand_in_the_lower_right_corner(side: int) -> None:
    drawn = with_scale_bar(flat(side, side), 20.0)
    top, bottom, left, length = bar_of(drawn)
    assert bottom - top >= max(3, side // 150)
    assert side * 0.6 < left
    for gap in (side - bottom, side - left - length):
        assert 8 <= gap <= 0.1 * side
    letters = (drawn[:top].max(axis=2) > 128).nonzero()[0]
    assert np.ptp(letters) + 1 >= max(9, side / 45)
    assert top - letters.max() > 1, "letters and bar do not touch"


@pytest.mark.parametrize("grey", [255, 128, 0])
def test_a_black_outline_parts_it_from_any_background(grey: int) -> None:
    drawn = with_scale_bar(flat(600, 600, grey), 20.0)
    length = round(bar_length_nm(600 * 20) / 20)
    black = (drawn == 0).all(axis=2)
    if grey:
        assert longest_run(black.any(axis=0))[1] >= length + 2
        assert np.count_nonzero([longest_run(row)[1] >= length + 2 if row.any() else False for row in black]) >= 2
    assert (drawn == WHITE).all(axis=2).any()


def test_the_label_differs_with_the_length() -> None:
    labels = []
    for nm in (1000.0, 2000.0, 500.0):
        drawn = with_scale_bar(flat(500, 500), 20.0, nm)
        labels.append(drawn[: bar_of(drawn)[0]])
    for i, one in enumerate(labels):
        assert one.any()
        for other in labels[:i]:
            assert not np.array_equal(one, other)


@pytest.mark.parametrize("shape", [(1, 1), (4, 2000), (2000, 4), (20, 20)])
def test_a_picture_too_small_is_extended_not_spoilt(shape: tuple[int, int]) -> None:
    grey = 77
    drawn = with_scale_bar(flat(*shape, grey), 20.0)
    assert drawn.shape[0] >= 30
    assert drawn.shape[1] >= 30
    top, bottom, left, length = bar_of(drawn)
    assert left >= 0
    assert left + length <= drawn.shape[1]
    assert length == max(1, round(bar_length_nm(shape[1] * 20) / 20))
    assert bottom <= drawn.shape[0]
    letters = drawn[:top].max(axis=2) > 200
    assert np.ptp(letters.nonzero()[0]) >= 8
    assert not letters[:, 0].any(), "no letter is cut at the left"


def test_the_picture_given_is_not_drawn_on() -> None:
    rgb = flat(300, 300, 9)
    with_scale_bar(rgb, 20.0)
    with_caption(rgb, ["a"])
    assert np.all(rgb == 9)


@pytest.mark.parametrize(
    ("nm", "label"),
    [
        (20, "20 nm"),
        (500, "500 nm"),
        (999.96, "1000 nm"),
        (1000, "1 µm"),
        (1500, "1.5 µm"),
        (2e4, "20 µm"),
        (1e6, "1 mm"),
    ],
)
def test_labels_carry_the_unit_that_suits(nm: float, label: str) -> None:
    assert length_label(nm) == label


def test_a_caption_stands_under_the_picture() -> None:
    rgb = flat(300, 400, 50)
    captioned = with_caption(rgb, ["tubulin 3", "1,234 localizations"])
    np.testing.assert_array_equal(captioned[:300], rgb)
    strip = captioned[300:]
    assert 12 <= len(strip) <= 40
    assert strip.shape[1] == 400
    assert strip.max() > 150
    for edge in (strip[0], strip[-1], strip[:, 0], strip[:, -1]):
        assert not edge.any(), "no letter is cut"


def test_parts_that_do_not_fit_take_further_lines() -> None:
    parts = ["a rather long name of a run", "1,234,567 localizations", "20 nm/px"]
    wide, narrow = (len(with_caption(flat(300, columns), parts)) - 300 for columns in (1000, 200))
    assert narrow > 2 * wide


def test_a_part_wider_than_the_picture_is_cut_inside_it() -> None:
    strip = with_caption(flat(300, 300), ["x" * 500])[300:]
    assert len(strip) < 40
    assert strip.max() > 150
    assert not strip[:, -1].any()


def test_larger_pictures_have_larger_captions() -> None:
    small, large = (len(with_caption(flat(side, side), ["name"])) - side for side in (300, 4000))
    assert large > 5 * small
