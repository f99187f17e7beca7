"""From localizations to a picture, in batches of any size and with flat memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from locstream.localizations import Localizations
from locstream.rendering import gaussian, histogram
from locstream.rendering.grid import Grid, Picture, Tally, grid
from locstream.rendering.options import Mode, RenderOptions

ROWS_AT_ONCE = 262_144
"""Rows whose columns are copied for a kernel at one time; a few MB, whatever the size of the table."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """A picture with the quantities still in it.

    Parameters
    ----------
    image
        Shape `grid.shape`, float32, localizations per rendered pixel.
    grid
        Where its pixels lie in the sample.
    tally
        How many localizations are in it, and how many are not.
    mode
        How they were drawn.
    """

    image: Picture
    grid: Grid
    tally: Tally
    mode: Mode


class Renderer:
    """Accumulates batches of localizations into one picture.

    Used from one thread; the kernels release the GIL. Memory is that of the picture, 4 bytes a pixel.

    Parameters
    ----------
    height_px, width_px
        Shape of the camera's frames, px.
    pixel_size_nm
        Edge of a camera pixel in the sample, nm.
    options
        Bin, mode and blur; the colours play no part here.

    Raises
    ------
    ConfigError
        A size is not positive, or the picture would be too large for memory.
    """

    def __init__(self, height_px: int, width_px: int, pixel_size_nm: float, options: RenderOptions) -> None:
        self._options = options
        self._grid = grid(height_px, width_px, pixel_size_nm, options.bin_nm)
        self._image = np.zeros(self._grid.shape, np.float32)
        self._tally = Tally()

    def add(self, rows: Localizations) -> None:
        """Draw a batch: shape (n,), dtype `LOCALIZATION`. Every row is drawn; filter before."""
        for start in range(0, len(rows), ROWS_AT_ONCE):
            self._tally += self._draw(rows[start : start + ROWS_AT_ONCE])

    def _draw(self, rows: Localizations) -> Tally:
        if self._options.mode == "histogram":
            return histogram.accumulate(self._image, self._grid, rows["x_nm"], rows["y_nm"])
        return gaussian.accumulate(
            self._image,
            self._grid,
            rows["x_nm"],
            rows["y_nm"],
            rows["x_uncertainty_nm"],
            rows["y_uncertainty_nm"],
            min_blur_nm=self._options.min_blur_nm,
            max_blur_nm=self._options.max_blur_nm,
        )

    @property
    def rendered(self) -> Rendered:
        """The picture so far; its image is the live one, not a copy."""
        return Rendered(self._image, self._grid, self._tally, self._options.mode)


def render(
    rows: Localizations | Iterable[Localizations],
    height_px: int,
    width_px: int,
    pixel_size_nm: float,
    options: RenderOptions,
) -> Rendered:
    """Render a table, or batches of one, over the camera's field of view.

    Parameters
    ----------
    rows
        A table of dtype `LOCALIZATION`, or an iterable of such tables, which need never be in memory
        at once.
    height_px, width_px
        Shape of the camera's frames, px.
    pixel_size_nm
        Edge of a camera pixel in the sample, nm.
    options
        Bin, mode and blur.

    Returns
    -------
    Rendered
        Image, grid and tally.

    Raises
    ------
    ConfigError
        As for `Renderer`.
    """
    renderer = Renderer(height_px, width_px, pixel_size_nm, options)
    for batch in [rows] if isinstance(rows, np.ndarray) else rows:
        renderer.add(batch)
    return renderer.rendered
