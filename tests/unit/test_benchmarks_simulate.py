"""The stacks of the benchmarks are what they are said to be."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import simulate
from programs.simulated import GAIN_E_PER_ADU, OFFSET_ADU, READ_NOISE_E, SIGMA_PX


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(simulate, "FOLDER", tmp_path)
    return tmp_path


def test_a_stack_is_the_same_whenever_and_however_long_it_is_made(folder: Path) -> None:
    short, long = simulate.stack("C10", 2), simulate.stack("C10", 5)
    assert np.array_equal(short.frames, long.frames[:2])
    assert np.array_equal(short.truth, long.truth[long.truth["frame"] < 2])
    assert not np.array_equal(long.frames, simulate.stack("C50", 5).frames)
    assert short.path.is_relative_to(folder)


def test_what_was_made_is_read_again_and_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = simulate.stack("C10", 3)
    monkeypatch.setattr(simulate, "simulate_frame", None)
    again = simulate.stack("C10", 3)
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.truth, again.truth)


def test_no_half_file_is_left_where_writing_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(simulate.np, "save", full)
    with pytest.raises(OSError, match="no space"):
        simulate.stack("C10", 2)
    assert not list(folder.rglob("*.npy"))


@pytest.mark.parametrize(("kind", "frames"), [("A", 4), ("B", 2), ("C", 8), ("dense", 3)])
def test_a_stack_has_its_size_and_its_density(kind: str, frames: int) -> None:
    plan = simulate.PLANS[kind]
    made = simulate.stack(f"{kind}10", frames)
    assert made.frames.shape == (frames, plan.size, plan.size)
    assert made.frames.dtype == np.uint16
    expected = plan.molecules * frames
    assert abs(len(made.truth) - expected) < 5 * np.sqrt(expected)
    for axis in ("x", "y"):
        assert made.truth[axis].min() >= simulate.EDGE_PX
        assert made.truth[axis].max() <= plan.size - 1 - simulate.EDGE_PX


def test_the_dense_stack_has_three_molecules_a_square_micrometre() -> None:
    plan = simulate.PLANS["dense"]
    truth = np.concatenate([simulate.simulate_frame(plan, "dense", 10, k)[1] for k in range(10)])
    side_um = (plan.size - 1 - 2 * simulate.EDGE_PX) * 0.1
    assert len(truth) / (10 * side_um**2) == pytest.approx(3, rel=0.1)


def test_the_light_in_a_frame_is_that_of_its_molecules() -> None:
    plan = simulate.PLANS["A"]
    image, truth = simulate.simulate_frame(plan, "A", 10, 0)
    light = (image.astype(float) - OFFSET_ADU) * GAIN_E_PER_ADU
    expected = 10 * plan.size**2 + truth["photons"].sum()
    assert light.sum() == pytest.approx(expected, abs=5 * np.sqrt(expected + plan.size**2 * READ_NOISE_E**2))


def test_a_molecule_lies_where_the_truth_says() -> None:
    truth = simulate.molecules(1, 0, 10)
    truth["x"], truth["y"], truth["photons"] = 40.3, 20.8, 1e5
    mean = simulate.paint(64, truth, 10)
    above = mean - 10
    rows, columns = np.indices(mean.shape)
    assert np.sum(above * columns) / above.sum() == pytest.approx(40.3, abs=1e-6)
    assert np.sum(above * rows) / above.sum() == pytest.approx(20.8, abs=1e-6)
    spread = np.sqrt(np.sum(above * (columns - 40.3) ** 2) / above.sum())
    assert spread == pytest.approx(np.sqrt(SIGMA_PX**2 + 1 / 12), rel=1e-4), "a pixel is as wide as √(1/12)"


def test_a_molecule_at_the_edge_of_a_frame_is_cut_not_wrapped() -> None:
    truth = simulate.molecules(1, 0, 0)
    truth["x"], truth["y"], truth["photons"] = 0.0, 31.0, 1000
    mean = simulate.paint(32, truth, 0)
    assert mean[31, 0] == mean.max()
    assert mean[:16, :].max() < 1e-6
    assert mean[:, 16:].max() < 1e-6


def test_the_camera_has_poisson_noise_and_read_noise() -> None:
    for mean in (2.0, 50.0):
        adu = simulate.camera(np.random.default_rng(0), np.full((400, 400), mean))
        electrons = simulate.electrons_of(adu).astype(float)
        assert electrons.mean() == pytest.approx(mean, abs=0.03)
        expected = mean + READ_NOISE_E**2 + GAIN_E_PER_ADU**2 / 12
        assert electrons.var() == pytest.approx(expected, rel=0.02)


def test_spots_are_in_the_middle_pixel_and_as_bright_as_said() -> None:
    made = simulate.spots(50, 20_000)
    assert made.electrons.shape == (20_000, 7, 7)
    assert made.electrons.dtype == np.float32
    for axis in ("x", "y"):
        assert np.all(np.abs(made.truth[axis] - 3) <= 0.5)
    assert made.truth["photons"].min() >= 200
    assert made.truth["photons"].mean() == pytest.approx(1000, rel=0.03)
    light = made.electrons.sum(axis=(1, 2)).mean() - 49 * 50
    assert light == pytest.approx(made.truth["photons"].mean(), rel=0.03), "a little falls beside the box"
    assert np.unravel_index(made.electrons.mean(axis=0).argmax(), (7, 7)) == (3, 3)


def test_astigmatic_molecules_get_the_widths_of_their_depth() -> None:
    made = simulate.stack("astigmatic10", 3)
    widths = simulate.ASTIGMATISM.widths(made.truth["z_nm"])
    assert np.allclose(made.truth["sigma_x"], widths[0])
    assert np.allclose(made.truth["sigma_y"], widths[1])
    assert np.abs(made.truth["z_nm"]).max() <= 400
    assert np.ptp(made.truth["z_nm"]) > 500


def test_in_a_field_nobody_is_near_anybody() -> None:
    made = simulate.field_of(500, 20, frames=2)
    places = np.column_stack([made.truth["x"], made.truth["y"]])[made.truth["frame"] == 1]
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    assert distance[~np.eye(len(places), dtype=bool)].min() >= 20
    assert made.frames.shape == (2, 192, 192)


def test_the_names_given_on_the_command_line_are_made(capsys: pytest.CaptureFixture[str]) -> None:
    simulate.main(["spots10"])
    out = capsys.readouterr().out
    assert "100000 molecules" in out
    assert Path(out.split()[0]).exists()
