"""What an acquisition counts and measures as it goes; nothing is moved here."""

from __future__ import annotations

import time

from locstream.calibrating.check import CalibrationCheck
from locstream.results.ledger import Ledger
from locstream.stacks.source import Frame
from locstream.stream.quality import Quality
from locstreamd.fit.task import Task
from locstreamd.record.frame_index import FrameIndex
from locstreamd.service.commits import Committed
from locstreamd.service.config import LoadSettings
from locstreamd.service.load import Ladder
from locstreamd.view.gauges import Gauges, Medians


class Figures:
    """Every frame, the latest rows, how well the fits describe what the camera sees, how far they are behind.

    Parameters
    ----------
    task
        How frames are fitted.
    load
        From where on what is only looked at gives way.

    Attributes
    ----------
    ledger
        Where every frame is.
    gauges
        Rates and latencies.
    ladder
        What has given way.
    """

    def __init__(self, task: Task, load: LoadSettings) -> None:
        self.ledger = Ledger()
        self.gauges = Gauges()
        self.ladder = Ladder(load)
        self._check = CalibrationCheck(task.calibration, task.height, task.width, task.options)
        self._medians = Medians()

    @property
    def medians(self) -> Medians:
        """What the latest frames held; while there is no time to work it out, what was known before."""
        if self.ladder.analyses:
            self._medians = self.gauges.medians()
        return self._medians

    @property
    def quality(self) -> Quality:
        """How well the last fits described what the camera saw."""
        return self._check.quality.report()

    @property
    def doubts(self) -> list[str]:
        """What speaks against the camera's calibration, in sentences."""
        return self._check.sentences()

    def lag_s(self, index: FrameIndex) -> float:
        """Return the age of the oldest frame without a result on disk, s; 0 where there is none."""
        ledger = self.ledger.snapshot()
        return max(0.0, time.time() - index.time_s(ledger.acquired - ledger.pending)) if ledger.pending else 0.0

    def take(self, frame: Frame) -> None:
        """Take notice of a frame that has come."""
        self.ledger.acquire(frame.number)
        if self.ladder.analyses:
            self._check.see(frame.image)

    def settle(self, committed: Committed) -> None:
        """Take notice of frames that have just been committed."""
        for result, number in zip(committed.settled, committed.records["frame"], strict=True):
            self.ledger.settle(int(number), result.outcome)
            if result.residuals is not None:
                self._check.quality.add_residuals(result.residuals)
        self.gauges.add_batch(committed.rows, committed.records)
        if self.ladder.analyses:
            self._check.fitted(committed.rows)
