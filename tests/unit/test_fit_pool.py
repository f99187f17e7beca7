"""Workers are started, noticed when they die, started again, and ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from locstreamd.fit.pool import WorkerPool
from waiting import until


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerPool]:
    pool = WorkerPool(f"ipc://{tmp_path}/nobody-listens", count=2, nice=0)
    yield pool
    for pid in pool.pids:
        pool.kill(pid)
    pool.close()


def tend_until_dead(pool: WorkerPool) -> list[int]:
    dead: list[int] = []
    until(lambda: dead.extend(pool.tend()) or dead)
    return dead


def test_all_places_are_filled(pool: WorkerPool) -> None:
    assert pool.tend() == []
    assert len(pool.pids) == 2
    assert all(psutil.pid_exists(pid) for pid in pool.pids)


def test_the_first_may_start_alone(pool: WorkerPool) -> None:
    pool.tend(at_most=1)
    assert len(pool.pids) == 1
    pool.tend()
    assert len(pool.pids) == 2


def test_a_death_is_told_once_and_the_place_filled_again_after_a_wait(pool: WorkerPool) -> None:
    pool.tend()
    victim = pool.pids[0]
    pool.kill(victim)
    assert tend_until_dead(pool) == [victim]
    assert pool.deaths == 1
    assert victim not in pool.pids
    until(lambda: pool.tend() or len(pool.pids) == 2)
    assert (len(pool.pids), pool.deaths) == (2, 1)


def test_closing_ends_them_all(pool: WorkerPool) -> None:
    """Also those that do not leave by themselves: nobody tells these to."""
    pool.tend()
    pids = pool.pids
    pool.close()
    assert pool.pids == []
    assert not any(psutil.pid_exists(pid) for pid in pids)
