"""Calibrations on real and public stacks: estimates where there is none, maps where there are some, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile

from locstream.calibrating.check import CalibrationCheck
from locstream.calibrating.photon_transfer import estimate_from_frames
from locstream.calibration import CameraCalibration
from locstream.fitting import FitOptions, Localizer
from locstream.localizations import Localizations
from locstream.stacks.open import open_stack
from scoring import read_insight3, score

SharedData = Callable[[str], Path]
SIMULATED = "raw_simulated_with_truth"
HAMAMATSU = "raw_real/sCMOS_STORM_hamamatsu_10x256x256"


def frames_of(path: Path) -> np.ndarray:
    stack = open_stack(path)
    try:
        return np.stack([stack.read(n) for n in range(len(stack))])
    finally:
        stack.close()


def localized(stack: np.ndarray, calibration: CameraCalibration, psf_sigma_nm: float) -> Localizations:
    localizer = Localizer(calibration, *stack.shape[1:], FitOptions(psf_sigma_nm=psf_sigma_nm))
    return np.concatenate([localizer(image, n) for n, image in enumerate(stack)])


def with_estimate(stack: np.ndarray, pixel_size_nm: float) -> CameraCalibration:
    found = estimate_from_frames(stack)
    assert found is not None
    return CameraCalibration(pixel_size_nm, offset_adu=found.offset_adu, gain_e_per_adu=found.gain_e_per_adu)


def tubulin_truth(folder: Path) -> np.ndarray:
    tables = []
    for path in sorted(folder.glob("*.csv")):
        rows = np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)  # frame from 1, nm from the pixel's corner
        tables.append(np.column_stack([rows[:, 1] - 1, rows[:, 2] / 150 - 0.5, rows[:, 3] / 150 - 0.5]))
    return np.concatenate(tables)


@pytest.mark.parametrize(
    ("name", "least"),
    [("storm_analysis_test_10x256x256/test", 0.82), ("storm_analysis_low_snr_2x300x400/test_low_snr", 0.92)],
)
def test_dense_blinking_does_not_mislead_the_estimate(shared_data: SharedData, name: str, least: float) -> None:
    """Simulated with an offset of 100 ADU and 1 e⁻/ADU; 10 and 2 frames."""
    stack = frames_of(shared_data(f"{SIMULATED}/{name}.dax"))
    found = estimate_from_frames(stack)
    assert found is not None
    assert found.offset_adu == pytest.approx(100, abs=3)
    assert found.gain_e_per_adu == pytest.approx(1, rel=0.05)
    table = next(shared_data(f"{SIMULATED}/{name}.dax").parent.glob("*list.bin"))
    expected = read_insight3(str(table))
    assert score(localized(stack, with_estimate(stack, 160), 130), 160, expected).jaccard > least


@pytest.mark.parametrize("psf_sigma_nm", [130, 150])
def test_a_stack_of_unknown_units_is_localized_with_the_estimate(shared_data: SharedData, psf_sigma_nm: float) -> None:
    folder = shared_data(f"{SIMULATED}/EPFL2013_TubulinsI_41x256x256")
    stack = frames_of(folder / "sequence")
    rows = localized(stack, with_estimate(stack, 150), psf_sigma_nm)
    assert score(rows, 150, tubulin_truth(folder / "Ground-truth")).jaccard > 0.95
    assert 0.8 < np.median(rows["chi2"]) < 1.2


class Maps(NamedTuple):
    """The Hamamatsu camera's own calibration, turned as the frames are."""

    offset_adu: np.ndarray
    gain_e_per_adu: np.ndarray
    read_noise_e: np.ndarray

    @property
    def hot(self) -> np.ndarray:
        return self.read_noise_e > 4 * np.median(self.read_noise_e)

    def calibration(self, **changes: Any) -> CameraCalibration:
        return CameraCalibration(160, **{**self._asdict(), **changes})


@pytest.fixture
def maps(shared_data: SharedData) -> Maps:
    """Read the maps; their rows are the frames' columns, as the hot pixels show (next test)."""
    path = shared_data(f"{HAMAMATSU}/calib.npy")
    offset, variance, adu_per_e = (np.asarray(m, float).T for m in np.load(path, allow_pickle=True, encoding="latin1"))
    return Maps(offset, 1 / adu_per_e, np.sqrt(variance) / adu_per_e)


@pytest.fixture
def stack(shared_data: SharedData) -> np.ndarray:
    return frames_of(shared_data(f"{HAMAMATSU}/sample.dax"))[:10]


def test_the_maps_lie_as_the_frames_do(stack: np.ndarray, maps: Maps) -> None:
    noise = np.median(np.abs(np.diff(stack.astype(float), axis=0)), axis=0).ravel()

    def alike(read_noise: np.ndarray) -> float:
        return float(np.corrcoef(noise, read_noise.ravel())[0, 1])

    assert alike(maps.read_noise_e) > 0.4
    assert abs(alike(maps.read_noise_e.T)) < 0.05


def checked(stack: np.ndarray, calibration: CameraCalibration) -> CalibrationCheck:
    check = CalibrationCheck(calibration, *stack.shape[1:])
    for image in stack:
        check.see(image)
    return check


def test_an_offset_that_was_changed_since_the_calibration_is_noticed(stack: np.ndarray, maps: Maps) -> None:
    """The frames were taken with about 10 ADU more than the calibration; then noise and light agree."""
    check = checked(stack, maps.calibration())
    (sentence,) = check.sentences()
    assert "offset_adu too low by about 10 ADU" in sentence
    assert checked(stack, maps.calibration(offset_adu=maps.offset_adu + 10)).sentences() == []


def at_hot_pixels(rows: Localizations, hot: np.ndarray) -> np.ndarray:
    """Say of each row whether its nearest pixel is hot."""
    return hot[np.rint(rows["y_nm"] / 160).astype(int), np.rint(rows["x_nm"] / 160).astype(int)]


def test_maps_keep_hot_pixels_from_being_molecules(stack: np.ndarray, maps: Maps) -> None:
    """A hot pixel that is taken for a molecule is narrower than any molecule."""
    offset = maps.offset_adu + 10
    with_maps = localized(stack, maps.calibration(offset_adu=offset), 160)
    one_noise = localized(stack, maps.calibration(offset_adu=offset, read_noise_e=np.median(maps.read_noise_e)), 160)
    false = [np.sum(at_hot_pixels(rows, maps.hot) & (rows["sigma_x_nm"] < 100)) for rows in (with_maps, one_noise)]
    assert false[0] <= 2
    assert false[1] > 20
    share = at_hot_pixels(with_maps, maps.hot).mean()
    assert share < 1.5 * maps.hot.mean()
    assert at_hot_pixels(one_noise, maps.hot).mean() > 2 * maps.hot.mean()


def test_the_estimate_of_a_real_camera_is_near_its_calibration(stack: np.ndarray, maps: Maps) -> None:
    found = estimate_from_frames(stack)
    assert found is not None
    assert found.measured
    assert found.gain_e_per_adu == pytest.approx(np.median(maps.gain_e_per_adu), rel=0.15)


def test_real_stacks_without_a_calibration_get_one_that_fits_their_noise(shared_data: SharedData) -> None:
    folder = shared_data("raw_real/EosActin_sptPALM_MM1.4_150of405x327x328")
    stack = np.stack([tifffile.imread(path) for path in sorted(folder.glob("img*.tif"))[:30]])
    check = checked(stack, with_estimate(stack, 160))
    assert check.sentences() == []
