"""The disk: its room is checked before the start against the planned frames, room and presence while acquiring."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from locstream.errors import LocstreamError
from locstream.stacks.source import SourceInfo

MB = 1_000_000
RESULTS_BYTES_A_FRAME = 20_000
"""What is reckoned for the localizations of a frame: some 150, twice, because the finished file is a second copy."""


class DiskGuard:
    """Watches the room on the disk of one folder.

    Parameters
    ----------
    folder
        Where everything goes.
    reserve_mb
        What must stay free, MB: room to finish the files in.
    """

    def __init__(self, folder: Path, reserve_mb: int) -> None:
        self._folder = folder
        self._reserve_mb = reserve_mb
        self._began_in: tuple[int, int] | None = None
        self._began_in = self._place()

    @property
    def free_mb(self) -> float:
        """Room left on the disk, MB; infinite where the disk does not say."""
        try:
            return shutil.disk_usage(self._folder).free / MB
        except OSError:  # a share that hiccups is no full disk
            return math.inf

    @property
    def gone(self) -> bool:
        """True where something else, or nothing, lies where the folder was: its disk was unmounted."""
        return self._began_in is not None and self._place() != self._began_in

    def _place(self) -> tuple[int, int] | None:
        try:
            found = self._folder.stat()
        except FileNotFoundError:
            return None
        except OSError:  # a share that hiccups is not gone
            return self._began_in
        return found.st_dev, found.st_ino

    def check_before(self, info: SourceInfo, *, recorded: bool) -> None:
        """See that the planned frames fit.

        Raises
        ------
        LocstreamError
            They do not, or not even the reserve is free.
        """
        a_frame = RESULTS_BYTES_A_FRAME + (2 * info.height * info.width if recorded else 0)
        planned_mb = (info.frames or 0) * a_frame / MB
        free_mb = self.free_mb
        if free_mb < planned_mb + self._reserve_mb:
            what = (
                f"{info.frames:,} frames need about {planned_mb:,.0f} MB"
                if info.frames
                else "an acquisition needs room"
            )
            raise LocstreamError(
                f"{what}, and {self._reserve_mb:,} MB stay in reserve; the disk of {self._folder} has "
                f"{free_mb:,.0f} MB free",
                safe="nothing was started",
                todo="make room, choose a folder on another disk, fewer frames, or a smaller results.reserve_mb",
            )

    def fault(self) -> LocstreamError | None:
        """Return what to stop with once the reserve is reached or the disk is gone; None while all is well."""
        if self.gone:
            return LocstreamError(
                f"{self._folder} is not the folder any more in which the run began: its disk was unmounted or removed; "
                "the camera was stopped",
                safe="what had been written by then is on that disk",
                todo=f"mount it again in the same place, then run `locstream recover {self._folder}`",
            )
        free_mb = self.free_mb
        if free_mb >= self._reserve_mb:
            return None
        return LocstreamError(
            f"the disk of {self._folder} has {free_mb:,.0f} MB left, less than the reserve of {self._reserve_mb:,} MB; "
            "the camera was stopped",
            safe="every frame that was taken is recorded and fitted, and the files are finished",
            todo="make room or choose a folder on another disk, and start the next acquisition",
        )
