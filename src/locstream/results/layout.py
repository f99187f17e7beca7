"""What lies where in a results file; the live file and the final one have the same objects.

==========================  ======================================================================
``/locs``                   the localizations, one compound row each, in Picasso's columns and units
``/metadata``               Picasso's metadata, a JSON list of documents
``/MetaData/…``             PYME's metadata: groups with attributes
``/locstream/header``       `ResultsHeader` as JSON; the group's attributes state the conventions
``/locstream/calibration``  the camera calibration, whole, where it is known: `kept_calibration`
``/locstream/frames``       `FRAME_RECORD`, the commit record: one a frame, after its rows
``/locstream/drift``        `DRIFT_RECORD`
``/locstream/events``       `EVENT_RECORD`, the same as PYME's events
``/locstream/summary``      final file only: the ledger and how it ended, as JSON
==========================  ======================================================================

Only ``/locs`` and ``/metadata`` are datasets at the root, because other programs take every dataset
there for a table of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from locstream.formats.picasso import COLUMNS, DEPTH_COLUMNS, PICASSO, PICASSO_3D
from locstream.localizations import DEPTH_FIELDS, FIELDS, ORIGIN
from locstream.results.frames import FRAME_RECORD, FrameOutcome
from locstream.results.header import FORMAT, ResultsHeader

LIVE = ".live.h5"
LOCK = ".live.lock"
FINAL = "_locs.hdf5"
PART = ".part"
DAMAGED = ".damaged"

LOCS = "locs"
METADATA = "metadata"
OURS = "locstream"
HEADER = f"{OURS}/header"
FRAMES = f"{OURS}/frames"
DRIFT = f"{OURS}/drift"
EVENTS = f"{OURS}/events"
SUMMARY = f"{OURS}/summary"

DRIFT_RECORD = np.dtype([("frame", "<u4"), ("x_nm", "<f4"), ("y_nm", "<f4"), ("z_nm", "<f4")])
"""The drift in a frame: what is to be subtracted from its positions, nm."""
EVENT_RECORD = np.dtype([("EventDescr", "S256"), ("EventName", "S32"), ("Time", "<f8")])
"""Something that happened: description and name as UTF-8, seconds since the epoch (UTC)."""
TABLES = {LOCS: PICASSO, FRAMES: FRAME_RECORD, DRIFT: DRIFT_RECORD, EVENTS: EVENT_RECORD}

LIBVER = ("v110", "v110")
"""SWMR needs at least this; files of newer versions of the library are closed to programs built on older ones."""

_OUR_UNITS = {field.name: field.unit for field in (*FIELDS, *DEPTH_FIELDS)}
_UNITS = {c.name: "camera px" if c.in_pixels else _OUR_UNITS[c.ours] for c in (*COLUMNS, *DEPTH_COLUMNS)}


def live_path(folder: Path, name: str) -> Path:
    """Return the path of the growing results file of acquisition `name`."""
    return folder / f"{name}{LIVE}"


def acquisition_name(live: Path) -> str:
    """Return the name that a live path was made from.

    Raises
    ------
    ValueError
        The path is not one of a live file.
    """
    name = live.name.removesuffix(LIVE)
    if name == live.name or not name:
        raise ValueError(f"{live} is not the path of a live results file: its name must end in {LIVE}")
    return name


def lock_path(live: Path) -> Path:
    """Return the path of the lock that the writer of a live file holds."""
    return live.with_name(acquisition_name(live) + LOCK)


def final_path(live: Path) -> Path:
    """Return the path of the finished results file that a live file becomes."""
    return live.with_name(acquisition_name(live) + FINAL)


def part_path(path: Path) -> Path:
    """Return the name under which a file is built before it is moved to `path`."""
    return path.with_name(path.name + PART)


def create_tables(file: h5py.File, header: ResultsHeader, *, chunk_rows: int, compression: Mapping[str, Any]) -> None:
    """Create the empty tables, each of which can grow."""
    for name, dtype in {**TABLES, LOCS: PICASSO_3D if header.depth else PICASSO}.items():
        file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(chunk_rows,), **compression)


def write_header(file: h5py.File, header: ResultsHeader) -> None:
    """Write what does not change: header, conventions, units, and PYME's attributes."""
    file[HEADER] = json.dumps(header.as_dict())
    file[OURS].attrs.update({"format": FORMAT, "origin": ORIGIN, "first_frame": 0})
    file[LOCS].attrs.update({f"unit_{name}": _UNITS[name] for name in file[LOCS].dtype.names})
    file[LOCS].attrs["origin"] = ORIGIN
    file[FRAMES].attrs.update({f"outcome_{outcome.value}": outcome.name.lower() for outcome in FrameOutcome})
    file[DRIFT].attrs["meaning"] = "what is to be subtracted from the positions of a frame, nm"
    tree = file.create_group("MetaData")
    for group, attributes in header.pyme().items():
        (tree.require_group(group) if group else tree).attrs.update(attributes)


def metadata_json(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the documents as the text of ``/metadata``, ASCII only, so that its length is its number of bytes."""
    return json.dumps(list(documents), allow_nan=False)
