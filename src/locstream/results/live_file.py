"""Making a live results file: a new one, or one that begins with what a writer that died had committed.

It is made under another name and moved when it is whole, so that a live file can always be read. What a writer
left is only ever read: it is copied, not continued in place, because a file that HDF5 opens for writing and that is
cut off then is not safe until SWMR mode is on.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import h5py

from locstream.calibration.camera import CameraCalibration
from locstream.errors import ResultsError
from locstream.results.disk import REFUSALS, reason, sync
from locstream.results.header import ResultsHeader
from locstream.results.kept_calibration import write_calibration
from locstream.results.layout import (
    DAMAGED,
    DRIFT,
    EVENTS,
    FRAMES,
    LIBVER,
    LOCS,
    METADATA,
    create_tables,
    final_path,
    metadata_json,
    part_path,
    write_header,
)
from locstream.results.reader import BLOCK_ROWS, ResultsReader

CHUNK_ROWS = 2048
"""The last chunk is written whole at every flush: small chunks make small flushes."""
METADATA_BYTES = 65_536
"""Room for `/metadata`: no string can grow while the file is read, so it is padded with blanks."""


def create_live_file(
    path: Path,
    header: ResultsHeader,
    calibration: CameraCalibration | None,
    before: ResultsReader | None = None,
    *,
    fsync: bool,
) -> h5py.File:
    """Make a live file and return it, open in SWMR mode. The caller holds its lock.

    Parameters
    ----------
    path
        ``NAME.live.h5``.
    header, calibration
        What is known of the acquisition and of its camera.
    before
        The live file of that path as a writer that died has left it; its committed frames are copied, and the
        new file takes its place. Where frames in it are not whole it is kept, see `keep_damaged`. None where
        there must be none.
    fsync
        Wait until the disk has the file.

    Raises
    ------
    ResultsError
        A file of this acquisition is there already, or the disk refuses.
    """
    if before is None:
        _refuse_existing(path)
    part = part_path(path)
    try:
        file = h5py.File(part, "w", libver=LIBVER)
        create_tables(file, header, chunk_rows=CHUNK_ROWS, compression={})
        write_header(file, header)
        if calibration is not None:
            write_calibration(file, calibration, {})
        text = metadata_json(header.documents(0))
        room = max(METADATA_BYTES, 2 * len(text))
        file.create_dataset(METADATA, data=text.ljust(room), dtype=h5py.string_dtype("ascii", room))
        if before is not None:
            copy_tables(before, file)
        file.swmr_mode = True
        file.flush()
        if fsync:
            os.fsync(file.id.get_vfd_handle())
        if before is not None and before.uncommitted[0]:
            keep_damaged(path)
        part.replace(path)
        if fsync:
            sync(path.parent)
    except REFUSALS as error:
        part.unlink(missing_ok=True)
        raise ResultsError(
            f"{path} cannot be created: {reason(error)}", todo="check the folder and its disk"
        ) from error
    return file


def copy_tables(source: ResultsReader, file: h5py.File) -> None:
    """Copy what is committed into the empty tables of another file, in flat memory."""
    for name, table in ((FRAMES, source.frames()), (DRIFT, source.drift), (EVENTS, source.events)):
        file[name].resize((len(table),))
        file[name][:] = table
    locs = file[LOCS]
    locs.resize((source.n_rows,))
    for start in range(0, source.n_rows, BLOCK_ROWS):
        rows = source.stored_rows(start, start + BLOCK_ROWS)
        locs[start : start + len(rows)] = rows


def keep_damaged(live: Path) -> Path:
    """Give a live file a second name, under which it stays with all that recovery leaves out; return that name."""
    for count in itertools.count(1):
        kept = live.with_name(f"{live.name}{DAMAGED}{count if count > 1 else ''}")
        try:
            os.link(live, kept)
        except FileExistsError:
            if not kept.samefile(live):
                continue
        return kept
    raise AssertionError("there is always a next number")


def _refuse_existing(path: Path) -> None:
    for there in (path, final_path(path), final_path(path).with_suffix(".yaml")):
        if there.exists():
            raise ResultsError(
                f"{there} exists and is not overwritten",
                safe=str(there),
                todo=f"choose another name, or run `locstream recover {path.parent}` if its acquisition was cut off",
            )
