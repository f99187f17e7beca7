"""The disk of the acquisition folder: may it be written to, is there room, is it fast enough for the camera."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.stacks.source import SourceInfo
from locstreamd.service.checks.camera import Demand, demand_of
from locstreamd.service.checks.finding import Finding, ok, problem, refused, warning
from locstreamd.service.disk import MB, RESULTS_BYTES_A_FRAME, DiskGuard

NAME_FOLDER = "folder"
NAME_ROOM = "disk space"
NAME_SPEED = "disk speed"

TRIAL_BYTES = 256 * MB
PART_BYTES = 16 * MB
TRIAL_S = 2.0
"""The trial ends after so long on a slow disk, whatever it has written."""
ROOM_FOR_TRIAL = 4
"""The trial takes one part in so many of what is free, at most."""
SPARE = 2.0
"""A disk should be so many times as fast as the camera: other programs use it too, and it slows as it fills."""


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists: that is where it would be made."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def check_folder(folder: Path) -> Finding:
    """See that files can be made where acquisitions go; leaves nothing behind."""
    there = existing(folder)
    verb = "written to" if there == folder.absolute() else "made"
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        todo = "give acquisition.folder a place that this user may write to"
        return problem(NAME_FOLDER, f"{folder.absolute()} cannot be {verb}: {error.strerror}", todo)
    return ok(NAME_FOLDER, f"{folder.absolute()} can be {verb}")


def check_room(folder: Path, reserve_mb: int, info: SourceInfo | None, *, recorded: bool) -> Finding:
    """See that the planned frames fit, and for how long the camera can go on.

    Parameters
    ----------
    folder
        Where acquisitions go.
    reserve_mb
        What must stay free, MB.
    info
        The camera, with the planned frames; None where it is not known.
    recorded
        Whether the raw stack is kept.
    """
    guard = DiskGuard(existing(folder), reserve_mb)
    free_mb = guard.free_mb
    demand = None if info is None else demand_of(info)
    try:
        guard.check_before(info or SourceInfo(camera="", width=0, height=0), recorded=recorded)
    except LocstreamError as error:
        return refused(NAME_ROOM, error)
    found = f"{free_mb / 1000:,.1f} GB free, {reserve_mb / 1000:g} of them in reserve"
    if demand is not None and demand.frames_per_s is not None:
        a_frame = RESULTS_BYTES_A_FRAME + (demand.frame_bytes if recorded else 0)
        minutes = (free_mb - reserve_mb) * MB / (a_frame * demand.frames_per_s * 60)
        found += f": {minutes:,.0f} min of {demand}"
    return ok(NAME_ROOM, found)


def check_speed(folder: Path, demand: Demand | None) -> Finding:
    """Write a short file that nobody sees, and hold its speed to what the camera needs.

    Parameters
    ----------
    folder
        Where acquisitions go.
    demand
        What the camera asks; None where it is not known, or no raw stack is kept.
    """
    there = existing(folder)
    size = min(TRIAL_BYTES, int(DiskGuard(there, 0).free_mb * MB) // ROOM_FOR_TRIAL)
    if size < PART_BYTES:
        return warning(NAME_SPEED, "not measured, the disk is all but full", "make room and run the doctor again")
    try:
        written, seconds = write_trial(there, size)
    except OSError as error:
        todo = "give acquisition.folder a place on another disk"
        return problem(NAME_SPEED, f"a file of {size / MB:,.0f} MB cannot be written: {error.strerror}", todo)
    return judge_speed(written, seconds, demand)


def write_trial(folder: Path, size: int) -> tuple[int, float]:
    """Write up to `size` bytes through to the disk into a file without a name; return bytes and seconds."""
    part = memoryview(os.urandom(PART_BYTES))  # what cannot be compressed on the way
    written, began = 0, time.perf_counter()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while written < size and time.perf_counter() - began < TRIAL_S:
            written += file.write(part[: size - written])
            os.fsync(file.fileno())
        return written, time.perf_counter() - began


def judge_speed(written: int, seconds: float, demand: Demand | None) -> Finding:
    """Hold a measured speed to what the camera needs."""
    speed = written / seconds
    found = f"{speed / MB:,.0f} MB/s"
    need = None if demand is None else demand.bytes_per_s
    if need is None:
        return ok(NAME_SPEED, f"{found}: enough for 512 × 512 px at {speed / (2 * 512 * 512):,.0f} frames/s")
    found += f"; the camera needs {need / MB:,.3g} MB/s ({demand})"
    todo = "put acquisition.folder on a faster disk, or take a smaller region or longer exposures"
    if speed < need:
        return problem(NAME_SPEED, found, todo)
    if speed < SPARE * need:
        return warning(NAME_SPEED, found, todo)
    return ok(NAME_SPEED, found)
