"""What an acquisition tells of itself: what comes, a status while it runs, and warnings at its end."""

from __future__ import annotations

import time

from locstream.errors import LocstreamError
from locstream.stream.messages import Hello, Status, own_fields
from locstreamd.service.disk import DiskGuard
from locstreamd.service.figures import Figures
from locstreamd.service.lanes import Lanes
from locstreamd.service.outcome import State
from locstreamd.service.plan import Prepared
from locstreamd.service.stages import StagesOf
from locstreamd.wording import times

MOST_MB = 1e12
"""Stands for a disk that does not say how much room it has."""


class Bulletin:
    """Gathers the numbers of one acquisition; nothing is counted here.

    Parameters
    ----------
    prepared
        What was settled before it.
    lanes, figures, disk, stages
        Where the numbers are.
    """

    def __init__(self, prepared: Prepared, lanes: Lanes, figures: Figures, disk: DiskGuard, stages: StagesOf) -> None:
        self._prepared = prepared
        self._lanes = lanes
        self._figures = figures
        self._disk = disk
        self._stages = stages

    def hello(self) -> Hello:
        """Return what comes; the sequence number is given by whoever publishes it, as that of a status."""
        header = self._prepared.header
        return Hello(
            acquisition=header.acquisition_id,
            seq=0,
            name=header.name,
            software=header.software,
            width=header.width,
            height=header.height,
            pixel_size_nm=header.pixel_size_nm,
            started_s=time.time(),
            fields=own_fields(depth=header.depth),
            folder=str(self._prepared.files.folder.resolve()),
        )

    def status(self, state: State, fault: LocstreamError | None) -> Status:
        """Return the numbers that decide."""
        figures, record, fit = self._figures, self._lanes.record, self._lanes.fit
        ledger = figures.ledger.snapshot()
        fps_acquired, fps_fitted = figures.gauges.rates(ledger.acquired, ledger.acquired - ledger.pending)
        waiting = fit.waiting if state is not State.DONE else ""
        return Status(
            acquisition=self._prepared.header.acquisition_id,
            seq=0,
            state=state.value,
            ledger=ledger,
            localizations=self._lanes.commits.rows,
            fps_acquired=fps_acquired,
            fps_fitted=fps_fitted,
            queued=fit.queued,
            workers=fit.workers,
            lanes=fit.lanes,
            load=figures.ladder.rung.value,
            lag_s=figures.ladder.lag_s,
            disk_free_mb=min(self._disk.free_mb, MOST_MB),
            suspected_drops=record.suspected_drops,
            warning=fault.what if fault is not None else " ".join(filter(None, [waiting, *figures.doubts])),
            stages=self._stages(),
            quality=figures.quality,
            **figures.medians._asdict(),
        )

    def warnings(self) -> list[str]:
        """Return sentences for the summary, of what the ledger does not say already."""
        record, found = self._lanes.record, self._figures.doubts
        if record.suspected_drops:
            found.append(
                f"by their times, {record.suspected_drops:,} frames more may be missing between those that came"
            )
        if deaths := record.recorder_deaths:
            found.append(
                f"the writer of the raw stack died {times(deaths)} and was started again; no frame was lost by it"
            )
        return found
