"""A stack on disk goes through the real pipeline: processes, sockets, files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import yaml

from locstream.results.reader import ResultsReader, read_results
from locstream.stacks.place import stack_file as stack_of

pytestmark = pytest.mark.system

SETTINGS = """
[[camera]]
pixel_size_nm = 100.0
offset_adu = 100.0
gain_e_per_adu = 0.5
read_noise_e = 1.0
"""


def spots(frames: int, height: int = 40, width: int = 56, seed: int = 3) -> np.ndarray:
    """Return frames with one molecule each, at a place that frame, row and column tell apart."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    stack = np.empty((frames, height, width), np.uint16)
    for t in range(frames):
        x, y = 10 + t % 30, 12 + t % 15
        light = 10 + 1500 / (2 * np.pi * 1.3**2) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.3**2))
        stack[t] = np.rint(rng.poisson(light) / 0.5 + 100)
    return stack


@pytest.fixture
def stack_file(tmp_path: Path) -> Path:
    path = tmp_path / "my cell.tif"
    tifffile.imwrite(path, spots(120), imagej=True)
    (tmp_path / "camera.toml").write_text(SETTINGS)
    return path


def test_a_stack_becomes_results_pictures_and_a_summary(
    stack_file: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    command = locstream("replay", stack_file, "--config", "camera.toml", "--out", "out")
    assert command.finish() == 0, command.err
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "my_cell_config.toml",
        "my_cell_locs.hdf5",
        "my_cell_locs.yaml",
        "my_cell_recon.ome.tif",
        "my_cell_recon.png",
        "my_cell_summary.json",
        "ro-crate-metadata.json",
    ]
    summary = json.loads((out / "my_cell_summary.json").read_text())
    assert summary["outcome"] == "complete"
    assert summary["frames"] == {
        "acquired": 120, "fitted": 120, "pending": 0, "skipped": 0, "failed": 0, "camera_dropped": 0,
    }  # fmt: skip
    assert summary["localizations"]["total"] >= 120
    with h5py.File(out / "my_cell_locs.hdf5") as file:
        locs = file["locs"][:]
    first = {int(f): locs[locs["frame"] == f] for f in range(120)}
    for t, rows in first.items():
        nearest = np.hypot(rows["x"] - (10 + t % 30), rows["y"] - (12 + t % 15)).min()
        assert nearest < 0.3, f"frame {t}: x along columns and y down rows, in px from the centre of pixel (0, 0)"
    document = next(yaml.safe_load_all((out / "my_cell_locs.yaml").read_text()))
    assert (document["Width"], document["Height"], document["Frames"]) == (56, 40, 120)


PLAIN_LOOP = """
import sys
import numpy as np, tifffile
from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, Localizer
camera = CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.0, saturation_adu=65535.0)
localizer = Localizer(camera, 40, 56, FitOptions())
np.save(sys.argv[2], np.concatenate([localizer(f, t) for t, f in enumerate(tifffile.imread(sys.argv[1]))]))
"""


def test_the_pipeline_gives_what_a_plain_loop_gives(
    stack_file: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    """Parity: no row is lost, added, moved or changed on its way through processes and files.

    The loop runs in a process that takes its kernels from the cache, as the workers do: in the process that has
    compiled them they round the last bits differently.
    """
    assert locstream("replay", stack_file, "--config", "camera.toml", "--out", "out").finish() == 0
    results = read_results(tmp_path / "out" / "my_cell_locs.hdf5")
    plain = tmp_path / "plain.npy"
    subprocess.run([sys.executable, "-c", PLAIN_LOOP, stack_file, plain], check=True)
    expected = np.load(plain)
    assert len(results.table) == len(expected)
    for name in expected.dtype.names:
        np.testing.assert_allclose(results.table[name], expected[name], rtol=2e-6, err_msg=name)
    assert results.frames["frame"].tolist() == list(range(120))


def test_fitting_a_finished_stack_gives_the_same_files(
    stack_file: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    """`locstream fit`: threads instead of processes, the same rows."""
    assert locstream("replay", stack_file, "--config", "camera.toml", "--out", "live").finish() == 0
    fit = locstream("fit", stack_file, "--config", "camera.toml", "--out", "fit", "--threads", "3")
    assert fit.finish() == 0, fit.err
    assert "120 / 120 frames" in fit.err
    assert sorted(p.name for p in (tmp_path / "fit").iterdir()) == sorted(p.name for p in (tmp_path / "live").iterdir())
    live, fitted = (read_results(tmp_path / d / "my_cell_locs.hdf5") for d in ("live", "fit"))
    for folder in (tmp_path / "live", tmp_path / "fit"):
        with ResultsReader(folder / "my_cell_locs.hdf5") as results:
            assert stack_of(results.header.source, folder) == stack_file, "whoever looks at them finds the frames"
    np.testing.assert_array_equal(live.table, fitted.table)


def test_at_a_given_rate_nothing_is_lost_and_latency_is_told(
    stack_file: Path, tmp_path: Path, locstream: Callable[..., object]
) -> None:
    command = locstream(
        "replay", stack_file, "--config", "camera.toml", "--out", "out", "--fps", "200", "--name", "slow"
    )
    assert command.finish() == 0, command.err
    summary = json.loads((tmp_path / "out" / "slow_summary.json").read_text())
    assert summary["frames"]["fitted"] == 120
    assert summary["speed"]["latency_p50_ms"] > 0


def test_a_run_is_never_overwritten(stack_file: Path, tmp_path: Path, locstream: Callable[..., object]) -> None:
    assert locstream("replay", stack_file, "--config", "camera.toml", "--out", "out").finish() == 0
    before = {p: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    command = locstream("replay", stack_file, "--config", "camera.toml", "--out", "out")
    assert command.finish() == 1
    assert "never overwrites" in command.err
    assert {p: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_no_runtime_files_stay_behind(stack_file: Path, runtime: str, locstream: Callable[..., object]) -> None:
    assert locstream("replay", stack_file, "--config", "camera.toml", "--out", "out").finish() == 0
    assert list(Path(runtime).iterdir()) == []
