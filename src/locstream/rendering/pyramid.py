"""Smaller copies of a picture, which viewers show when it is zoomed out."""

from __future__ import annotations

import numpy as np

from locstream.rendering.grid import Picture


def smaller_copies(image: Picture, smallest_px: int) -> list[Picture]:
    """Return copies of half the size and less, each the mean of 2 × 2 pixels of the one before.

    Parameters
    ----------
    image
        Shape (rows, columns).
    smallest_px
        The last one has no side longer than this; there is none where the picture has none itself.
    """
    copies: list[Picture] = []
    while max(image.shape) > smallest_px:
        image = _halved(image)
        copies.append(image)
    return copies


def _halved(image: Picture) -> Picture:
    # An odd last row or column is left out of the smaller copy, as viewers expect of a pyramid.
    rows, columns = (max(1, n // 2) for n in image.shape)
    down, across = (min(2, n) for n in image.shape)
    squares = image[: rows * down, : columns * across].reshape(rows, down, columns, across)
    return np.asarray(squares.mean(axis=(1, 3), dtype=np.float32), np.float32)
