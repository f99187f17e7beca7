"""Whatever workers that are admitted say, in whatever order: nothing raises, and every frame is settled once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fake_workers import CALIBRATION, Bench, FakeWorker, join
from locstream.localizations import LOCALIZATION
from locstream.stream.wire import Message, pack
from locstreamd.fit.work import Done, Goodbye, Ready, Refused

FRAMES = 40
MESSAGES = 400
HUGE = 2**62


def message(chance: random.Random) -> Message:
    """Return something that a worker may say, with numbers that none should."""
    index = chance.choice([-1, chance.randrange(FRAMES + 2), HUGE])
    match chance.randrange(6):
        case 0:
            pid, lanes = chance.choice([None, 1, -1, HUGE]), chance.choice([-1, 0, 8, 65_536, HUGE])
            return join(pid=pid, lanes=lanes, instance=chance.choice(["", "a", "b", "c" * 10_000]))
        case 1 | 2:
            calibration = chance.choice([CALIBRATION.digest()] * 5 + [""])
            credits_ = chance.choice([1, 2, 3, -1, HUGE])
            return Ready(credits=credits_, most=chance.choice([0, 5, HUGE]), calibration=calibration)
        case 3:
            fit_ms = chance.choice([0.0, 1e-310, 0.1, 3.6e6, -1.0, float("nan"), float("inf")])
            return Done(
                index=index,
                rows=chance.choice([0, 1, -1, HUGE]),
                fit_ms=fit_ms,
                residual_spots=chance.choice([0, 1, -1, HUGE]),
            )
        case 4:
            return Refused(index=chance.choice([None, index]), reason="no")
        case _:
            return Goodbye()


def buffers(chance: random.Random) -> list[bytes]:
    sizes = (0, 1, LOCALIZATION.itemsize, 4 * 49, 1_000)
    return [chance.randbytes(chance.choice(sizes)) for _ in range(chance.randrange(3))]


@pytest.mark.parametrize("seed", range(4))
def test_every_frame_is_settled_once_by_those_who_do_their_work(tmp_path: Path, seed: int) -> None:
    bench, chance = Bench(f"ipc://{tmp_path}/work", frames=FRAMES, timeout_s=3_600.0), random.Random(seed)
    hostile = [bench.worker() for _ in range(3)]
    for number in range(MESSAGES):
        chance.choice(hostile).say(*pack(message(chance), *buffers(chance)))
        if not number % 5:
            bench.dispatcher.send(0)
        assert bench.dispatcher.socket.poll(60_000)
        bench.found += bench.dispatcher.receive()
    for worker in hostile:
        worker.say(*pack(Goodbye()))
        worker.say(*pack(Goodbye()))
    bench.until(lambda: bench.dispatcher.crew.ready == bench.dispatcher.crew.joining == 0)
    assert bench.dispatcher.rejected > 0
    honest = bench.join(pid=7, credits_=5, instance="honest")
    finish(bench, honest)
    assert sorted(settled.index for settled in bench.found) == list(range(FRAMES))
    assert all((settled.rows["frame"] == 10 * settled.index).all() for settled in bench.found)
    bench.close()


def finish(bench: Bench, worker: FakeWorker) -> None:
    """Have a worker fit all that is left."""
    while True:
        bench.dispatcher.send(0)
        if not (taken := worker.take()):
            break
        settled = len(bench.found) + len(taken)
        for index in taken:
            worker.answer(index)
        bench.until(lambda count=settled: len(bench.found) == count)
    assert bench.dispatcher.outstanding == 0
