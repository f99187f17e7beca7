"""Each process of an acquisition is killed at random moments; nothing that was on disk is lost, nothing there twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from kill_matrix import KillMatrix

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    "kills",
    [20, pytest.param(500, marks=[pytest.mark.full, pytest.mark.timeout(3600)])],
    ids=["reduced", "500 kills"],
)
def test_nothing_is_lost_whatever_is_killed(kills: int, tmp_path: Path) -> None:
    matrix = KillMatrix(tmp_path, seed=11)
    matrix.learn()
    while matrix.tally.kills.total() < kills:
        matrix.run()
    print(matrix.tally.table())
    assert matrix.tally.found.total() == 0, matrix.tally.table()
    assert set(matrix.tally.kills) >= {"daemon", "worker", "recorder", "publisher"}
    assert matrix.tally.frames > 0
