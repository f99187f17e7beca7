"""A kernel gives the same digits in the process that has compiled it as in all those that load it from the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # they compile, which takes as long as it takes

LIGHT = """
import hashlib
import numpy as np
rng = np.random.default_rng(0)
def light(molecules, size, reach):
    far = np.arange(size)[:, None] - (size // 2 + rng.uniform(-reach, reach, (2, molecules, 1, 1)))
    y, x = np.exp(-0.5 * (far / 1.3) ** 2)
    return 100 * y * x.transpose(0, 2, 1)
"""
BOXES = """
from locstream.fitting import fit_spots
spots = rng.poisson(light(1_000, 7, 0.5) + 10).astype(np.float32)
digits = b"".join(column.tobytes() for column in fit_spots(spots, 1.3, variance=2.5))
"""
FRAMES = """
from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, Localizer
localize = Localizer(CameraCalibration(pixel_size_nm=108.0, offset_adu=0.0), 64, 64, FitOptions())
frames = [rng.poisson(light(molecules, 64, 32).sum(axis=0) + 10) for molecules in [5] * 20 + [50] * 10]
digits = b"".join(localize(frame.astype(np.uint16), number).tobytes() for number, frame in enumerate(frames))
"""
TOLD = "print(len(digits), hashlib.sha256(digits).hexdigest())"


@pytest.mark.parametrize("script", [BOXES, pytest.param(FRAMES, marks=pytest.mark.full)], ids=["boxes", "frames"])
def test_the_digits_are_those_of_the_process_that_has_compiled(tmp_path: Path, script: str) -> None:
    """LLVM optimizes a kernel again in each that calls it: who has compiled them has several codes."""

    def printed() -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", LIGHT + script + TOLD]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout

    compiled = printed()
    kept = set(tmp_path.rglob("*.nbc"))
    assert kept
    assert int(compiled.split()[0]) > 10_000
    assert printed() == compiled
    assert set(tmp_path.rglob("*.nbc")) == kept, "nothing was compiled a second time"
