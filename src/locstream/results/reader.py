"""Reading a results file: a finished one, one that grows, or one whose writer was killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from locstream.calibration.camera import CameraCalibration
from locstream.errors import ResultsError
from locstream.formats.picasso import PicassoRows, from_picasso
from locstream.localizations import Localizations
from locstream.results.disk import REFUSALS, reason
from locstream.results.frames import FrameRecords, written
from locstream.results.header import ResultsHeader
from locstream.results.kept_calibration import read_calibration
from locstream.results.layout import DRIFT, EVENTS, FRAMES, HEADER, LOCS, SUMMARY

BLOCK_ROWS = 262_144
"""Rows that are in memory at a time where a whole file is gone through: 16 MB."""


@dataclass(frozen=True, eq=False)
class Results:
    """A whole results file in memory.

    Parameters
    ----------
    table
        Shape (n,), dtype `locstream.localizations.LOCALIZATION`; nm from the centre of pixel (0, 0).
    frames
        Shape (m,), dtype `locstream.results.frames.FRAME_RECORD`.
    header
        What is known of the acquisition.
    summary
        What was learned by its end; empty in a live file.
    """

    table: Localizations
    frames: FrameRecords
    header: ResultsHeader
    summary: dict[str, Any]


def marked_open(path: Path) -> bool:
    """Return whether a file is marked as open for writing, and must be read as one that grows.

    No other file may be read in that way: where metadata is damaged HDF5 then takes it for a write in
    progress and tries again, up to a hundred times, each time after twice as long, which is for ever.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(12)[11:] > b"\0"


class ResultsReader:
    """Reads the committed frames of a results file, and their rows, in slices.

    A live file may grow meanwhile, also at the hands of another process: see `refresh`. It must lie on
    a local file system.

    Parameters
    ----------
    path
        ``NAME.live.h5`` or ``NAME_locs.hdf5``.

    Raises
    ------
    ResultsError
        The file is missing or is not one of locstream's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r", swmr=marked_open(path))
        except OSError as error:
            raise ResultsError(f"{path} cannot be read: {error}") from error
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        try:
            self.header = ResultsHeader.model_validate_json(self._file[HEADER][()])
            self._locs = self._file[LOCS]
            self._frames = self._file[FRAMES]
        except (KeyError, ValidationError) as error:
            raise ResultsError(
                f"{self.path} is not a results file of locstream, or it is damaged: {error}",
                todo="a table that Picasso wrote is read by locstream.formats.picasso.read_picasso",
            ) from error
        except REFUSALS as error:
            raise ResultsError(f"{self.path} cannot be read: {reason(error)}") from error
        self._n_frames = 0
        self._n_rows = 0
        self._last_frame = -1
        self.refresh()

    @property
    def n_frames(self) -> int:
        """Number of committed frames, as of the last `refresh`."""
        return self._n_frames

    @property
    def n_rows(self) -> int:
        """Number of rows of the committed frames."""
        return self._n_rows

    @property
    def last_frame(self) -> int | None:
        """Number of the last committed frame, None before the first."""
        return self._last_frame if self._n_frames else None

    def refresh(self) -> int:
        """Look again how far a live file has come; return how many frames are new."""
        there = self._length(self._frames)
        rows = self._length(self._locs)  # after the frames: their rows were on disk before them
        new = self._read(self._frames, self._n_frames, there, there)
        new = new[: written(new)]
        new = new[: np.searchsorted(self._n_rows + np.cumsum(new["rows"], dtype=np.int64), rows, "right")]
        if len(new):
            self._n_frames += len(new)
            self._n_rows += int(new["rows"].sum())
            self._last_frame = int(new["frame"][-1])
        return len(new)

    @property
    def uncommitted(self) -> tuple[int, int]:
        """How many frame records and rows lie in the file beyond the committed ones."""
        return len(self._frames) - self._n_frames, len(self._locs) - self._n_rows

    def keep(self, n_frames: int) -> None:
        """Take only the first frames as committed, whatever the file says; the next `refresh` looks again."""
        records = self.frames(0, n_frames)
        self._n_frames = len(records)
        self._n_rows = int(records["rows"].sum())
        self._last_frame = int(records["frame"][-1]) if len(records) else -1

    def rows(self, start: int = 0, stop: int | None = None) -> Localizations:
        """Return committed rows ``start`` to ``stop`` (excluded).

        Parameters
        ----------
        start, stop
            Row numbers from 0; None stands for `n_rows`, and a larger `stop` is cut to it.

        Returns
        -------
        numpy.ndarray
            Dtype `locstream.localizations.LOCALIZATION`; nm from the centre of pixel (0, 0).
        """
        return from_picasso(self.stored_rows(start, stop), self.header.pixel_size_nm)

    def stored_rows(self, start: int = 0, stop: int | None = None) -> PicassoRows:
        """Return rows as `rows` does, in the file's own columns and units (camera pixels)."""
        return self._read(self._locs, start, stop, self._n_rows)

    def frames(self, start: int = 0, stop: int | None = None) -> FrameRecords:
        """Return the records of committed frames ``start`` to ``stop`` (excluded), counted from 0 in the file."""
        return self._read(self._frames, start, stop, self._n_frames)

    def blocks(self, block_rows: int = BLOCK_ROWS) -> Iterator[Localizations]:
        """Go through all committed rows, a block at a time."""
        for start in range(0, self._n_rows, block_rows):
            yield self.rows(start, start + block_rows)

    @property
    def calibration(self) -> CameraCalibration | None:
        """The camera calibration that the fit used; None where the file has none, or a damaged one."""
        return read_calibration(self._file)

    @property
    def drift(self) -> npt.NDArray[np.void]:
        """The drift table: shape (n,), dtype `locstream.results.layout.DRIFT_RECORD`."""
        return self._read_all(DRIFT)

    @property
    def events(self) -> npt.NDArray[np.void]:
        """What happened: shape (n,), dtype `locstream.results.layout.EVENT_RECORD`."""
        return self._read_all(EVENTS)

    @property
    def summary(self) -> dict[str, Any]:
        """What was learned by the end; empty in a live file."""
        found = self._file.get(SUMMARY)
        summary: dict[str, Any] = {} if found is None else json.loads(found[()])
        return summary

    def _length(self, table: h5py.Dataset) -> int:
        try:
            table.refresh()
        except REFUSALS as error:
            raise ResultsError(f"{self.path} cannot be read: {reason(error)}") from error
        return len(table)

    def _read_all(self, name: str) -> npt.NDArray[np.void]:
        length = self._length(self._file[name])
        return self._read(self._file[name], 0, length, length)

    def _read(self, table: h5py.Dataset, start: int, stop: int | None, committed: int) -> npt.NDArray[np.void]:
        if start < 0:
            raise ValueError(f"rows count from 0, not from {start}")
        end = committed if stop is None else min(stop, committed)
        try:
            return np.asarray(table[start : max(start, end)])
        except REFUSALS as error:
            raise ResultsError(f"{self.path} cannot be read from row {start} on: {reason(error)}") from error

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_results(path: Path) -> Results:
    """Read a whole results file, live or finished, into memory.

    Parameters
    ----------
    path
        ``NAME.live.h5`` or ``NAME_locs.hdf5``.

    Raises
    ------
    ResultsError
        The file is missing or is not one of locstream's.
    """
    with ResultsReader(path) as reader:
        return Results(reader.rows(), reader.frames(), reader.header, reader.summary)
