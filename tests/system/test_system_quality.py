"""What is wrong with the fits of a run is told while it goes on and at its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from fitting_frames import integrated
from kill_matrix import warm_cache
from locstream.calibrating.fit_quality import FEWEST_SPOTS, PATTERN, SPAN_FRAMES
from locstream.results.reader import read_results

pytestmark = pytest.mark.system

CAMERA = """
[[camera]]
pixel_size_nm = 100.0
offset_adu = 100.0
gain_e_per_adu = 0.5
[fit]
psf_sigma_nm = 130.0
"""


def molecules(frames: int, sigma_px: Callable[[int], float], across: int = 1) -> npt.NDArray[np.uint16]:
    """Return frames with `across`² molecules of 3,000 photons, each alone, as wide as the frame says."""
    rng, size = np.random.default_rng(6), 14 * across + 18
    light = np.full((frames, size, size), 8.0)
    for t in range(frames):
        for place in np.ndindex(across, across):
            y, x = (16 + 14 * k + rng.uniform(-1, 1) for k in place)
            light[t] += 3000 * np.outer(integrated(y, sigma_px(t), 0, size), integrated(x, sigma_px(t), 0, size))
    return np.rint(rng.poisson(light) / 0.5 + 100).astype(np.uint16)


def write(folder: Path, frames: npt.NDArray[np.uint16], model: str) -> None:
    tifffile.imwrite(folder / "cells.tif", frames, photometric="minisblack", metadata={"axes": "TYX"})
    (folder / "camera.toml").write_text(f'{CAMERA}model = "{model}"\n')


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    warm_cache()


def outcome(folder: Path) -> tuple[dict[str, object], list[str]]:
    """Return the quality in the results of a run, and the warnings in its summary."""
    warnings = json.loads((folder / "cells_summary.json").read_text())["warnings"]
    return read_results(folder / "cells_locs.hdf5").summary["quality"], warnings


@pytest.mark.parametrize("verb", ["replay", "fit"])
def test_a_focus_that_is_lost_is_told(tmp_path: Path, locstream: Callable[..., object], verb: str) -> None:
    frames = 2 * SPAN_FRAMES + 300
    write(tmp_path, molecules(frames, lambda t: 1.3 if t < frames // 2 else 1.6), "sigma")
    command = locstream(verb, "cells.tif", "--config", "camera.toml", "--out", "out")
    assert command.finish() == 0, command.err
    quality, warnings = outcome(tmp_path / "out")
    assert quality["width_first_nm"] == pytest.approx(130, rel=0.02)
    assert quality["width_now_nm"] == pytest.approx(160, rel=0.02)
    fits = json.loads((tmp_path / "out" / "cells_summary.json").read_text())["fits"]
    assert (fits["width_first_nm"], fits["width_last_nm"]) == (quality["width_first_nm"], quality["width_now_nm"])
    (told,) = warnings
    assert "the width of the molecules went from 13" in told
    assert told.endswith("since the start: refocus?")


def test_a_model_that_is_too_wide_shows_as_a_pattern(tmp_path: Path, locstream: Callable[..., object]) -> None:
    frames = 32 * (FEWEST_SPOTS // 16 + 1)
    write(tmp_path, molecules(frames, lambda t: 1.0, across=4), "fixed")
    command = locstream("replay", "cells.tif", "--config", "camera.toml", "--out", "out")
    assert command.finish() == 0, command.err
    quality, warnings = outcome(tmp_path / "out")
    assert quality["residual_rms"] > PATTERN
    assert np.reshape(quality["residuals"], (7, 7))[3, 3] == pytest.approx(np.max(quality["residuals"]))
    (told,) = warnings
    assert "psf_sigma_nm = 130 nm is too large" in told


def test_where_all_is_right_nothing_is_told(tmp_path: Path, locstream: Callable[..., object]) -> None:
    write(tmp_path, molecules(640, lambda t: 1.3, across=4), "sigma")
    command = locstream("replay", "cells.tif", "--config", "camera.toml", "--out", "out")
    assert command.finish() == 0, command.err
    quality, warnings = outcome(tmp_path / "out")
    assert quality["chi2"] == pytest.approx(1, abs=0.05)
    assert quality["residual_rms"] < PATTERN / 3
    assert warnings == []
