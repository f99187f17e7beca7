"""What is drawn for the eye: the scale bar, and a strip with a caption under the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from locstream.rendering.colour import Rgb
from locstream.rendering.lettering import draw_text, spelled, text_width
from locstream.rendering.options import ScaleBar

BAR_FRACTION = 0.2
"""Share of the width that an automatic scale bar comes closest to."""

LONGEST_FRACTION = 0.9
"""Share of the width above which a bar of a given length does not fit."""

FONT_FRACTION = 0.035
"""Size of the letters over the picture's shorter side."""

SMALLEST_FONT_PX = 13
CAPTION_COLOUR = "#bebebe"
BETWEEN_PARTS = "   "


def bar_length_nm(width_nm: float) -> float:
    """Return the length of the form 1, 2 or 5 × 10ⁿ nm that is closest, as a ratio, to a fifth of the width."""
    wanted_nm = BAR_FRACTION * width_nm
    decade = math.floor(math.log10(wanted_nm))
    round_nm = [digit * 10.0**n for n in (decade, decade + 1) for digit in (1, 2, 5)]
    return min(round_nm, key=lambda nm: abs(math.log(nm / wanted_nm)))


def length_label(length_nm: float) -> str:
    """Return a length with the unit that suits it: "500 nm", "2 µm", "1.5 mm"."""
    for unit, nm in (("mm", 1e6), ("µm", 1e3)):
        if length_nm >= nm:
            return f"{length_nm / nm:.4g} {unit}"
    return f"{length_nm:.4g} nm"


def with_scale_bar(rgb: Rgb, bin_nm: float, length_nm: ScaleBar = "auto") -> Rgb:
    """Return a copy with a white bar and its length in the lower right corner, outlined in black.

    Parameters
    ----------
    rgb
        Shape (rows, columns, 3), uint8.
    bin_nm
        Edge of a pixel of `rgb` in the sample, nm.
    length_nm
        Length of the bar, nm, or "auto". One longer than `LONGEST_FRACTION` of the width becomes "auto".

    Returns
    -------
    numpy.ndarray
        The same shape. Only a picture too small for legible letters is first extended, in black, at its
        right and lower edge.
    """
    columns = rgb.shape[1]
    if length_nm == "auto" or length_nm > LONGEST_FRACTION * columns * bin_nm:
        length_nm = bar_length_nm(columns * bin_nm)
    label, size = length_label(length_nm), _font_px(rgb)
    margin, thickness, gap, outline = (max(1, round(share * size)) for share in (0.8, 0.3, 0.35, 0.07))
    length = max(1, round(length_nm / bin_nm))
    label_width = math.ceil(text_width(label, size))
    rgb = _extended(rgb, size + gap + thickness + 2 * margin, max(length, label_width) + 2 * margin)

    right, bottom = rgb.shape[1] - margin, rgb.shape[0] - margin
    left, top = right - length, bottom - thickness
    picture = Image.fromarray(rgb)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - outline, top - outline, right + outline - 1, bottom + outline - 1), fill="black")
    draw.rectangle((left, top, right - 1, bottom - 1), fill="white")
    # Centred over the bar, but never beyond it on the side of the picture's edge.
    label_left = min(left + (length - label_width) // 2, right - label_width)
    draw_text(draw, label_left, top - gap, label, size, "white", outline_px=outline)
    return np.array(picture)


def with_caption(rgb: Rgb, parts: Sequence[str]) -> Rgb:
    """Return the picture with a black strip under it that carries a caption.

    The picture itself is neither covered nor scaled. Parts that do not fit beside each other take
    further lines, and one wider than the picture is cut with an ellipsis.

    Parameters
    ----------
    rgb
        Shape (rows, columns, 3), uint8.
    parts
        What to write; a part is not broken.

    Returns
    -------
    numpy.ndarray
        Shape (rows + strip, columns, 3), uint8.
    """
    columns = rgb.shape[1]
    size = max(SMALLEST_FONT_PX - 1, round(0.75 * _font_px(rgb)))
    margin, line_height = round(0.6 * size), round(1.35 * size)
    lines = _wrapped([spelled(p) for p in parts], size, columns - 2 * margin)
    strip = Image.new("RGB", (columns, 2 * margin + line_height * len(lines)))
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        draw_text(draw, margin, margin + i * line_height + size, line, size, CAPTION_COLOUR)
    return np.concatenate([rgb, np.array(strip)])


def _font_px(rgb: Rgb) -> int:
    shorter = min(rgb.shape[:2])
    return max(SMALLEST_FONT_PX, int(FONT_FRACTION * shorter + 0.5))


def _extended(rgb: Rgb, rows: int, columns: int) -> Rgb:
    below, beside = max(0, rows - rgb.shape[0]), max(0, columns - rgb.shape[1])
    return np.pad(rgb, ((0, below), (0, beside), (0, 0)))


def _wrapped(parts: Sequence[str], size: int, width: int) -> list[str]:
    lines: list[str] = []
    for part in parts:
        joined = f"{lines[-1]}{BETWEEN_PARTS}{part}" if lines else part
        if lines and text_width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(_cut(part, size, width))
    return lines


def _cut(text: str, size: int, width: int) -> str:
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text + "..."
