"""Text is spelled with the letters the font has, and the micro sign is a micro sign."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from locstream.rendering.lettering import draw_text, spelled, text_width

SIZE, BASELINE = 60, 80


def drawn(text: str, fill: str = "white", outline_px: int = 0, background: int = 0) -> npt.NDArray[np.uint8]:
    picture = Image.new("L", (240, 120), background)
    draw_text(ImageDraw.Draw(picture), 20, BASELINE, text, SIZE, fill, outline_px)
    return np.array(picture)


def test_the_micro_sign_is_a_u_with_a_stem_below_the_line() -> None:
    micro, u = drawn("µ").astype(int), drawn("u").astype(int)
    np.testing.assert_array_equal(micro[: BASELINE - 2, 40:], u[: BASELINE - 2, 40:])
    below = micro[BASELINE + 3 :]
    assert below.max() == 255
    assert not u[BASELINE + 3 :].any()
    columns = np.flatnonzero(micro.any(axis=0))
    stem = np.flatnonzero(below.any(axis=0))
    assert stem[0] >= columns[0]
    assert stem[-1] < columns.mean(), "the stem stands at the left"
    top = np.flatnonzero(micro.any(axis=1))[0]
    assert top == np.flatnonzero(u.any(axis=1))[0], "and not above the u"


def test_the_stem_follows_the_letters_before_it() -> None:
    first, third = (np.flatnonzero(drawn(t)[BASELINE + 3 :].any(axis=0))[0] for t in ("µ", "11µ"))
    assert third - first == pytest.approx(text_width("11", SIZE), abs=2)


def test_the_font_of_every_label_has_every_sign_of_it() -> None:
    """A sign the font lacks is drawn as the box it draws for an unassigned code point."""
    font = ImageFont.load_default(SIZE)
    box = bytes(font.getmask("\uffff"))
    for sign in "0123456789.nmu kIpx/,()-_":
        assert sign == " " or bytes(font.getmask(sign)) != box


def test_an_outline_surrounds_the_letters() -> None:
    plain, outlined = drawn("5 µm", background=128), drawn("5 µm", outline_px=3, background=128)
    assert (plain >= 128).all()
    black = outlined == 0
    assert black.any()
    white = plain > 250
    assert outlined[white].min() > 240, "the outline covers no letter"
    rows, columns = white.nonzero()
    assert black.nonzero()[0].min() < rows.min()
    assert black.nonzero()[1].min() < columns.min()


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("COS-7 cell_3 (647)", "COS-7 cell_3 (647)"),
        ("Müller, naïve Ångström", "Muller, naive Angstrom"),
        ("α-tubulin", "alpha-tubulin"),
        ("β2-Adrenozeptor", "beta2-Adrenozeptor"),
        ("3 µM", "3 µM"),
        ("10²", "102"),
        ("細胞", "??"),
        ("a\ud800b", "a?b"),
        ("", ""),
    ],
)
def test_names_are_spelled_with_what_there_is(text: str, letters: str) -> None:
    assert spelled(text) == letters


def test_width_grows_with_text_and_size() -> None:
    assert text_width("", 20) == 0
    assert text_width("µm", 20) == text_width("um", 20) > 0
    assert text_width("500 nm", 40) == pytest.approx(2 * text_width("500 nm", 20), rel=0.1)
