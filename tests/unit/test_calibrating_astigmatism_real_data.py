"""Real stacks of beads: the challenge's, a single bead, the images of a 4Pi microscope; and one that is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from locstream.calibrating.astigmatism import calibrate_astigmatism
from locstream.errors import ConfigError

SharedData = Callable[[str], Path]


def challenge(shared_data: SharedData) -> np.ndarray:
    with zipfile.ZipFile(shared_data("beads/EPFL2016_Beads-AS_151x150x150_10nm/Beads-AS-Exp.tif.zip")) as packed:
        return np.asarray(tifffile.imread(io.BytesIO(packed.read("Beads-AS-Exp.tif"))))


def test_the_beads_of_the_challenge(shared_data: SharedData) -> None:
    found = calibrate_astigmatism(challenge(shared_data), 10.0, 100.0).calibration
    assert found.beads == 6
    assert found.z_min_nm < -380
    assert found.z_max_nm > 450
    assert found.z_residual_nm < 10, "rms, in every other plane, with curves from the planes between"
    assert found.residual_px < 0.04


def test_it_is_round_where_quickpalm_found_it_round(shared_data: SharedData) -> None:
    """QuickPALM's table of the same stack has width minus height over z; its z = 0 is the middle plane."""
    path = shared_data("beads/EPFL2016_Beads-AS_151x150x150_10nm/QuickPALM-Astigmatism_calibration.txt")
    table = np.array(
        [[float(value) for value in line.split()[:3]] for line in path.read_text().splitlines()[1:] if line]
    )
    z, difference = table[:, 0], table[:, 2]
    where = z[:-1][(difference[:-1] < 0) & (difference[1:] >= 0)]
    widths = calibrate_astigmatism(challenge(shared_data), 10.0, 100.0).widths
    round_nm = float(np.mean(10 * widths.plane - 1000 * widths.z_um)) - 750
    assert np.abs(where - round_nm).min() < 40


def test_a_single_bead_has_curves_that_fit(shared_data: SharedData) -> None:
    """Its step is not known: the shape of the curves is what can be tried."""
    planes = tifffile.imread(shared_data("beads/real_astig_set1_121x54x60_stepUNKNOWN/set1.tif"))
    measured = calibrate_astigmatism(planes, 25.0)
    assert measured.calibration.beads == 1
    assert measured.calibration.residual_px < 0.02
    round_plane = float(np.mean(measured.widths.plane - 40 * measured.widths.z_um))
    assert round_plane == pytest.approx(62, abs=2)


@pytest.mark.parametrize("image", ["qd1", "qd2", "qd3", "qd4"])
def test_the_objective_of_a_4pi_microscope(shared_data: SharedData, image: str) -> None:
    path = shared_data("beads/real_astig_4Pi_top_objective_21x168x168_100nm/bead_top_000_020.mat")
    with h5py.File(path) as file:
        planes = file[image][:, 0].swapaxes(-1, -2)
    found = calibrate_astigmatism(planes, 100.0, 129.0).calibration
    assert found.z_min_nm < -600
    assert found.z_max_nm > 500
    assert found.residual_px < 0.03
    assert found.z_residual_nm < 20, "of a stack in steps of 100 nm, with curves from steps of 200 nm"


def test_beads_without_a_cylindrical_lens_are_refused(shared_data: SharedData) -> None:
    planes = tifffile.imread(shared_data("beads/real_tetraspeck_2D_17x256x256_200nm/avg_pos1_blue.tif"))
    with pytest.raises(ConfigError, match="the images are not astigmatic"):
        calibrate_astigmatism(planes, 200.0)
