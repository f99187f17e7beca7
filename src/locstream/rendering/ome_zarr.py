"""The reconstruction as OME-Zarr 0.5: a folder that web viewers and napari read piece by piece, over a network too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import locstream
from locstream.errors import ConfigError
from locstream.rendering.grid import Grid, Picture
from locstream.rendering.pyramid import smaller_copies

VERSION = "0.5"
"""Of the OME-NGFF specification."""
CHUNK_PX = 256
NANOMETER = "nanometer"


def zarr_is_there() -> bool:
    """Say whether the library that writes Zarr, an optional extra, is installed."""
    return importlib.util.find_spec("zarr") is not None


def require_zarr() -> None:
    """Raise `ConfigError` where the library that writes Zarr is not installed."""
    if not zarr_is_there():
        raise ConfigError(
            "the OME-Zarr reconstruction needs the Python package zarr, which is not installed",
            todo='`pip install "locstream[zarr]"`, or leave "ome-zarr" out of bundle.also',
        )


def save_ome_zarr(folder: Path, image: Picture, grid: Grid, name: str) -> None:
    """Write the picture and its smaller copies as float32, axes y and x, in nm.

    Its coordinates are those of the localizations: the origin is the centre of the camera's pixel (0, 0). Each level is
    one shard, so that the folder has few files.

    Parameters
    ----------
    folder
        Made here; it must not be there yet.
    image
        Shape (rows, columns), float32, localizations per pixel; row 0 is the top.
    grid
        Where its pixels lie.
    name
        Name of the image.

    Raises
    ------
    ConfigError
        The library zarr is not installed.
    OSError
        The disk refuses.
    """
    require_zarr()
    import zarr

    levels = [image, *smaller_copies(image, CHUNK_PX)]
    group = zarr.create_group(folder, zarr_format=3)
    for number, level in enumerate(levels):
        chunk = tuple(min(CHUNK_PX, n) for n in level.shape)
        array = group.create_array(
            str(number),
            shape=level.shape,
            dtype=level.dtype,
            chunks=chunk,
            shards=tuple(-(-n // c) * c for n, c in zip(level.shape, chunk, strict=True)),
            dimension_names=("y", "x"),
        )
        array[:] = level
    group.attrs["ome"] = _attributes(grid, len(levels), name, float(image.max(initial=0)))


def _attributes(grid: Grid, levels: int, name: str, brightest: float) -> dict[str, Any]:
    def dataset(level: int) -> dict[str, Any]:
        size_nm = grid.bin_nm * 2**level
        first_nm = [grid.top_nm + size_nm / 2, grid.left_nm + size_nm / 2]  # centre of its first pixel
        return {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [size_nm, size_nm]},
                {"type": "translation", "translation": first_nm},
            ],
        }

    return {
        "version": VERSION,
        "multiscales": [
            {
                "name": name,
                "axes": [{"name": axis, "type": "space", "unit": NANOMETER} for axis in ("y", "x")],
                "datasets": [dataset(level) for level in range(levels)],
                "type": "mean",
                "metadata": {
                    "description": "each pixel the mean of 2 × 2 of the level before",
                    "pixel": "localizations",
                },
            }
        ],
        "omero": {
            "channels": [
                {
                    "label": "localizations per pixel",
                    "color": "FFFFFF",
                    "window": {"min": 0, "start": 0, **dict.fromkeys(("end", "max"), brightest)},
                }
            ]
        },
        "_creator": {"name": "locstream", "version": locstream.__version__},
    }
