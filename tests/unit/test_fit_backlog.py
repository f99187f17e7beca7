"""Frames come out in order whether they waited in memory or on disk; memory is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locstream.stacks.source import Image
from locstreamd.fit.backlog import Backlog

FRAME_BYTES = 8


def image(index: int) -> Image:
    return np.full((2, 2), index, np.uint16)


def test_frames_in_memory_come_out_in_order() -> None:
    backlog = Backlog(limit_bytes=1000)
    for i in range(5):
        backlog.push(image(i))
    out = [backlog.pop() for _ in range(6)]
    assert [None if p is None else (p[0], int(p[1][0, 0])) for p in out] == [(i, i) for i in range(5)] + [None]


def test_without_a_disk_it_says_that_it_is_full() -> None:
    backlog = Backlog(limit_bytes=2 * FRAME_BYTES)
    backlog.push(image(0))
    assert not backlog.full
    backlog.push(image(1))
    assert backlog.full
    backlog.pop()
    assert not backlog.full


def test_what_does_not_fit_waits_on_disk() -> None:
    backlog = Backlog(2 * FRAME_BYTES, fetch=image, on_disk=lambda: 100)
    for i in range(10):
        backlog.push(image(i))
    assert backlog.spilled == 8
    assert not backlog.full
    assert len(backlog) == 10


def test_a_frame_that_is_not_on_disk_yet_is_waited_for() -> None:
    on_disk = 0
    backlog = Backlog(FRAME_BYTES, fetch=image, on_disk=lambda: on_disk)
    backlog.push(image(0))
    backlog.push(image(1))
    assert backlog.pop() is not None
    assert backlog.pop() is None
    assert len(backlog) == 1
    on_disk = 2
    popped = backlog.pop()
    assert popped is not None
    assert popped[0] == 1


@given(st.integers(0, 5), st.lists(st.booleans(), max_size=60))
def test_every_frame_once_in_order_within_the_bound(limit: int, pushes: list[bool]) -> None:
    """Whatever the order of pushing and popping."""
    backlog = Backlog(limit * FRAME_BYTES, fetch=image, on_disk=lambda: 10**6)
    pushed, popped = 0, []
    for push in pushes:
        if push:
            backlog.push(image(pushed))
            pushed += 1
        elif (got := backlog.pop()) is not None:
            popped.append((got[0], int(got[1][0, 0])))
        held = len(backlog) - backlog.spilled
        assert held <= limit
        assert len(backlog) == pushed - len(popped)
    while (got := backlog.pop()) is not None:
        popped.append((got[0], int(got[1][0, 0])))
    assert popped == [(i, i) for i in range(pushed)]


def test_a_disk_that_fails_is_not_hidden() -> None:
    def broken(index: int) -> Image:
        raise OSError(f"no page {index}")

    backlog = Backlog(0, fetch=broken, on_disk=lambda: 9)
    backlog.push(image(0))
    with pytest.raises(OSError, match="no page 0"):
        backlog.pop()
