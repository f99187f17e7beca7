"""Rates, medians and latencies over the latest frames."""

from __future__ import annotations

import threading
import time

import msgspec
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
    assert gauges.committed.percentiles() is None
    assert gauges.published.percentiles() is None


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
    latency = gauges.committed.percentiles()
    assert latency is not None
    assert 100 <= latency.p50_ms < 1000
    assert latency.p99_ms >= 4000


def test_what_is_published_is_counted_apart() -> None:
    gauges = Gauges()
    rows, records = batch(10, photons=1.0, age_s=0.1)
    gauges.add_batch(rows, records)
    assert gauges.published.percentiles() is None
    gauges.note_published(records)
    committed, published = gauges.committed.percentiles(), gauges.published.percentiles()
    assert committed is not None
    assert published is not None
    assert committed.p50_ms <= published.p50_ms, "what is published was committed before"


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
        "acquiring frames 1,203 acquired / 1,192 fitted / lag 11 | 71,204 locs, 59.1/frame"
        " | median 842 photons, 11.3 nm | queue 9 | dropped 3 | 100 / 100 fps"
    )


def test_before_the_first_frame_it_says_what_is_waited_for() -> None:
    assert "compile" in live_text(status("starting"))


class Terminal:
    """What is written to a terminal, or to a file; it may be stopped, as by Ctrl-S, or be gone."""

    def __init__(self, *, tty: bool, stopped: threading.Event | None = None, gone: bool = False) -> None:
        self.text = ""
        self._tty = tty
        self._stopped = stopped
        self._gone = gone

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> None:
        if self._gone:
            raise BrokenPipeError
        if self._stopped is not None:
            self._stopped.wait(30)
        self.text += text

    def flush(self) -> None: ...


def shown(out: Terminal, *statuses: Status) -> str:
    line = LiveLine(out)
    for each in statuses:
        line.show(each)
        time.sleep(0.05)
    line.end()
    return out.text


def test_in_a_terminal_one_line_is_rewritten() -> None:
    text = shown(Terminal(tty=True), status(), status(), status())
    assert text.count("\r") == 3
    assert text.count("\n") == 1
    assert text.endswith("\n")


def test_a_line_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert len(shown(Terminal(tty=True), status()).strip()) <= 59


def test_elsewhere_a_line_is_printed_now_and_then_and_at_the_end() -> None:
    text = shown(Terminal(tty=False), *[status()] * 5, status("done"))
    assert text.count("\n") == 2
    assert "\r" not in text


def test_a_stopped_terminal_holds_nobody_up_and_shows_the_latest_later() -> None:
    stopped = threading.Event()
    out = Terminal(tty=True, stopped=stopped)
    line = LiveLine(out)
    for k in range(1000):
        line.show(msgspec.structs.replace(status(), localizations=k))
    assert out.text == ""
    stopped.set()
    time.sleep(0.1)
    line.end()
    assert "999 locs" in out.text
    assert out.text.count("\r") <= 3, "what was overtaken is not written"


def test_a_terminal_that_is_gone_is_not_written_to_again() -> None:
    assert shown(Terminal(tty=True, gone=True), status(), status()) == ""
