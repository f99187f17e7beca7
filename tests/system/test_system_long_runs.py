"""Each frame exactly once, whatever dies on the way; and more frames than can be fitted in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from long_runs import count_numbered_frames, count_simulated_frames, overload

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    "frames", [3_000, pytest.param(100_000, marks=pytest.mark.full)], ids=["reduced", "100,000 frames"]
)
def test_each_numbered_frame_of_a_camera_is_there_once(frames: int, tmp_path: Path) -> None:
    found = count_numbered_frames(tmp_path, frames)
    print(found)
    assert found.killed
    assert found.nothing_lost(frames)


@pytest.mark.parametrize(
    "frames", [900, pytest.param(20_000, marks=pytest.mark.full)], ids=["reduced", "20,000 frames"]
)
def test_each_simulated_frame_is_there_once_and_bit_by_bit(frames: int, tmp_path: Path) -> None:
    found = count_simulated_frames(tmp_path, frames)
    print(found)
    assert found.killed
    assert found.nothing_lost(frames)


@pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=pytest.mark.full)], ids=["reduced", "60 s"])
def test_three_times_too_many_frames_are_all_fitted_in_flat_memory(seconds: float, tmp_path: Path) -> None:
    found = overload(tmp_path, seconds)
    print(found.growth_mb)
    planned = round(3 * seconds * found.capacity_fps)
    assert found.ledger["acquired"] == found.ledger["fitted"] == planned
    assert found.most_waiting > 0.3 * planned, "the worker was not overloaded"
    assert max(found.growth_mb.values()) < 40
    np.testing.assert_array_equal(found.live, found.unhurried)
