"""Gathers what each stage of an acquisition holds and has done; nothing is counted here."""

from __future__ import annotations

import time

from locstream.stream.stages import Latency, Queue, Stages
from locstreamd.fit.lane import FitLane
from locstreamd.record.lane import RecordLane
from locstreamd.service.commits import UNCOMMITTED_FRAMES, Commits
from locstreamd.service.desk import Desk
from locstreamd.view.gauges import Gauges

LATENCY_EVERY_S = 1.0
"""Percentiles are worked out this often while the camera runs: 0.4 ms each time, which is all the work there is."""


class StagesOf:
    """Looks at the stages of one acquisition, from the thread of its loop.

    Parameters
    ----------
    record, fit
        The lanes.
    desk
        Its sockets.
    commits
        The way of its results to the disk.
    gauges
        The latencies; told only where frames come at a camera's pace.
    """

    def __init__(self, record: RecordLane, fit: FitLane, desk: Desk, commits: Commits, gauges: Gauges) -> None:
        self._record = record
        self._fit = fit
        self._desk = desk
        self._commits = commits
        self._gauges = gauges
        self._began_s = time.thread_time()
        self._latency: tuple[Latency | None, Latency | None] = (None, None)
        self._latency_at = 0.0

    @property
    def deaths(self) -> dict[str, int]:
        """Processes that have died and were replaced."""
        return {
            "worker": self._fit.deaths,
            "recorder": self._record.recorder_deaths,
            "publisher": self._desk.publisher.deaths,
        }

    def __call__(self) -> Stages:
        """Return the stages at this moment."""
        record, fit, commits, desk = self._record, self._fit, self._commits, self._desk
        committed, published = self._latencies()
        return Stages(
            queues=(*record.queues, *fit.queues, Queue("commit", commits.uncommitted, UNCOMMITTED_FRAMES)),
            busy_s={
                "loop": time.thread_time() - self._began_s,
                "recorder": record.busy_s,
                "fit": fit.busy_s,
                "commit": commits.busy_s,
            },
            deaths=self.deaths,
            camera_restarts=record.camera_restarts,
            unpublished=desk.publisher.unpublished,
            rejected={"control": desk.control.rejected, "history": desk.publisher.rejected, "work": fit.rejected},
            refused=desk.refused,
            left_out=fit.left_out,
            subscribers=desk.publisher.subscribers,
            committed=committed,
            published=published,
        )

    def _latencies(self) -> tuple[Latency | None, Latency | None]:
        now = time.monotonic()
        if self._record.paced and (self._record.finished or now - self._latency_at >= LATENCY_EVERY_S):
            self._latency_at = now
            self._latency = (self._gauges.committed.percentiles(), self._gauges.published.percentiles())
        return self._latency
