"""Frames go out by credit, come back once, and survive the death of whoever held them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bead_stacks import lens
from fake_workers import CALIBRATION, Bench, join
from locstream import __version__
from locstream.localizations import LOCALIZATION_3D, empty
from locstream.results.frames import FrameOutcome
from locstream.stream.wire import pack
from locstreamd.fit.answers import Settled
from locstreamd.fit.roster import ATTEMPTS, WINDOW
from locstreamd.fit.work import Done, Leave, Ready, Refused, Rejoin, Setup

LENS = lens(pixel_size_nm=130.0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(f"ipc://{tmp_path}/work", frames=400)
    yield bench
    bench.close()


def test_a_worker_gets_its_set_up_and_as_many_frames_as_it_has_credit(bench: Bench) -> None:
    worker = bench.join(pid=1, credits_=2)
    bench.dispatcher.send(0)
    assert worker.take() == [0, 1]
    bench.dispatcher.send(0)
    assert worker.take() == []


def test_results_come_back_with_their_rows_and_free_the_credit(bench: Bench) -> None:
    worker = bench.join(pid=1)
    bench.dispatcher.send(0)
    worker.take()
    worker.answer(1, rows=3)
    (settled,) = bench.results(1)
    assert (settled.index, settled.outcome, len(settled.rows)) == (1, FrameOutcome.FITTED, 3)
    bench.dispatcher.send(0)
    assert worker.take() == [2]


def test_two_workers_share(bench: Bench) -> None:
    first, second = bench.join(pid=1), bench.join(pid=2)
    bench.dispatcher.send(0)
    assert sorted(first.take() + second.take()) == [0, 1, 2, 3]


def test_the_frames_of_a_dead_worker_go_to_another_oldest_first(bench: Bench) -> None:
    first = bench.join(pid=1)
    bench.dispatcher.send(0)
    assert first.take() == [0, 1]
    assert bench.dispatcher.bury([1]) == []
    assert bench.dispatcher.outstanding == 2
    second = bench.join(pid=2, credits_=3)
    bench.dispatcher.send(0)
    assert second.take() == [0, 1, 2]


def test_a_result_that_comes_twice_counts_once(bench: Bench) -> None:
    worker = bench.join(pid=1)
    bench.dispatcher.send(0)
    worker.take()
    worker.answer(0)
    worker.answer(0)
    worker.answer(1)
    assert [s.index for s in bench.results(2)] == [0, 1]


def test_a_result_from_a_worker_given_up_is_not_taken(bench: Bench) -> None:
    late = bench.join(pid=1)
    bench.dispatcher.send(0)
    late.take()
    bench.dispatcher.bury([1])
    other = bench.join(pid=2)
    bench.dispatcher.send(0)
    other.take()
    late.answer(0)
    other.answer(0)
    (settled,) = bench.results(1)
    assert settled.index == 0


def test_a_frame_that_kills_its_workers_is_marked_failed(bench: Bench) -> None:
    failed: list[Settled] = []
    for pid in range(1, ATTEMPTS + 1):
        worker = bench.join(pid=pid, credits_=1)
        bench.dispatcher.send(0)
        assert worker.take() == [0]
        failed += bench.dispatcher.bury([pid])
    assert [(s.index, s.outcome) for s in failed] == [(0, FrameOutcome.FAILED)]
    assert str(ATTEMPTS) in failed[0].reason
    survivor = bench.join(pid=99, credits_=1)
    bench.dispatcher.send(0)
    assert survivor.take() == [1]


def test_a_frame_that_a_worker_refuses_is_failed_with_the_reason(bench: Bench) -> None:
    worker = bench.join(pid=1)
    bench.dispatcher.send(0)
    worker.take()
    worker.say(*pack(Refused(index=0, reason="not today")))
    (settled,) = bench.results(1)
    assert (settled.outcome, settled.reason) == (FrameOutcome.FAILED, "not today")


def test_no_frame_runs_further_ahead_than_the_window(bench: Bench) -> None:
    worker = bench.join(pid=1, credits_=1000)
    bench.dispatcher.send(0)
    assert worker.take()[-1] == WINDOW - 1
    bench.dispatcher.send(10)
    assert worker.take()[-1] == WINDOW + 9


def test_a_worker_of_another_version_is_sent_home_and_nobody_else_notices(bench: Bench) -> None:
    worker, crew = bench.worker(), bench.dispatcher.crew
    worker.say(*pack(join(version="0.0.7")))
    bench.until(lambda: bool(crew.last_refusal))
    assert "0.0.7" in crew.last_refusal
    assert __version__ in crew.last_refusal
    assert [type(message) for message in worker.hear()] == [Leave]
    assert crew.ready == crew.joining == 0


def test_rows_of_another_frame_are_refused(bench: Bench) -> None:
    worker = bench.join(pid=1)
    bench.dispatcher.send(0)
    worker.take()
    rows = empty(1)
    rows["frame"] = 99
    worker.say(*pack(Done(index=0, rows=1, fit_ms=0.1), rows.tobytes()))
    worker.answer(1, number=10)
    assert [s.index for s in bench.results(1)] == [1]
    assert bench.dispatcher.rejected == 1


def test_malformed_messages_are_counted_and_dropped(bench: Bench) -> None:
    worker = bench.join(pid=1)
    bench.dispatcher.send(0)
    worker.take()
    worker.say(b"\xc1")
    worker.say(*pack(Done(index=0, rows=5, fit_ms=0.1), b"short"))
    worker.answer(0)
    (settled,) = bench.results(1)
    assert settled.index == 0
    assert bench.dispatcher.rejected == 2


@pytest.mark.parametrize("fit_ms", [-0.1, float("nan"), float("inf"), 1e300])
def test_a_time_that_no_fit_takes_is_refused(bench: Bench, fit_ms: float) -> None:
    worker = bench.join(pid=1)
    bench.dispatcher.send(0)
    assert worker.take() == [0, 1]
    worker.say(*pack(Done(index=0, rows=0, fit_ms=fit_ms), b""))
    worker.answer(1)
    (settled,) = bench.results(1)
    assert settled.index == 1
    assert bench.dispatcher.rejected == 1
    assert 0 <= bench.dispatcher.fit_s < 1


@pytest.mark.parametrize("said", [{"credits": 0}, {"credits": 2**40}, {"credits": 2, "most": -1}], ids=str)
def test_more_frames_than_anybody_holds_are_not_promised(bench: Bench, said: dict[str, int]) -> None:
    worker = bench.worker()
    worker.say(*pack(join(pid=None)))
    bench.until(lambda: bench.dispatcher.crew.joining == 1)
    worker.say(*pack(Ready(calibration=CALIBRATION.digest(), **said)))
    bench.until(lambda: bench.dispatcher.rejected == 1)
    assert (bench.dispatcher.crew.ready, bench.dispatcher.credits) == (0, 0)


def test_a_worker_that_holds_a_frame_too_long_is_hung(tmp_path: Path) -> None:
    bench = Bench(f"ipc://{tmp_path}/work", frames=1, timeout_s=0.01)
    worker = bench.join(pid=4)
    assert bench.dispatcher.crew.hung() == []
    bench.dispatcher.send(0)
    assert worker.take() == [0]
    bench.until(lambda: bench.dispatcher.crew.hung() == [4])
    bench.close()


def test_workers_are_sent_home(bench: Bench) -> None:
    worker = bench.join(pid=1)
    assert [type(message) for message in worker.hear()] == [Setup]
    bench.dispatcher.crew.send_home()
    assert [type(message) for message in worker.hear()] == [Leave]
    bench.dispatcher.close()
    bench.dispatcher.close()


def test_with_depth_rows_have_it_those_of_failed_frames_too(tmp_path: Path) -> None:
    bench = Bench(f"ipc://{tmp_path}/work", frames=3, astigmatism=LENS)
    worker = bench.join(pid=1, credits_=3)
    bench.dispatcher.send(0)
    worker.take()
    rows = empty(2, LOCALIZATION_3D)
    rows["z_nm"] = [-80, 80]
    worker.answer(0)  # flat rows: not what was announced
    worker.say(*pack(Done(index=0, rows=2, fit_ms=0.1), rows.tobytes()))
    worker.say(*pack(Refused(index=1, reason="not today")))
    settled = {s.index: s for s in bench.results(2)}
    np.testing.assert_array_equal(settled[0].rows, rows)
    assert len(np.concatenate([settled[0].rows, settled[1].rows])) == 2
    assert bench.dispatcher.rejected == 1
    bench.close()


def test_nobody_gets_work_before_it_is_ready(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    worker, crew = bench.worker(), bench.dispatcher.crew
    worker.say(*pack(join(lanes=16, vectors="16 float32 lanes (AVX-512)")))
    bench.until(lambda: crew.joining == 1)
    bench.dispatcher.send(0)
    assert (crew.ready, crew.lanes, bench.dispatcher.outstanding) == (0, 0, 0)
    with caplog.at_level(logging.INFO, "locstream"):
        worker.say(*pack(Ready(credits=2, calibration=CALIBRATION.digest())))
        bench.until(lambda: crew.ready == 1)
    bench.dispatcher.send(0)
    assert (crew.joining, crew.lanes, bench.dispatcher.outstanding) == (0, 16, 2)
    assert bench.news == [("WorkerJoined", "worker 1 joined: 16 float32 lanes (AVX-512)")]
    assert caplog.messages == ["worker 1 joined: 16 float32 lanes (AVX-512)"]


def test_the_narrowest_worker_says_how_many_lanes_there_are(bench: Bench) -> None:
    assert bench.dispatcher.crew.lanes == 0
    bench.join(pid=1, lanes=16)
    assert bench.dispatcher.crew.lanes == 16
    bench.join(pid=2, lanes=8)
    assert bench.dispatcher.crew.lanes == 8


def test_a_stranger_that_is_ready_is_not_given_work(bench: Bench) -> None:
    stranger = bench.worker()
    stranger.say(*pack(Ready(credits=100)))
    bench.until(lambda: Rejoin in [type(message) for message in stranger.hear()])
    assert bench.found == []
    bench.dispatcher.send(0)
    assert bench.dispatcher.outstanding == 0


def test_residuals_come_with_the_rows_of_the_frames_that_were_compared(bench: Bench) -> None:
    worker = bench.join(pid=1, credits_=3)
    bench.dispatcher.send(0)
    worker.take()
    total = np.arange(49, dtype="<f4")
    for index, spots, buffers in (
        (0, 5, [total.tobytes()]),
        (1, 5, [total[:7].tobytes()]),
        (1, -5, [total.tobytes()]),
        (2, 0, []),
    ):
        done = Done(index=index, rows=0, fit_ms=0.1, residual_spots=spots)
        worker.say(*pack(done, b"", *buffers))
    first, last = bench.results(2)
    assert first.residuals is not None
    assert first.residuals.spots == 5
    np.testing.assert_array_equal(first.residuals.total, total.reshape(7, 7))
    assert (last.index, last.residuals) == (2, None)
    assert bench.dispatcher.rejected == 2, "of another box, and of fewer than no molecules"


def test_rows_that_no_file_may_hold_are_left_out_and_counted(bench: Bench) -> None:
    worker = bench.join(pid=1)
    bench.dispatcher.send(0)
    worker.take()
    rows = empty(3)
    rows["x_nm"] = [0.0, np.nan, -50.0]
    worker.say(*pack(Done(index=0, rows=3, fit_ms=0.1), rows.tobytes()))
    (settled,) = bench.results(1)
    assert len(settled.rows) == 1
    assert bench.dispatcher.unusable == 2
