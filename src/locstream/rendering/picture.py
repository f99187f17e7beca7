"""The picture for people: contrast, colour, scale bar and caption, and its PNG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from locstream.rendering.colour import Rgb, colourise, full_scale
from locstream.rendering.grid import Picture
from locstream.rendering.options import RenderOptions
from locstream.rendering.render import Rendered
from locstream.rendering.scale_bar import with_caption, with_scale_bar

SMALLEST_SIDE_PX = 256
"""A smaller preview is enlarged, each pixel a square of whole pixels, so that its scale bar can be read."""

PNG_MAX_PX_PER_METRE = 2**31 - 1
METRE_PER_INCH = 0.0254


@dataclass(frozen=True, eq=False)
class Preview:
    """A picture ready for a screen.

    Parameters
    ----------
    rgb
        Shape (rows, columns, 3), uint8. Pixel (0, 0) starts where that of the rendered picture starts.
    bin_nm
        Edge of one of its pixels in the sample, nm; a multiple or a fraction of the rendered one.
    brightest
        What takes the brightest colour, localizations per pixel of `shown_nm`.
    shown_nm
        Edge of the smallest square of one colour, nm: `bin_nm`, or more where the picture was enlarged.
    """

    rgb: Rgb
    bin_nm: float
    brightest: float
    shown_nm: float


def preview(rendered: Rendered, options: RenderOptions, name: str = "") -> Preview:
    """Return a rendered picture as it is shown: in colour, with a scale bar and, if asked for, a caption.

    A picture with a side above `options.preview_max_px` is summed in whole pixels, one whose shorter
    side is below `SMALLEST_SIDE_PX` is enlarged in whole pixels; neither is interpolated.

    Parameters
    ----------
    rendered
        The picture with its quantities.
    options
        Contrast, colour, scale bar, caption, largest side.
    name
        First part of the caption; "" for none.

    Returns
    -------
    Preview
        Black (the map's lowest colour) with a scale bar where nothing was rendered.
    """
    image, shown_nm = fit(rendered.image, rendered.grid.bin_nm, options.preview_max_px)
    brightest = full_scale(image, options.contrast_percentile)
    rgb = colourise(image, brightest, colormap=options.colormap, gamma=options.gamma)
    rgb, bin_nm = _enlarged(rgb, shown_nm, options.preview_max_px)
    rgb = with_scale_bar(rgb, bin_nm, options.scale_bar_nm)
    if options.caption:
        count = f"{rendered.tally.inside:,} localizations"
        rgb = with_caption(rgb, [*([name] if name else []), count, f"{shown_nm:.4g} nm/px"])
    return Preview(rgb, bin_nm, brightest, shown_nm)


def fit(image: Picture, bin_nm: float, max_px: int) -> tuple[Picture, float]:
    """Return the image summed in squares of whole pixels until no side exceeds `max_px`, and its bin.

    Where the square does not divide a side, the last row or column sums what is left, so that the sum
    over the picture stays what it was.

    Parameters
    ----------
    image
        Shape (rows, columns), float32.
    bin_nm
        Edge of a pixel, nm.
    max_px
        Longest side allowed, px.
    """
    factor = -(-max(image.shape) // max_px)
    if factor == 1:
        return image, bin_nm
    summed = np.add.reduceat(image, np.arange(0, image.shape[0], factor), axis=0)
    return np.add.reduceat(summed, np.arange(0, image.shape[1], factor), axis=1), bin_nm * factor


def _enlarged(rgb: Rgb, bin_nm: float, max_px: int) -> tuple[Rgb, float]:
    shorter, longer = sorted(rgb.shape[:2])
    factor = max(1, min(-(-SMALLEST_SIDE_PX // shorter), max_px // longer))
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1), bin_nm / factor


def save_png(path: Path, rgb: Rgb, bin_nm: float, text: Mapping[str, str] | None = None) -> None:
    """Write a PNG that knows its physical resolution (chunk pHYs) and carries text.

    Parameters
    ----------
    path
        Written in place; see `locstream.bundle.images` for all or nothing.
    rgb
        Shape (rows, columns, 3), uint8.
    bin_nm
        Edge of a pixel in the sample, nm. Below 0.5 nm the chunk holds the finest resolution PNG knows.
    text
        Keywords and their text, for example {"Title": "…", "Software": "…"}.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_text(keyword, value)
    per_inch = min(1e9 / bin_nm, PNG_MAX_PX_PER_METRE) * METRE_PER_INCH
    Image.fromarray(rgb).save(path, format="PNG", pnginfo=chunks, dpi=(per_inch, per_inch))
