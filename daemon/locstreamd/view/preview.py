"""``locstream preview``: a snapshot of a running acquisition for programs that cannot watch it.

No program opens a results file that grows. A process of its own, which the acquisition does not wait for, copies what
is committed every few seconds and puts it in place of the copy before, in one step: whoever opens it sees a whole file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from locstream.errors import LocstreamError, ResultsError
from locstream.formats.picasso import yaml_text
from locstream.results.disk import REFUSALS, reason
from locstream.results.final import write_picasso_file
from locstream.results.layout import FINAL, LIVE, acquisition_name, final_path, lock_path, part_path
from locstream.results.reader import ResultsReader
from locstream.stream.control import ask
from locstream.stream.runtime import find

FOLDER = "preview"
"""A folder of their own, so that no snapshot is taken for the results of a run."""
EVERY_S = 5.0
SHARE = 0.1
"""Of the time, at most, goes into copying: a large file is copied less often."""
RESERVE_BYTES = 2_000_000_000
"""What a snapshot leaves free on the disk, at least: the acquisition needs it more."""
ROW_BYTES = 80
FRAME_BYTES = 32
FAREWELL_S = 60.0
"""How long the finished file may be in coming, once nobody writes the growing one any more."""
POLL_S = 0.5
NICE = 10


class Preview:
    """The snapshot of one growing results file.

    Parameters
    ----------
    live
        ``NAME.live.h5``.

    Attributes
    ----------
    path
        ``preview/NAME_preview_locs.hdf5`` beside it, with its ``.yaml``.
    frames, rows
        What is in it; None before the first snapshot.
    """

    def __init__(self, live: Path) -> None:
        self.path = live.parent / FOLDER / f"{acquisition_name(live)}_preview{FINAL}"
        self.frames: int | None = None
        self.rows = 0
        self._live = live
        self._reader: ResultsReader | None = None

    def update(self) -> bool:
        """Copy what is committed by now; return False where nothing is new.

        Raises
        ------
        LocstreamError
            The growing file cannot be read, the disk refuses, or too little of it is free.
        """
        if self._reader is None:
            self._reader = ResultsReader(self._live)
        self._reader.refresh()
        if self._reader.n_frames == self.frames:
            return False
        self.path.parent.mkdir(exist_ok=True)
        self._check_room(self._reader)
        try:
            self._write(self._reader)
        except REFUSALS as error:
            raise LocstreamError(f"{self.path} cannot be written: {reason(error)}", safe="the acquisition") from error
        finally:
            part_path(self.path).unlink(missing_ok=True)
        self.frames, self.rows = self._reader.n_frames, self._reader.n_rows
        return True

    def close(self, *, keep: bool) -> None:
        """Close the growing file, and remove the snapshot unless it is to be kept."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if keep:
            return
        for path in (self.path, self.path.with_suffix(".yaml")):
            path.unlink(missing_ok=True)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

    def _write(self, reader: ResultsReader) -> None:
        part, sidecar = part_path(self.path), self.path.with_suffix(".yaml")
        write_picasso_file(reader, part, {"outcome": "preview"}, compression={})
        frames = 0 if reader.last_frame is None else reader.last_frame + 1
        text = part_path(sidecar)
        text.write_text(yaml_text(reader.header.documents(frames, {"outcome": "preview"})), encoding="utf-8")
        # The metadata first: it may name more frames than the table has, but never fewer.
        text.replace(sidecar)
        part.replace(self.path)

    def _check_room(self, reader: ResultsReader) -> None:
        needed = ROW_BYTES * reader.n_rows + FRAME_BYTES * reader.n_frames
        free = shutil.disk_usage(self.path.parent).free
        if free - needed < RESERVE_BYTES:
            raise LocstreamError(
                f"no snapshot is made: it needs {needed / 1e6:,.0f} MB, and of {free / 1e6:,.0f} MB on the disk "
                f"{RESERVE_BYTES / 1e6:,.0f} MB are kept for the acquisition",
                safe="the acquisition and its files, and the snapshot before",
                todo="`locstream tail` and `locstream view` need no room",
            )


def being_written(live: Path) -> bool:
    """Return whether the writer of a growing file lives, without getting in its way."""
    try:
        pid = int(lock_path(live).read_text("ascii"))
    except (OSError, ValueError):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def follow(preview: Preview, live: Path, every_s: float) -> None:
    """Keep the snapshot up to date until the finished file is there.

    Raises
    ------
    LocstreamError
        The acquisition has died, or a snapshot cannot be made.
    """
    gone_at: float | None = None
    while live.exists():
        began = time.monotonic()
        try:
            if preview.update():
                print(f"{preview.path}: {preview.frames:,} frames, {preview.rows:,} localizations", flush=True)
        except ResultsError:
            if live.exists():
                raise
            break  # it was finished between the look and the reading
        took_s = time.monotonic() - began
        next_at = began + max(every_s, took_s / SHARE)
        while time.monotonic() < next_at and live.exists():
            if being_written(live):
                gone_at = None
            elif gone_at is None:
                gone_at = time.monotonic()
                break  # the last rows are there: one more snapshot, at once
            elif time.monotonic() - gone_at > FAREWELL_S:
                raise LocstreamError(
                    f"{live} is not written any more, and was not finished within {FAREWELL_S:g} s",
                    safe=f"{preview.frames or 0:,} frames in {preview.path}",
                    todo=f"`locstream recover {live.parent}` finishes what a killed acquisition left",
                )
            time.sleep(min(POLL_S, max(0.0, next_at - time.monotonic())))


def find_live(wanted: str | None) -> Path:
    """Return the growing results file of a folder, of a path to the file itself, or of a running acquisition's name.

    Raises
    ------
    LocstreamError
        There is none, or more than one.
    """
    if wanted is not None and Path(wanted).is_file():
        return Path(wanted)
    if wanted is not None and Path(wanted).is_dir():
        folder = Path(wanted)
        found = sorted(folder.glob(f"*{LIVE}"))
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise LocstreamError(
                f"{folder} holds {len(found)} growing results files ({names})", todo="give the path of the one you mean"
            )
        return found[0]
    connection = find(wanted)
    hello = ask(connection.control, "status").hello
    if hello is None or not hello.folder:
        raise LocstreamError(f"{connection.name} acquires nothing now", todo="begin with `locstream start`")
    return Path(hello.folder) / f"{hello.name}{LIVE}"


def command(arguments: Sequence[str]) -> int:
    """Keep preview/NAME_preview_locs.hdf5 up to date while NAME is acquired, for Picasso, napari and others."""
    parser = argparse.ArgumentParser(prog="locstream preview", description=command.__doc__)
    parser.add_argument(
        "acquisition", nargs="?", help="its name, its folder or its .live.h5 (default: the newest here)"
    )
    parser.add_argument(
        "--every", type=float, default=EVERY_S, metavar="S", help="seconds between snapshots (%(default)g)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the last snapshot beside the finished results")
    given = parser.parse_args(arguments)
    if not given.every > 0:
        parser.error("--every must be above 0 s")
    live = find_live(given.acquisition)
    try:
        preview = Preview(live)
    except ValueError as error:
        raise LocstreamError(str(error)) from error
    os.nice(NICE)
    finished = False
    try:
        follow(preview, live, given.every)
        finished = final_path(live).exists()
    finally:
        preview.close(keep=given.keep or not finished)
    print(f"finished: {final_path(live)}" if finished else f"{live} is gone; the last snapshot stays: {preview.path}")
    return 0
