"""Rates, medians and latencies over the latest frames."""

from __future__ import annotations

import time

import numpy as np
import pytest

from locstream.localizations import empty
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Status
from locstreamd.service.live_line import LiveLine, live_text
from locstreamd.view.gauges import RECENT_FRAMES, Gauges, Medians


def batch(frames: int, photons: float, age_s: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rows = empty(2 * frames)
    rows["photons"] = photons
    rows["x_uncertainty_nm"], rows["y_uncertainty_nm"] = 8.0, 12.0
    return rows, frame_records(np.arange(frames), time.time() - age_s, 2, FrameOutcome.FITTED)


def test_nothing_yet_is_all_zero() -> None:
    gauges = Gauges()
    assert gauges.medians() == Medians()
    assert gauges.latency_ms() is None


def test_medians_are_of_the_latest_frames() -> None:
    gauges = Gauges()
    gauges.add_batch(*batch(RECENT_FRAMES, photons=100.0))
    gauges.add_batch(*batch(RECENT_FRAMES, photons=900.0))
    medians = gauges.medians()
    assert medians.photons == 900.0
    assert medians.per_frame == 2.0
    assert medians.precision_nm == 10.0


def test_frames_without_localizations_count() -> None:
    gauges = Gauges()
    rows, _ = batch(10, photons=100.0)
    gauges.add_batch(rows, frame_records(np.arange(40), time.time(), 0, FrameOutcome.FITTED))
    assert gauges.medians().per_frame == 0.5


def test_latency_is_that_of_every_frame() -> None:
    gauges = Gauges()
    gauges.add_batch(*batch(98, photons=1.0, age_s=0.1))
    gauges.add_batch(*batch(2, photons=1.0, age_s=5.0))
    latency = gauges.latency_ms()
    assert latency is not None
    assert 100 <= latency[0] < 1000
    assert latency[1] >= 4000


def test_rates_are_counts_over_time() -> None:
    gauges = Gauges()
    assert gauges.rates(0, 0) == (0.0, 0.0)
    time.sleep(0.05)
    acquired, fitted = gauges.rates(100, 50)
    assert acquired == pytest.approx(2 * fitted)
    assert 0 < acquired <= 100 / 0.05


def status(state: str = "acquiring") -> Status:
    ledger = LedgerSnapshot(acquired=1203, fitted=1190, pending=11, failed=2, camera_dropped=3, last_acquired=1205)
    return Status(
        acquisition="a", seq=0, state=state, ledger=ledger, localizations=71_204, per_frame=59.14, photons=842.4,
        background=10.0, precision_nm=11.34, sigma_nm=130.0, fps_acquired=99.7, fps_fitted=100.2, queued=9, workers=2,
    )  # fmt: skip


def test_the_live_line_says_what_decides() -> None:
    assert live_text(status()) == (
        "acquiring  frames 1,203 acquired / 1,192 fitted / lag 11 | 100 / 100 fps | 71,204 locs, 59.1/frame"
        " | median 842 photons, 11.3 nm | queue 9 | dropped 3"
    )


class Terminal:
    """What is written to a terminal, or to a file."""

    def __init__(self, *, tty: bool) -> None:
        self.text = ""
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...


def test_in_a_terminal_one_line_is_rewritten() -> None:
    out = Terminal(tty=True)
    line = LiveLine(out)  # type: ignore[arg-type]
    for _ in range(3):
        line.show(status())
    line.end()
    assert out.text.count("\r") == 3
    assert out.text.count("\n") == 1
    assert out.text.endswith("\n")


def test_elsewhere_a_line_is_printed_now_and_then_and_at_the_end() -> None:
    out = Terminal(tty=False)
    line = LiveLine(out)  # type: ignore[arg-type]
    for _ in range(100):
        line.show(status())
    line.show(status("done"))
    assert out.text.count("\n") == 2
    assert "\r" not in out.text
