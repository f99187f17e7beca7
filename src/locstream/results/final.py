"""From the live file to the finished one: a Picasso localization file that other programs open unchanged.

The finished file is built under another name, compared row by row with the live file, and only then
moved to its own name; the live file goes last. Killed anywhere in between, the same call finishes the work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from locstream.errors import ResultsError
from locstream.formats.picasso import yaml_text
from locstream.results.disk import REFUSALS, reason, sync
from locstream.results.kept_calibration import write_calibration
from locstream.results.layout import (
    LIBVER,
    METADATA,
    SUMMARY,
    create_tables,
    metadata_json,
    part_path,
    write_header,
)
from locstream.results.ledger import snapshot_of
from locstream.results.live_file import copy_tables
from locstream.results.lock import WriterLock
from locstream.results.reader import BLOCK_ROWS, ResultsReader
from locstream.results.repair import clear_flags

CHUNK_ROWS = 16_384
COMPRESSION: Mapping[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""The only filters that every HDF5 reader has. Higher levels of gzip take longer and save nothing worth it."""


def finalize(live: Path, final: Path, metadata_update: Mapping[str, Any] | None = None) -> Path:
    """Turn a closed live file into the finished results file, with Picasso's ``.yaml`` beside it.

    Memory stays flat however many rows there are. Called again after it was cut off anywhere, or after
    it succeeded, it ends in the same state.

    Parameters
    ----------
    live
        ``NAME.live.h5``, closed by its writer or left behind by one that was killed.
    final
        ``NAME_locs.hdf5`` in the same folder, see `locstream.results.layout.final_path`.
    metadata_update
        What was learned by the end, as JSON can hold it; it is stored as the summary. The ledger of the
        frames in the file is added under ``ledger`` where it does not say.

    Returns
    -------
    pathlib.Path
        `final`.

    Raises
    ------
    FileInUseError
        The live file is still being written.
    ResultsError
        There is nothing to finish, frames in the live file are not whole, a file of another acquisition has
        the final name, or the disk refuses.
        The live file is then left as it was.
    """
    with WriterLock(live):
        if not live.exists():
            return _finished_before(live, final)
        clear_flags(live)
        with ResultsReader(live) as reader:
            if reader.uncommitted[0]:
                raise ResultsError(
                    f"{live} has {reader.uncommitted[0]:,} frames that are not whole",
                    safe=f"{reader.n_frames:,} frames before them with {reader.n_rows:,} localizations",
                    todo=f"run `locstream recover {live.parent}`, which keeps what it leaves out",
                )
            return finish(reader, final, metadata_update or {})


def finish(reader: ResultsReader, final: Path, metadata_update: Mapping[str, Any]) -> Path:
    """Do what `finalize` does with a live file that is open; the caller holds its lock."""
    part = part_path(final)
    try:
        if final.exists():
            _check_same(reader, final)
        else:
            write_picasso_file(reader, part, metadata_update)
            _compare(reader, part)
            sync(part)
            _write_sidecar(part, final.with_suffix(".yaml"))
            part.replace(final)
            sync(final.parent)
        reader.path.unlink()
    except REFUSALS as error:
        part.unlink(missing_ok=True)
        part_path(final.with_suffix(".yaml")).unlink(missing_ok=True)
        raise ResultsError(
            f"{final} cannot be written: {reason(error)}",
            safe=f"{reader.n_frames:,} frames with {reader.n_rows:,} localizations in {reader.path}",
            todo=f"make room on the disk, then run `locstream recover {final.parent}`",
        ) from error
    return final


def write_picasso_file(
    reader: ResultsReader,
    path: Path,
    summary: Mapping[str, Any],
    *,
    compression: Mapping[str, Any] = COMPRESSION,
) -> None:
    """Copy what is committed into a file that Picasso, napari-storm and pandas open.

    A snapshot of a running acquisition is made in the same way, under a name that `path` is then moved to.

    Parameters
    ----------
    reader
        The live file.
    path
        The file to write; one that exists is replaced.
    summary
        Stored as JSON; the ledger of the frames is added under ``ledger`` where it does not say.
    compression
        Options of `h5py.Group.create_dataset`.
    """
    records = reader.frames()
    known = {"ledger": snapshot_of(records).as_dict(), **summary}
    frames = 0 if reader.last_frame is None else reader.last_frame + 1
    texts = {
        METADATA: metadata_json(reader.header.documents(frames, known)),
        SUMMARY: json.dumps(known, allow_nan=False),
    }
    with h5py.File(path, "w", libver=LIBVER) as file:
        create_tables(file, reader.header, chunk_rows=CHUNK_ROWS, compression=compression)
        write_header(file, reader.header)
        if (calibration := reader.calibration) is not None:
            write_calibration(file, calibration, compression)
        for name, text in texts.items():
            file[name] = text
        copy_tables(reader, file)


def _spans(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, BLOCK_ROWS):
        yield start, min(start + BLOCK_ROWS, rows)


def _compare(reader: ResultsReader, path: Path) -> None:
    """Read the new file back and hold it to the live one: the live file is the only copy there is."""
    with ResultsReader(path) as new:
        same = (new.n_frames, new.n_rows) == (reader.n_frames, reader.n_rows)
        same = same and np.array_equal(new.frames(), reader.frames())
        if not same or any(
            new.stored_rows(*span).tobytes() != reader.stored_rows(*span).tobytes() for span in _spans(reader.n_rows)
        ):
            raise ResultsError(
                f"{path} does not read back as it was written",
                safe=f"{reader.n_frames:,} frames with {reader.n_rows:,} localizations in {reader.path}",
                todo="check the disk, then run `locstream recover` again",
            )


def _check_same(reader: ResultsReader, final: Path) -> None:
    """Let pass only a final file that was made from this live file, by a call that was cut off after the move."""
    with ResultsReader(final) as there:
        if there.header != reader.header or (there.n_frames, there.n_rows) != (reader.n_frames, reader.n_rows):
            raise ResultsError(
                f"{final} exists, is not the same acquisition as {reader.path}, and is not overwritten",
                safe="both files",
                todo=f"move {final.name} and {final.with_suffix('.yaml').name} elsewhere, then run it again",
            )


def _finished_before(live: Path, final: Path) -> Path:
    if not final.exists():
        raise ResultsError(f"there is neither {live} nor {final}", todo="check the folder and the name")
    with ResultsReader(final):
        return final


def _write_sidecar(results: Path, sidecar: Path) -> None:
    """Write the metadata of a finished file as Picasso's ``.yaml``: before the file itself, never after it alone."""
    with h5py.File(results, "r") as file:
        documents = json.loads(file[METADATA][()])
    part = part_path(sidecar)
    part.write_text(yaml_text(documents), encoding="utf-8")
    sync(part)
    part.replace(sidecar)
