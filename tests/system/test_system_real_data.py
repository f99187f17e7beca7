"""Stacks with truth and real stacks through `locstream replay`, with the default settings of the program.

Beside the stack only its pixel size is given. No threshold is chosen for any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from locstream.results.reader import read_results
from scoring import read_insight3, score

pytestmark = pytest.mark.system

SIMULATED = "raw_simulated_with_truth"
REAL = "raw_real"


def tubulins_truth(folder: Path) -> np.ndarray:
    """Return frame, x, y in px from 0, of the EPFL challenge: nm from the corner, frames from 1."""
    rows = np.concatenate(
        [np.genfromtxt(p, delimiter=",", skip_header=1, ndmin=2) for p in sorted(folder.glob("*.csv"))]
    )
    return np.column_stack([rows[:, 1] - 1, rows[:, 2] / 150 - 0.5, rows[:, 3] / 150 - 0.5])


def replayed(locstream: Callable[..., object], tmp_path: Path, stack: Path, pixel_nm: float, *more: str | Path):
    command = locstream("replay", stack, "--pixel-size-nm", str(pixel_nm), "--out", "out", "--name", "x", *more)
    assert command.finish() == 0, command.err
    return read_results(tmp_path / "out" / "x_locs.hdf5").table, command


@pytest.mark.parametrize(
    ("stack", "truth", "pixel_nm", "jaccard", "rms_px"),
    [
        ("EPFL2013_TubulinsI_41x256x256/sequence", "EPFL2013_TubulinsI_41x256x256/Ground-truth", 150, 0.95, 0.065),
        ("storm_analysis_test_10x256x256/test.dax", "storm_analysis_test_10x256x256/test_olist.bin", 160, 0.82, 0.11),
        (
            "storm_analysis_low_snr_2x300x400/test_low_snr.dax",
            "storm_analysis_low_snr_2x300x400/test_low_snr_list.bin",
            160,
            0.92,
            0.175,
        ),
    ],
    ids=["Tubulins I", "overlapping molecules", "low SNR"],
)
def test_molecules_are_found_where_they_are(
    stack: str,
    truth: str,
    pixel_nm: float,
    jaccard: float,
    rms_px: float,
    tmp_path: Path,
    locstream: Callable[..., object],
    shared_data: Callable[[str], Path],
) -> None:
    table, _ = replayed(locstream, tmp_path, shared_data(f"{SIMULATED}/{stack}"), pixel_nm)
    where = shared_data(f"{SIMULATED}/{truth}")
    expected = tubulins_truth(where) if where.is_dir() else read_insight3(str(where))
    result = score(table, pixel_nm, expected)
    assert result.jaccard >= jaccard, result
    assert result.rms_px <= rms_px, result
    assert abs(result.bias_x_px) < 0.01, result
    assert abs(result.bias_y_px) < 0.01, result


def references(folder: Path) -> list[tuple[str, np.ndarray]]:
    found = []
    for path in sorted(folder.glob("ref_*.csv")):
        rows = np.genfromtxt(path, delimiter=",", names=True)
        found.append((path.name, np.column_stack([rows["frame"], rows["x"], rows["y"]])))
    return found


def test_a_hamamatsu_stack_with_its_own_calibration_maps(
    tmp_path: Path, locstream: Callable[..., object], shared_data: Callable[[str], Path]
) -> None:
    """Big-endian .dax, a header that miscounts, per-pixel offset, gain and read noise."""
    folder = shared_data(f"{REAL}/sCMOS_STORM_hamamatsu_10x256x256")
    maps = np.load(folder / "calib.npy", allow_pickle=True, encoding="latin1")
    offset_adu, variance_adu2, adu_per_e = (np.asarray(m, float).T for m in maps)  # stored column by column
    np.save(tmp_path / "offset.npy", np.asarray(offset_adu, np.float32))
    np.save(tmp_path / "gain.npy", np.asarray(1 / adu_per_e, np.float32))
    np.save(tmp_path / "noise.npy", np.asarray(np.sqrt(variance_adu2) / adu_per_e, np.float32))
    (tmp_path / "maps.toml").write_text(
        "[[camera]]\noffset_adu = 'offset.npy'\ngain_e_per_adu = 'gain.npy'\nread_noise_e = 'noise.npy'\n"
    )
    table, command = replayed(locstream, tmp_path, folder / "sample.dax", 160, "--config", "maps.toml")
    assert "11" in command.err, "the header says 10 frames, the file holds 11: both are said"
    assert "10" in command.err
    warnings = json.loads((tmp_path / "out" / "x_summary.json").read_text())["warnings"]
    assert any("11" in w and "10" in w for w in warnings)
    for name, reference in references(folder):
        result = score(table, 160, reference)
        assert result.matched > 0.85 * len(reference), (name, result)
        assert result.rms_px <= 0.15, (name, result)


def test_a_dstorm_tiff(tmp_path: Path, locstream: Callable[..., object], shared_data: Callable[[str], Path]) -> None:
    folder = shared_data(f"{REAL}/dSTORM_locan_5x128x128")
    table, _ = replayed(locstream, tmp_path, folder / "images.tif", 133.5)
    for name, reference in references(folder):
        result = score(table, 133.5, reference)
        assert result.matched > 0.85 * len(reference), (name, result)
        assert result.rms_px <= 0.15, (name, result)


def test_a_folder_of_150_real_frames_that_are_not_square(
    tmp_path: Path, locstream: Callable[..., object], shared_data: Callable[[str], Path]
) -> None:
    """mEos-actin: strong structured background, no calibration; a hard case for reading, not for accuracy."""
    table, command = replayed(locstream, tmp_path, shared_data(f"{REAL}/EosActin_sptPALM_MM1.4_150of405x327x328"), 160)
    summary = json.loads((tmp_path / "out" / "x_summary.json").read_text())
    assert (summary["source"]["width_px"], summary["source"]["height_px"]) == (328, 327)
    assert summary["frames"]["fitted"] == 150
    assert "no calibration" in command.err
    assert 5 < len(table) / 150 < 200
