"""Who watches cannot hurt the record: not by not reading, not by stopping, not by coming and going, not by nonsense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from disturbances import DISTURBANCES
from locstream.results.reader import read_results
from locstream.stacks.live_frames import read_pages_info
from spawned_run import SpawnedRun

pytestmark = pytest.mark.system

FRAMES = 600
SETTINGS = f"""
[simulation]
width = 128
height = 128
frames = {FRAMES}
exposure_ms = 8.0
emitters_per_frame = 15
[workers]
count = 1
"""


@pytest.mark.parametrize("scale", [0.1, pytest.param(1.0, marks=pytest.mark.full)], ids=["reduced", "whole"])
@pytest.mark.parametrize("name", DISTURBANCES)
def test_every_frame_is_recorded_and_fitted_all_the_same(name: str, scale: float, tmp_path: Path) -> None:
    with SpawnedRun(tmp_path, SETTINGS) as run:
        run.wait_for_frames(1)
        DISTURBANCES[name](run, scale)
        frames = run.finish()["frames"]
    assert frames["acquired"] == frames["fitted"] == FRAMES
    assert frames["camera_dropped"] == 0
    np.testing.assert_array_equal(read_pages_info(run.files.stack).numbers, np.arange(FRAMES))
    assert read_results(run.files.results).frames["frame"].tolist() == list(range(FRAMES))
