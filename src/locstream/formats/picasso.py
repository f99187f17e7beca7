"""Picasso's localization table and metadata: the one place where nm become camera pixels and back.

Picasso counts positions in camera pixels from the **centre of pixel (0, 0)**, as locstream does in nm,
so the conversion is a division by the pixel size and nothing else. Widths and precisions are in pixels too,
intensities in photons, frames from 0. Its readers refuse nested and array columns, and they drop without
a word every row with a value that is not finite or that lies outside the picture (`kept_by_picasso`).

Picasso: Schnitzbauer et al., Nature Protocols 12, 1198 (2017).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import yaml

from locstream.errors import ResultsError
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations, empty


class Column(NamedTuple):
    """One column of Picasso's: its name and type, ours, and whether it is a length in camera pixels."""

    name: str
    dtype: str
    ours: str
    in_pixels: bool = False


COLUMNS: tuple[Column, ...] = (
    Column("frame", "<u4", "frame"),
    Column("x", "<f4", "x_nm", in_pixels=True),
    Column("y", "<f4", "y_nm", in_pixels=True),
    Column("photons", "<f4", "photons"),
    Column("sx", "<f4", "sigma_x_nm", in_pixels=True),
    Column("sy", "<f4", "sigma_y_nm", in_pixels=True),
    Column("bg", "<f4", "background"),
    Column("lpx", "<f4", "x_uncertainty_nm", in_pixels=True),
    Column("lpy", "<f4", "y_uncertainty_nm", in_pixels=True),
    Column("photons_unc", "<f4", "photons_uncertainty"),
    Column("bg_unc", "<f4", "background_uncertainty"),
    Column("sx_unc", "<f4", "sigma_x_uncertainty_nm", in_pixels=True),
    Column("sy_unc", "<f4", "sigma_y_uncertainty_nm", in_pixels=True),
    Column("chi_square", "<f4", "chi2"),
    Column("iterations", "<i4", "iterations"),
    Column("status", "<u2", "status"),
)
"""Picasso's names for our columns. `status` is ours: Picasso carries extra scalar columns along."""

DEPTH_COLUMNS: tuple[Column, ...] = (Column("z", "<f4", "z_nm"), Column("lpz", "<f4", "z_uncertainty_nm"))
"""What a table with depth has besides; Picasso takes depths in nm."""

PICASSO = np.dtype([(c.name, c.dtype) for c in COLUMNS])
"""The structured dtype of `/locs`, packed, 62 bytes a row."""
PICASSO_3D = np.dtype([(c.name, c.dtype) for c in (*COLUMNS, *DEPTH_COLUMNS)])
"""The same with depth, 70 bytes a row."""

PicassoRows = npt.NDArray[np.void]
"""A one-dimensional array of dtype `PICASSO`, or of any table that Picasso wrote."""

_REQUIRED = ("frame", "x", "y")
_NOT_NEGATIVE = ("x", "y", "lpx", "lpy", "photons", "sx", "sy")

Document = dict[str, Any]
"""One document of Picasso's metadata: text keys, values that JSON can hold."""


def to_picasso(table: Localizations, pixel_size_nm: float) -> PicassoRows:
    """Convert localizations to Picasso's columns.

    Parameters
    ----------
    table
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, nm.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.

    Returns
    -------
    numpy.ndarray
        Shape (n,), dtype `PICASSO`, or `PICASSO_3D` where the table has depth, camera pixels. There is no
        ``net_gradient``: it is the value of Picasso's own detection, and nothing in Picasso 0.11 needs it.
    """
    with_depth = table.dtype == LOCALIZATION_3D
    rows = np.empty(len(table), PICASSO_3D if with_depth else PICASSO)
    for column in (*COLUMNS, *DEPTH_COLUMNS) if with_depth else COLUMNS:
        values = table[column.ours]
        rows[column.name] = values.astype(np.float64) / pixel_size_nm if column.in_pixels else values
    return rows


def from_picasso(rows: PicassoRows, pixel_size_nm: float) -> Localizations:
    """Convert a table in Picasso's columns to localizations.

    Columns that Picasso did not write become 0, which stands for "not known"; columns that this
    project does not know are left out.

    Parameters
    ----------
    rows
        Shape (n,), a structured array with at least ``frame``, ``x``, ``y``, camera pixels.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.

    Returns
    -------
    numpy.ndarray
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, or `LOCALIZATION_3D` where there is a
        column ``z``, nm. A position that went through
        `to_picasso` comes back within two units in the last place of float32, 0.02 nm in 100 µm.

    Raises
    ------
    ResultsError
        A required column is missing, or a frame number is negative.
    """
    names = rows.dtype.names or ()
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise ResultsError(f"the table has no column {', '.join(missing)}; it has {', '.join(names) or 'none'}")
    if len(rows) and rows["frame"].min() < 0:
        raise ResultsError(f"the table has frame {rows['frame'].min()}; frames count from 0")
    table = empty(len(rows), LOCALIZATION_3D if "z" in names else LOCALIZATION)
    for column in (*COLUMNS, *DEPTH_COLUMNS):
        if column.name not in names:
            continue
        values = rows[column.name]
        if column.in_pixels:
            values = values.astype(np.float64) * pixel_size_nm
        elif column.name in ("iterations", "status"):
            values = np.clip(values, 0, np.iinfo(np.uint16).max)
        table[column.ours] = values
    return table


def as_stored(table: Localizations, pixel_size_nm: float) -> Localizations:
    """Return localizations as every reader of a results file sees them: what is published, to the last bit.

    Parameters
    ----------
    table
        Shape (n,), dtype `locstream.localizations.LOCALIZATION` or `LOCALIZATION_3D`, nm.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.

    Returns
    -------
    numpy.ndarray
        The same shape and dtype, nm, after rounding to float32 pixels and back.
    """
    return from_picasso(to_picasso(table, pixel_size_nm), pixel_size_nm)


def kept_by_picasso(rows: PicassoRows, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return which rows Picasso keeps when it opens a file; it drops the others without a word.

    Parameters
    ----------
    rows
        Shape (n,), dtype `PICASSO` or `PICASSO_3D`.
    height, width
        Shape of the frames, px.

    Returns
    -------
    numpy.ndarray
        Shape (n,), bool: every value is finite, 0 ≤ x < width, 0 ≤ y < height, and no width,
        precision or photon count is negative.
    """
    kept = (rows["x"] < width) & (rows["y"] < height)
    for name in _NOT_NEGATIVE:
        kept &= rows[name] >= 0
    for column in (*COLUMNS, *DEPTH_COLUMNS):
        if column.dtype == "<f4" and column.name in (rows.dtype.names or ()):
            kept &= np.isfinite(rows[column.name])
    return kept


def storable(table: Localizations, pixel_size_nm: float, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return which localizations a results file may hold: those that Picasso keeps.

    The test is made on the values as they will be stored, after rounding to float32 pixels.

    Parameters
    ----------
    table
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, nm.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.
    height, width
        Shape of the frames, px.

    Returns
    -------
    numpy.ndarray
        Shape (n,), bool; see `kept_by_picasso`.
    """
    return kept_by_picasso(to_picasso(table, pixel_size_nm), height, width)


def yaml_documents(
    *,
    width: int,
    height: int,
    frames: int,
    pixel_size_nm: float,
    generated_by: str,
    camera: str = "",
    extra: Mapping[str, Any] | None = None,
) -> list[Document]:
    """Return the metadata that Picasso needs, as the documents of its ``.yaml`` and ``/metadata``.

    Parameters
    ----------
    width, height
        Shape of the frames, px.
    frames
        Number of frames; Picasso takes 0 for "missing" and refuses the file, so 1 is the least.
    pixel_size_nm
        Edge of a camera pixel in the sample plane, nm.
    generated_by
        Program and version.
    camera
        Name of the camera, "" where unknown.
    extra
        More keys for the last document; the values must be what JSON can hold.
    """
    movie: Document = {
        "Generated by": f"{generated_by} Acquisition",
        "Camera": camera or "unknown",
        "Width": int(width),
        "Height": int(height),
        "Frames": max(int(frames), 1),
        "Data Type": "uint16",
        "Pixelsize": float(pixel_size_nm),
    }
    localize: Document = {
        "Generated by": f"{generated_by} Localize",
        "Pixelsize": float(pixel_size_nm),
        **(extra or {}),
    }
    return [movie, localize]


def yaml_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the documents as the text of a ``.yaml`` file, parted by ``---``."""
    return yaml.safe_dump_all([dict(d) for d in documents], sort_keys=False, allow_unicode=True)


@dataclass(frozen=True, eq=False)
class PicassoTable:
    """A localization file of Picasso's, in locstream's units.

    Parameters
    ----------
    table
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`, nm.
    pixel_size_nm
        Edge of a camera pixel, nm.
    width, height, frames
        Shape of the movie, px and number of frames; None where the file does not say.
    documents
        The metadata as read.
    """

    table: Localizations
    pixel_size_nm: float
    width: int | None
    height: int | None
    frames: int | None
    documents: tuple[Document, ...]


def read_picasso(path: Path, pixel_size_nm: float | None = None) -> PicassoTable:
    """Read any ``_locs.hdf5`` that Picasso wrote, with the metadata beside it or inside it.

    The ``.yaml`` file wins over ``/metadata``, as in Picasso. It is read as plain data: a document
    that names Python objects, which Picasso would build, is refused.

    Parameters
    ----------
    path
        The ``.hdf5`` file.
    pixel_size_nm
        Edge of a camera pixel, nm; None takes it from the metadata.

    Raises
    ------
    ResultsError
        The file is not a localization table of Picasso's, or the pixel size is not known.
    """
    try:
        with h5py.File(path, "r") as file:
            locs = file.get("locs")
            if not isinstance(locs, h5py.Dataset) or locs.dtype.names is None or locs.ndim != 1:
                raise ResultsError(f"{path} holds no localization table: Picasso calls it `locs`")
            rows = locs[:]
            documents = _documents(path, file)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error}") from error
    if pixel_size_nm is None:
        pixel_size_nm = _number(documents, "Pixelsize")
    if pixel_size_nm is None or pixel_size_nm <= 0:
        raise ResultsError(
            f"the metadata of {path} has no Pixelsize, so its pixels cannot be turned into nm",
            todo="give pixel_size_nm, the edge of a camera pixel in the sample",
        )
    width, height, frames = (_number(documents, key) for key in ("Width", "Height", "Frames"))
    return PicassoTable(
        table=from_picasso(rows, pixel_size_nm),
        pixel_size_nm=pixel_size_nm,
        width=None if width is None else int(width),
        height=None if height is None else int(height),
        frames=None if frames is None else int(frames),
        documents=tuple(documents),
    )


def _documents(path: Path, file: h5py.File) -> list[Document]:
    sidecar = path.with_suffix(".yaml")
    try:
        if sidecar.exists():
            found: object = list(yaml.safe_load_all(sidecar.read_text("utf-8")))
        elif isinstance(file.get("metadata"), h5py.Dataset):
            sidecar = path
            found = json.loads(file["metadata"][()])
        else:
            found = []
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ResultsError(
            f"the metadata in {sidecar} cannot be read as plain data: {error}",
            todo="open the file in Picasso 0.11 or newer and save it again",
        ) from error
    if not isinstance(found, list) or not all(isinstance(document, dict) for document in found):
        raise ResultsError(f"the metadata in {sidecar} is not a list of documents with keys")
    return found


def _number(documents: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Return the value that Picasso would use: the last document that has one wins."""
    for document in reversed(documents):
        value = document.get(key)
        if isinstance(value, int | float) and value:
            return float(value)
    return None
