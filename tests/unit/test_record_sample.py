"""Molecules blink as announced, and the truth about them can be had again and again."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from locstream.errors import ConfigError
from locstreamd.record import sample as sample_module
from locstreamd.record.sample import EMISSION, Emissions, Sample, SimulationOptions
from locstreamd.record.structures import STRUCTURES, Sites


def simulate(**options: object) -> Sample:
    """Return a sample of 64 × 48 px, all molecules alike."""
    return Sample(SimulationOptions.model_validate({"width": 64, "height": 48, "photons_spread": 0, **options}))


def stays(truth: Emissions) -> list[Emissions]:
    """Group the emissions of rare molecules into stays: the same place in frames that follow each other."""
    by_place = np.sort(truth, order=["x_nm", "y_nm", "frame"])
    same = (np.diff(by_place["x_nm"]) == 0) & (np.diff(by_place["y_nm"]) == 0) & (np.diff(by_place["frame"]) == 1)
    return np.split(by_place, np.flatnonzero(~same) + 1)


# --- blinking -------------------------------------------------------------------------------------


def test_as_many_molecules_shine_at_any_moment_as_asked_for() -> None:
    truth = simulate(emitters_per_frame=40, on_frames=2.5, photons=1000).truth(3000)
    assert truth["photons"].sum() / 1000 / 3000 == pytest.approx(40, rel=0.03)
    per_frame = np.bincount(truth["frame"], minlength=3000)
    assert per_frame.mean() == pytest.approx(40 * (2.5 + 1) / 2.5, rel=0.03)


def test_the_first_frame_is_like_every_other() -> None:
    counts = [len(simulate(emitters_per_frame=40, seed=seed, photons=10_000).truth(1)) for seed in range(200)]
    assert np.mean(counts) == pytest.approx(40 * (2.5 + 1) / 2.5, rel=0.05)


def test_molecules_stay_on_for_times_without_memory() -> None:
    on_frames = 3.0
    truth = simulate(emitters_per_frame=0.5, on_frames=on_frames, photons=1e6, seed=5).truth(30_000)
    lengths = np.array([len(stay) for stay in stays(truth)])
    assert lengths.mean() == pytest.approx(on_frames + 1, rel=0.05)
    for longer_than in (2, 4, 6):
        survivors = (lengths > longer_than).sum()
        assert (lengths > longer_than + 1).sum() / survivors == pytest.approx(np.exp(-1 / on_frames), abs=0.05)


def test_only_the_first_and_last_frame_of_a_stay_are_partial() -> None:
    truth = simulate(emitters_per_frame=0.5, on_frames=3.0, photons=1e6, seed=5).truth(20_000)
    long_stays = [stay for stay in stays(truth) if len(stay) >= 4 and stay["frame"][0] > 0]
    middles = np.concatenate([stay["photons"][1:-1] for stay in long_stays])
    assert middles == pytest.approx(1e6, rel=0.01)
    for end in (0, -1):
        parts = np.array([stay["photons"][end] for stay in long_stays]) / 1e6
        assert parts.max() <= 1.01
        assert 0.2 < parts.mean() < 0.8
        assert (parts < 0.1).any()
        assert (parts > 0.9).any()


def test_photons_are_whole_numbers_with_the_spread_of_poisson() -> None:
    truth = simulate(emitters_per_frame=0.5, on_frames=20.0, photons=400, seed=2).truth(20_000)
    assert np.array_equal(truth["photons"], np.rint(truth["photons"]))
    assert (truth["photons"] > 0).all()
    middles = np.concatenate([stay["photons"][1:-1] for stay in stays(truth) if len(stay) > 2]).astype(np.float64)
    assert middles.mean() == pytest.approx(400, rel=0.01)
    assert middles.var() / middles.mean() == pytest.approx(1, abs=0.06)


def test_brightness_differs_between_molecules_but_keeps_its_mean() -> None:
    truth = simulate(emitters_per_frame=50, photons=1e5, photons_spread=0.5, on_frames=4).truth(2000)
    assert truth["photons"].sum() / 1e5 / 2000 == pytest.approx(50, rel=0.05)
    full = [stay["photons"][1:-1].mean() for stay in stays(truth) if len(stay) > 3]
    assert np.log(full).std() == pytest.approx(0.5, rel=0.1)


def test_bleaching_makes_molecules_rarer() -> None:
    truth = simulate(emitters_per_frame=100, bleaching_frames=500, photons=10_000).truth(1500)
    per_frame = np.bincount(truth["frame"], minlength=1500).astype(np.float64)
    early, late = per_frame[:100].mean(), per_frame[1000:1100].mean()
    assert late / early == pytest.approx(np.exp(-2), rel=0.15)


# --- places ---------------------------------------------------------------------------------------


def test_molecules_shine_where_the_structures_are() -> None:
    sample = simulate(structures=["pores"])
    truth = sample.truth(50)
    places = {(x, y) for x, y in sample.sites}
    assert {(row["x_nm"], row["y_nm"]) for row in truth} <= places


def test_places_count_from_the_centre_of_the_first_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    def corners(_rng: np.random.Generator, width_nm: float, height_nm: float) -> Sites:
        return np.array([[0, 0], [width_nm, height_nm]])

    monkeypatch.setitem(STRUCTURES, "pores", corners)
    sample = simulate(pixel_size_nm=100, structures=["pores"])
    assert sample.sites == pytest.approx(np.array([[-50, -50], [6350, 4750]]))


def test_drift_moves_everything_alike_and_evenly() -> None:
    still = simulate(seed=9).truth(400)
    moved = simulate(seed=9, drift_nm_per_1000_frames=(150.0, -40.0)).truth(400)
    assert np.array_equal(still["photons"], moved["photons"])
    assert moved["x_nm"] - still["x_nm"] == pytest.approx(still["frame"] * 0.150, abs=1e-6)
    assert moved["y_nm"] - still["y_nm"] == pytest.approx(still["frame"] * -0.040, abs=1e-6)


def test_a_structure_named_twice_is_built_once() -> None:
    assert len(simulate(structures=["pores", "pores"]).sites) == len(simulate(structures=["pores"]).sites)


def test_a_field_too_small_for_a_pore_is_refused() -> None:
    with pytest.raises(ConfigError, match="holds no pores"):
        simulate(width=16, height=16, pixel_size_nm=10, structures=["pores"])


# --- the truth ------------------------------------------------------------------------------------


def test_the_truth_is_in_order_and_does_not_depend_on_how_much_is_asked() -> None:
    sample = simulate()
    long = sample.truth(60)
    assert long.dtype == EMISSION
    assert (np.diff(long["frame"].astype(np.int64)) >= 0).all()
    assert set(long["frame"]) == set(range(60))
    assert np.array_equal(sample.truth(25), long[long["frame"] < 25])
    assert len(sample.truth(0)) == 0


def test_a_seed_chooses_the_blinks() -> None:
    assert np.array_equal(simulate(seed=4).truth(20), simulate(seed=4).truth(20))
    assert not np.array_equal(simulate(seed=4).truth(20)["photons"][:10], simulate(seed=5).truth(20)["photons"][:10])


def test_emissions_come_frame_by_frame_without_end() -> None:
    first = list(itertools.islice(simulate(frames=3, emitters_per_frame=200).emissions(), 6))
    assert [set(rows["frame"]) for rows in first] == [{n} for n in range(6)]


@pytest.mark.parametrize("block_rows", [1, 1000, 10**6])
def test_the_written_truth_is_the_truth(block_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_module, "TRUTH_BLOCK_ROWS", block_rows)
    sample = simulate(drift_nm_per_1000_frames=(10.0, 0.0))
    path = tmp_path / "run_truth.hdf5"
    path.write_text("something older")
    rows = sample.write_truth(path, 37)
    with h5py.File(path) as file:
        table = file["truth"]
        assert np.array_equal(table[()], sample.truth(37))
        assert rows == len(table)
        assert table.attrs["frames"] == 37
        assert table.attrs["origin"] == "centre of pixel (0, 0)"
        assert SimulationOptions.model_validate(json.loads(table.attrs["options"])) == sample.options


def test_the_truth_about_no_frames_is_an_empty_table(tmp_path: Path) -> None:
    path = tmp_path / "run_truth.hdf5"
    assert simulate().write_truth(path, 0) == 0
    with h5py.File(path) as file:
        assert file["truth"].shape == (0,)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 15},
        {"exposure_ms": 0},
        {"photons": 0},
        {"structures": []},
        {"structures": ["mitochondria"]},
        {"gain_e_per_adu": 0},
        {"emitters_per_frame": 0},
        {"fps": 100},
    ],
)
def test_options_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SimulationOptions.model_validate(wrong)


def test_every_option_says_what_it_is() -> None:
    assert [name for name, field in SimulationOptions.model_fields.items() if not field.description] == []


def test_the_calibration_is_the_cameras() -> None:
    options = SimulationOptions(offset_adu=90, gain_e_per_adu=2.0, read_noise_e=1.1, pixel_size_nm=120)
    calibration = options.calibration()
    assert (calibration.offset_adu, calibration.gain_e_per_adu, calibration.read_noise_e) == (90, 2, 1.1)
    assert (calibration.pixel_size_nm, calibration.saturation_adu, calibration.em_gain) == (120, 65_535, 1)
