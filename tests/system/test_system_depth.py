"""Depth on the whole live path: an astigmatic stack through processes, sockets and files gives what `fit` gives."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from bead_stacks import lens
from fitting_frames import integrated
from kill_matrix import warm_cache
from locstream.bundle.files import RunFiles
from locstream.calibration.astigmatism import AstigmatismCalibration, read_astigmatism
from locstream.errors import LocstreamError
from locstream.localizations import LOCALIZATION_3D
from locstream.results.reader import ResultsReader, read_results
from locstream.stream.messages import Status
from locstream.stream.runtime import find
from raw_subscriber import Subscriber

pytestmark = pytest.mark.system

SIZE, FRAMES = 64, 90
CAMERA = """
[[camera]]
pixel_size_nm = 100.0
offset_adu = 100.0
gain_e_per_adu = 0.5
"""
SIMULATION = """
[acquisition]
name = "cell"
folder = "out"
[workers]
count = 2
[simulation]
width = 96
height = 96
pixel_size_nm = 100.0
psf_sigma_nm = 145.0
frames = 100000
[[camera]]
offset_adu = 100.0
gain_e_per_adu = 0.46
read_noise_e = 1.6
"""
"""A flat sample; an image as wide as that of a molecule at z = 0 behind the lens."""


def astigmatic(frames: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """Return a stack, and frame, x, y, z of each of its molecules, nm."""
    rng, through = np.random.default_rng(2), lens()
    light, truth = np.full((frames, SIZE, SIZE), 10.0), []
    for t in range(frames):
        for column, row in ((16, 18), (45, 20), (30, 46)):
            x, y, z = column + rng.uniform(-2, 2), row + rng.uniform(-2, 2), rng.uniform(-400, 400)
            down = integrated(y, float(through.sigma_y_px(z)), 0, SIZE)
            light[t] += 4000 * down[:, None] * integrated(x, float(through.sigma_x_px(z)), 0, SIZE)
            truth.append((t, 100 * x, 100 * y, z))
    return np.rint(rng.poisson(light) / 0.5 + 100).astype(np.uint16), np.array(truth)


@pytest.fixture(scope="module")
def sample() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    warm_cache()
    return astigmatic(FRAMES)


@pytest.fixture
def truth(tmp_path: Path, sample: tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    tifffile.imwrite(tmp_path / "cells.tif", sample[0], photometric="minisblack", metadata={"axes": "TYX"})
    (tmp_path / "lens.json").write_text(lens().model_dump_json())
    (tmp_path / "camera.toml").write_text(CAMERA)
    (tmp_path / "depth.toml").write_text(f'{CAMERA}[fit]\nastigmatism = "lens.json"\n')
    return sample[1]


def test_a_replayed_stack_has_the_depths_of_its_molecules(
    truth: npt.NDArray[np.float64], tmp_path: Path, locstream: Callable[..., object]
) -> None:
    """Bit by bit those of `locstream fit`; the calibration is told on the command line here, in the file there."""
    live = locstream("replay", "cells.tif", "--config", "camera.toml", "--astigmatism", "lens.json", "--out", "live")
    assert live.finish() == 0, live.err
    fit = locstream("fit", "cells.tif", "--config", "depth.toml", "--out", "fit")
    assert fit.finish() == 0, fit.err
    results, fitted = (read_results(tmp_path / d / "cells_locs.hdf5") for d in ("live", "fit"))
    np.testing.assert_array_equal(results.table, fitted.table)
    table = results.table
    assert table.dtype == LOCALIZATION_3D
    errors, claimed = [], []
    for frame, x, y, z in truth:
        here = table[table["frame"] == frame]
        nearest = here[np.hypot(here["x_nm"] - x, here["y_nm"] - y).argmin()]
        errors.append(nearest["z_nm"] - z)
        claimed.append(nearest["z_uncertainty_nm"])
    assert np.sqrt(np.mean(np.square(errors))) < 25
    assert np.std(np.divide(errors, claimed)) == pytest.approx(1, abs=0.2)


def test_results_say_how_they_got_their_depths(
    truth: npt.NDArray[np.float64], tmp_path: Path, locstream: Callable[..., object]
) -> None:
    command = locstream("replay", "cells.tif", "--config", "depth.toml", "--out", "out")
    assert command.finish() == 0, command.err
    path = tmp_path / "out" / "cells_locs.hdf5"
    header = read_results(path).header
    assert header.depth
    assert AstigmatismCalibration.model_validate(header.astigmatism) == read_astigmatism(tmp_path / "lens.json")
    assert header.config["fit"]["astigmatism"] == str(tmp_path / "lens.json")
    assert header.fit["model"] == "sigma_xy"
    assert header.lanes in (4, 8, 16)
    with ResultsReader(path) as reader:
        events = [e["EventDescr"].decode() for e in reader.events if e["EventName"] == b"WorkerJoined"]
    assert events[0].startswith(f"worker 1 joined: {header.lanes} float32 lanes (")
    with h5py.File(path) as file:
        locs = file["locs"]
        assert (locs.attrs["unit_z"], locs.attrs["unit_lpz"], locs.attrs["unit_x"]) == ("nm", "nm", "camera px")
        assert np.abs(locs["z"]).max() > 100, "nm, as Picasso has it"
    quality = read_results(path).summary["quality"]
    assert quality["fits"] == len(read_results(path).table)
    assert quality["chi2"] == pytest.approx(1, abs=0.1)
    assert quality["residual_spots"] == 9, "3 molecules in each of 3 frames: one frame in 32 is compared"
    assert len(quality["residuals"]) == 11 * 11


def test_watchers_are_told_of_the_columns_first_and_get_depths(
    truth: npt.NDArray[np.float64],
    runtime: str,
    locstream: Callable[..., object],
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", runtime)
    run = locstream("replay", "cells.tif", "--config", "depth.toml", "--out", "out", "--fps", "20")
    wait_until(lambda: any(Path(runtime).glob("*.json")), what="the connection file")
    tail, rows = locstream("tail", "--format", "csv"), []
    statuses: list[Status] = []
    with Subscriber(find(None).stream) as subscriber:
        hello = subscriber.wait_for_hello()
        assert [f.unit for f in hello.fields if f.name in ("z_nm", "z_uncertainty_nm")] == ["nm", "nm"]
        while not (statuses and statuses[-1].state == "done"):
            received = subscriber.receive(30)
            assert received is not None
            message, table = received
            assert table.dtype == LOCALIZATION_3D
            rows.append(table)
            statuses += [message] if isinstance(message, Status) else []
        assert subscriber.lost == 0
    assert run.finish() == 0, run.err
    assert len(np.concatenate(rows)) >= 3 * FRAMES
    assert statuses[-1].z_nm is not None
    assert abs(statuses[-1].z_nm) < 400
    assert statuses[-1].quality is not None
    assert statuses[-1].quality.fits == 3 * FRAMES
    assert max(status.lanes for status in statuses) in (4, 8, 16)
    assert tail.finish() == 0, tail.err
    lines = list(csv.DictReader(io.StringIO(tail.out)))
    assert max(abs(float(line["z [nm]"])) for line in lines) > 100
    assert all(float(line["uncertainty_z [nm]"]) > 0 for line in lines)


def test_what_does_not_go_together_is_refused_before_anything_is_made(
    truth: npt.NDArray[np.float64], tmp_path: Path, locstream: Callable[..., object]
) -> None:
    (tmp_path / "one-width.toml").write_text(f'{CAMERA}[fit]\nmodel = "sigma"\nastigmatism = "lens.json"\n')
    (tmp_path / "larger.toml").write_text(CAMERA.replace("100.0\noffset", "160.0\noffset"))
    for arguments, sentence in (
        (("--config", "one-width.toml"), 'model = "sigma_xy", or leave it out'),
        (("--config", "camera.toml", "--astigmatism", "camera.toml"), "is not an astigmatism calibration"),
        (("--config", "larger.toml", "--astigmatism", "lens.json"), "is for pixels of 100 nm, the frames have 160 nm"),
    ):
        command = locstream("replay", "cells.tif", "--out", "out", *arguments)
        assert command.finish() == 1
        assert sentence in command.err
        assert not (tmp_path / "out").exists()


def committed(files: RunFiles) -> int:
    try:
        with ResultsReader(files.live_results) as reader:
            return reader.n_frames
    except LocstreamError:  # it is just coming into being
        return 0


def test_a_killed_run_is_recovered_with_its_depths(
    tmp_path: Path, locstream: Callable[..., object], wait_until: Callable[..., None]
) -> None:
    """The lens is in the results: frames that were recorded and not fitted get their depths without its file."""
    (tmp_path / "run.toml").write_text(SIMULATION)
    (tmp_path / "lens.json").write_text(lens().model_dump_json())
    run = locstream("run", "run.toml", "--astigmatism", "lens.json")
    files = RunFiles(tmp_path / "out", "cell")
    wait_until(lambda: committed(files) > 40, what="the first frames")
    run.process.kill()
    run.finish()
    with ResultsReader(files.live_results) as reader:
        before = reader.rows()
    (tmp_path / "lens.json").rename(tmp_path / "kept.json")
    recover = locstream("recover", "out")
    assert recover.finish() == 0, recover.err
    table = read_results(files.results).table
    assert table.dtype == LOCALIZATION_3D
    np.testing.assert_array_equal(table[: len(before)], before)
    assert json.loads(files.summary.read_text())["outcome"] == "recovered"
    camera = SIMULATION[SIMULATION.index("[[camera]]") :] + "pixel_size_nm = 100.0\nsaturation_adu = 65535.0\n"
    (tmp_path / "camera.toml").write_text(camera)
    again = locstream(
        "fit", files.stack, "--config", "camera.toml", "--astigmatism", "kept.json", "--out", "fit", "--name", "cell"
    )
    assert again.finish() == 0, again.err
    np.testing.assert_array_equal(read_results(tmp_path / "fit" / "cell_locs.hdf5").table, table)
