"""From dark and light stacks to localizations: the calibration is made, found, used, and noticed where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from camera_frames import even_light, sample, uneven_camera
from locstream.calibration.camera import MAPS
from locstream.results.reader import read_results

pytestmark = pytest.mark.system

SIZE = 48
LEVELS = (50, 500, 5000)
AXES = {"axes": "TYX"}


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    """Write dark, light and sample stacks of one camera; return their folder."""
    camera = uneven_camera(SIZE, SIZE)
    written = {"dark": even_light(camera, 300, 0)} | {f"light{n}": even_light(camera, 100, n) for n in LEVELS}
    for name, frames in written.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", np.stack(list(frames)), imagej=True, metadata=AXES)
    cell = sample(camera, 60, size=SIZE, emitters=3, photons=1500, contrast=1)
    tifffile.imwrite(tmp_path / "cell.tif", cell, imagej=True, metadata=AXES)
    return tmp_path


def summary_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "cell_summary.json").read_text())
    return found


def test_a_calibration_is_made_found_and_used(stacks: Path, locstream: Callable[..., object]) -> None:
    light = [f"light{n}.tif" for n in LEVELS]
    made = locstream("calibrate-camera", "--dark", "dark.tif", "--light", *light, "--out", "cameras", "--serial", "S-1")
    assert made.finish() == 0, made.err
    assert "e⁻/ADU" in made.out
    (stacks / "camera.toml").write_text("[[camera]]\npixel_size_nm = 100\ncalibration = 'cameras'\n")
    run = locstream("replay", "cell.tif", "--config", "camera.toml", "--out", "out")
    assert run.finish() == 0, run.err
    assert summary_of(stacks / "out")["warnings"] == []
    results = read_results(stacks / "out" / "cell_locs.hdf5")
    used = results.header.calibration
    assert used is not None
    assert used.maps == MAPS
    assert used.gain_e_per_adu == pytest.approx(0.46, rel=0.02)
    assert 0.8 < np.median(results.table["chi2"]) < 1.25


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("offset_adu = 100\ngain_e_per_adu = 0.2\nread_noise_e = 1.5", "gain_e_per_adu is too small"),
        ("offset_adu = 150\ngain_e_per_adu = 0.46\nread_noise_e = 1.5", "offset_adu is too high"),
    ],
)
def test_a_wrong_calibration_is_said_in_the_summary(
    stacks: Path, locstream: Callable[..., object], values: str, sentence: str
) -> None:
    (stacks / "camera.toml").write_text(f"[[camera]]\npixel_size_nm = 100\n{values}\n")
    run = locstream("replay", "cell.tif", "--config", "camera.toml", "--out", "out")
    assert run.finish() == 0, run.err
    assert sentence in " ".join(summary_of(stacks / "out")["warnings"])
    assert sentence in run.out


def test_a_calibration_of_another_camera_stops_before_anything_is_made(
    stacks: Path, locstream: Callable[..., object]
) -> None:
    (stacks / "empty").mkdir()
    (stacks / "camera.toml").write_text("[[camera]]\npixel_size_nm = 100\ncalibration = 'empty'\n")
    run = locstream("replay", "cell.tif", "--config", "camera.toml", "--out", "out")
    assert run.finish() == 1
    assert "no calibration in" in run.err
    assert "Traceback" not in run.err
    assert not (stacks / "out").exists()
