"""Text on a picture, in the one font that is present everywhere: the one Pillow carries.

That font knows little beyond ASCII. The micro sign of every scale bar is put together from its letters,
and a caption is spelled with what there is; the files' metadata keep every name as it was given.
"""

from __future__ import annotations

import unicodedata

from PIL import ImageDraw, ImageFont

MICRO = "µ"


def spelled(text: str) -> str:
    """Return text in the letters the font has: "Müller, α-tubulin, 3 µM" as "Muller, alpha-tubulin, 3 µM"."""
    return "".join(_spelled(c) for c in text)


def _spelled(character: str) -> str:
    if character.isascii() or character == MICRO:
        return character
    base = unicodedata.normalize("NFKD", character)[0]
    if base.isascii():
        return base
    words = unicodedata.name(base, "?").split()
    return words[-1].lower() if words[0] == "GREEK" else "?"


def text_width(text: str, size_px: int) -> float:
    """Return how far a text reaches to the right, px."""
    return _font(size_px).getlength(text.replace(MICRO, "u"))


def draw_text(
    draw: ImageDraw.ImageDraw, left: float, baseline: float, text: str, size_px: int, fill: str, outline_px: int = 0
) -> None:
    """Draw a line of text.

    Parameters
    ----------
    draw
        On what.
    left, baseline
        Column where the text begins and row on which the letters stand, px.
    text
        Only what the font has, see `spelled`, and the micro sign.
    size_px
        Size of the font.
    fill
        Colour.
    outline_px
        Width of a black outline around every letter.
    """
    font = _font(size_px)
    pieces = [(left, baseline, text.replace(MICRO, "u"))]
    # µ is a u whose left stem goes on below the line: an I, let down until the tops are level.
    u_left, u_top, _, _ = font.getbbox("u", anchor="ls")
    stem_left, stem_top, _, _ = font.getbbox("I", anchor="ls")
    for i, character in enumerate(text):
        if character == MICRO:
            column = left + text_width(text[:i], size_px) + u_left - stem_left
            pieces.append((column, baseline + u_top - stem_top, "I"))
    if outline_px:
        for column, row, piece in pieces:
            draw.text((column, row), piece, "black", font, anchor="ls", stroke_width=outline_px)
    for column, row, piece in pieces:
        draw.text((column, row), piece, fill, font, anchor="ls")


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; its wheels have it")
    return font
