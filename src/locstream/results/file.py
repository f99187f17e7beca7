"""The growing results file: written batch by batch, read while it grows, intact after a kill at any moment.

HDF5 in SWMR mode, flushed after every batch. Rows are flushed *before* the frame records that vouch
for them, so a record that can be read has its rows. 400 of 400 killed writers left a file like this intact.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from locstream.calibration.camera import CameraCalibration
from locstream.errors import ResultsError
from locstream.formats.picasso import PicassoRows, from_picasso, kept_by_picasso, to_picasso
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, Localizations
from locstream.results.disk import REFUSALS, reason
from locstream.results.frames import FRAME_RECORD, FrameOutcome, FrameRecords, written
from locstream.results.header import ResultsHeader
from locstream.results.layout import DRIFT, DRIFT_RECORD, EVENT_RECORD, EVENTS, FRAMES, LOCS, METADATA, metadata_json
from locstream.results.live_file import create_live_file
from locstream.results.lock import WriterLock
from locstream.results.reader import ResultsReader
from locstream.results.repair import clear_flags
from locstream.results.whole_frames import whole_frames


class ResultsWriter:
    """Writes the localizations of one acquisition to ``NAME.live.h5``.

    Used from one thread, by one process: a lock beside the file keeps a second writer and `recover` away.

    Parameters
    ----------
    path
        ``NAME.live.h5`` on a local file system, see `locstream.results.layout.live_path`.
    header
        What is known of the acquisition.
    calibration
        The camera calibration that the fit uses, cropped to the frames: with it, frames that were recorded and
        not fitted can be fitted after a crash. None where it is not known.
    fsync_interval_s
        How often to wait until the disk has the data, s: what a power cut can cost. None leaves that to
        the operating system; a process that is killed loses nothing in either case.

    Raises
    ------
    ResultsError
        The file, or the finished file of the same name, exists; another process writes it; the disk refuses.
    """

    def __init__(
        self,
        path: Path,
        header: ResultsHeader,
        *,
        calibration: CameraCalibration | None = None,
        fsync_interval_s: float | None = None,
    ) -> None:
        with WriterLock(path).kept_if_well() as lock:
            self._begin(lock, path, header, calibration, None, fsync_interval_s)

    @classmethod
    def resume(cls, path: Path, *, fsync_interval_s: float | None = None) -> Self:
        """Go on with a live file whose writer has died, after its last committed frame.

        What is committed is copied into a new file, which takes the place of the old one. Where frames of the old
        one are not whole, which only a power cut or a bad disk can bring about, that is kept beside it.

        Parameters
        ----------
        path
            ``NAME.live.h5``.
        fsync_interval_s
            As for a new file.

        Raises
        ------
        ResultsError
            The writer lives; the file is missing, damaged beyond repair or not one of locstream's; the disk refuses.
        """
        writer = cls.__new__(cls)
        with WriterLock(path).kept_if_well() as lock:
            clear_flags(path)
            with ResultsReader(path) as before:
                before.keep(whole_frames(before))
                writer._begin(lock, path, before.header, before.calibration, before, fsync_interval_s)
        return writer

    def _begin(
        self,
        lock: WriterLock,
        path: Path,
        header: ResultsHeader,
        calibration: CameraCalibration | None,
        before: ResultsReader | None,
        fsync_interval_s: float | None,
    ) -> None:
        self.path = path
        self.header = header
        self._lock = lock
        self._fsync_interval_s = fsync_interval_s
        self._synced_s = time.monotonic()
        self._closed = False
        self._n_rows = self._n_frames = 0
        self._last_frame = -1
        if before is not None:
            self._n_rows, self._n_frames = before.n_rows, before.n_frames
            self._last_frame = -1 if before.last_frame is None else before.last_frame
        self._file = create_live_file(path, header, calibration, before, fsync=fsync_interval_s is not None)
        self._locs = self._file[LOCS]
        self._frames = self._file[FRAMES]

    @property
    def n_rows(self) -> int:
        """Number of rows that are committed."""
        return self._n_rows

    @property
    def n_frames(self) -> int:
        """Number of frames that are committed."""
        return self._n_frames

    @property
    def closed(self) -> bool:
        """True once nothing more can be written."""
        return self._closed

    def append(self, rows: Localizations, frames: FrameRecords) -> None:
        """Commit some frames with their rows. When it returns, a kill of the process loses none of them.

        Parameters
        ----------
        rows
            Shape (n,), dtype `locstream.localizations.LOCALIZATION`, or `LOCALIZATION_3D` where the header
            says that there is depth: the rows of these frames, in frame order.
        frames
            Shape (m,), dtype `locstream.results.frames.FRAME_RECORD`: numbers strictly increasing, above all before.

        Raises
        ------
        ValueError
            Rows and frames do not agree, a frame comes again or out of order, or a row cannot be stored
            (see `locstream.formats.picasso.storable`). Nothing was written.
        ResultsError
            The disk refused. The file is closed; what was committed before is safe.
        """
        self._check_open()
        self._check_agreement(rows, frames)
        if not len(frames):
            return
        stored = to_picasso(rows, self.header.pixel_size_nm)
        self._check_values(stored)
        self._guard(lambda: self._commit(stored, frames))
        self._n_rows += len(rows)
        self._n_frames += len(frames)
        self._last_frame = int(frames["frame"][-1])

    def rows(self, start: int, stop: int) -> Localizations:
        """Return committed rows ``start`` to ``stop`` (excluded), as every reader of the file sees them.

        Parameters
        ----------
        start, stop
            Row numbers from 0; `stop` is cut to `n_rows`.

        Returns
        -------
        numpy.ndarray
            Dtype `locstream.localizations.LOCALIZATION`, nm.
        """
        self._check_open()
        return from_picasso(self._locs[start : min(stop, self._n_rows)], self.header.pixel_size_nm)

    def append_drift(self, records: npt.NDArray[np.void]) -> None:
        """Add to the drift table.

        Parameters
        ----------
        records
            Shape (n,), dtype `locstream.results.layout.DRIFT_RECORD`.

        Raises
        ------
        ResultsError
            The disk refused.
        """
        if records.dtype != DRIFT_RECORD:
            raise ValueError(f"drift has dtype {records.dtype}, not {DRIFT_RECORD}")
        self._check_open()
        self._guard(lambda: self._extend(DRIFT, records))

    def append_event(self, name: str, description: str, time_s: float) -> None:
        """Note that something happened.

        Parameters
        ----------
        name, description
            Cut to 32 and 256 bytes of UTF-8.
        time_s
            When, seconds since the epoch (UTC).

        Raises
        ------
        ResultsError
            The disk refused.
        """
        record = np.zeros(1, EVENT_RECORD)
        record["EventName"] = _cut(name, 32)
        record["EventDescr"] = _cut(description, 256)
        record["Time"] = time_s
        self._check_open()
        self._guard(lambda: self._extend(EVENTS, record))

    def close(self) -> None:
        """Finish the live file and let go of the lock. Safe to call twice.

        Raises
        ------
        ResultsError
            The disk refused; what was committed is safe.
        """
        if not self._closed:
            self._guard(self._finish)
            self._closed = True
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self.closed:
            raise ResultsError(f"{self.path} is closed; nothing more can be written", safe=self._safe())

    def _check_agreement(self, rows: Localizations, frames: FrameRecords) -> None:
        if rows.dtype != (LOCALIZATION_3D if self.header.depth else LOCALIZATION) or frames.dtype != FRAME_RECORD:
            raise ValueError(f"rows have dtype {rows.dtype} and frames {frames.dtype}")
        if written(frames) < len(frames) or (len(frames) and int(frames["frame"][0]) <= self._last_frame):
            raise ValueError(f"frames must increase from {self._last_frame + 1} and have an outcome: {frames}")
        if np.any(frames["rows"][frames["outcome"] != FrameOutcome.FITTED]):
            raise ValueError("a frame that was not fitted has no rows")
        if not np.array_equal(rows["frame"], np.repeat(frames["frame"], frames["rows"])):
            raise ValueError(f"{len(rows)} rows do not agree with the records of their {len(frames)} frames")

    def _check_values(self, stored: PicassoRows) -> None:
        kept = kept_by_picasso(stored, self.header.height, self.header.width)
        if not kept.all():
            raise ValueError(
                f"{np.count_nonzero(~kept)} of {len(stored)} rows cannot be stored: a value is not finite, or it lies "
                f"outside the frame, for example {stored[~kept][0]} (camera px)"
            )

    def _commit(self, stored: PicassoRows, frames: FrameRecords) -> None:
        self._locs.resize((self._n_rows + len(stored),))
        self._locs[self._n_rows :] = stored
        self._locs.flush()
        self._frames.resize((self._n_frames + len(frames),))
        self._frames[self._n_frames :] = frames
        self._flush()

    def _extend(self, name: str, records: npt.NDArray[np.void]) -> None:
        table = self._file[name]
        start = len(table)
        table.resize((start + len(records),))
        table[start:] = records
        self._flush()

    def _flush(self) -> None:
        self._file.flush()  # the file's, not the table's: it also keeps the length in the superblock up to date
        if self._fsync_interval_s is not None and time.monotonic() - self._synced_s >= self._fsync_interval_s:
            os.fsync(self._file.id.get_vfd_handle())
            self._synced_s = time.monotonic()

    def _finish(self) -> None:
        text = metadata_json(self.header.documents(self._last_frame + 1))
        self._file[METADATA][()] = text.ljust(self._file[METADATA].dtype.itemsize)
        self._file.flush()
        if self._fsync_interval_s is not None:
            os.fsync(self._file.id.get_vfd_handle())
        self._file.close()

    def _guard(self, step: Callable[[], None]) -> None:
        """Run a step that writes; where the disk refuses, go back to the last commit, close, and say so."""
        try:
            step()
        except REFUSALS as error:
            self._abandon()
            raise ResultsError(
                f"{self.path} cannot be written: {reason(error)}",
                safe=self._safe(),
                todo=f"make room or mend the disk, then run `locstream recover {self.path.parent}`",
            ) from error

    def _abandon(self) -> None:
        """Close without what was not committed, so that nothing is left for the library to write later.

        Where even that is refused the file stays as a killed writer leaves it, and `recover` reads it.
        """
        self._closed = True
        try:
            self._locs.resize((self._n_rows,))
            self._frames.resize((self._n_frames,))
            self._file.close()
        except REFUSALS:
            pass
        finally:
            self._lock.release()

    def _safe(self) -> str:
        return f"{self._n_frames:,} frames with {self._n_rows:,} localizations in {self.path}"


def _cut(text: str, length: int) -> bytes:
    return text.encode("utf-8")[:length].decode("utf-8", "ignore").encode("utf-8")
