"""What gives way first when fitting falls behind the camera, rung by rung. The raw stack never does.

==================  ================================  ===============================================================
rung                from                              what gives way
==================  ================================  ===============================================================
``live``            –                                 nothing
``delayed``         `LoadSettings.delayed_s` behind   the status comes every two seconds
``analysis paused`` `LoadSettings.paused_s` behind    medians stay as they are, and the calibration is not checked
``from disk``       memory for waiting frames full    frames wait on disk and are read back when their turn comes
==================  ================================  ===============================================================

All of them come back by themselves, and every frame is recorded and fitted on each.
"""

from __future__ import annotations

from enum import StrEnum

from locstreamd.service.config import LoadSettings

SLOW_STATUS_S = 2.0
"""Time between two statuses from the rung ``delayed`` on, s."""
CALM = 0.5
"""A rung is left once the results are behind by less than this part of where it begins."""


class Rung(StrEnum):
    """How far down the ladder."""

    LIVE = "live"
    DELAYED = "delayed"
    PAUSED = "analysis paused"
    FROM_DISK = "from disk"


class Ladder:
    """Says on which rung an acquisition stands, from how far its results are behind.

    Parameters
    ----------
    settings
        Where the rungs begin.

    Attributes
    ----------
    rung
        The rung of this moment.
    lag_s
        How old the oldest frame is that has no result on disk, s; 0 where there is none.
    """

    def __init__(self, settings: LoadSettings) -> None:
        self.rung = Rung.LIVE
        self.lag_s = 0.0
        self._begins_s = ((Rung.PAUSED, settings.paused_s), (Rung.DELAYED, settings.delayed_s))

    def see(self, lag_s: float, on_disk: int) -> bool:
        """Take how far the results are behind; return whether the rung has changed.

        Parameters
        ----------
        lag_s
            Age of the oldest frame without a result on disk, s.
        on_disk
            Frames that wait for a worker on disk only.
        """
        before, self.lag_s = self.rung, lag_s
        self.rung = Rung.FROM_DISK if on_disk else self._by_lag(lag_s)
        return self.rung is not before

    def _by_lag(self, lag_s: float) -> Rung:
        for rung, begins_s in self._begins_s:
            on_it = list(Rung).index(self.rung) >= list(Rung).index(rung)
            if lag_s >= begins_s * (CALM if on_it else 1):
                return rung
        return Rung.LIVE

    @property
    def analyses(self) -> bool:
        """Whether there is time for what is only looked at: medians, checks."""
        return self.rung in (Rung.LIVE, Rung.DELAYED)

    def status_interval_s(self, status_hz: float) -> float:
        """Return the time between two statuses, s."""
        return 1 / status_hz if self.rung is Rung.LIVE else max(1 / status_hz, SLOW_STATUS_S)
