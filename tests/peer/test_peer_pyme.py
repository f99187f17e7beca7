"""PYME opens our .h5r and sees our positions, frames, uncertainties and photons."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from locstream.calibration.camera import CameraCalibration
from locstream.formats.pyme import write_pyme
from locstream.results.header import CalibrationSummary
from results_example import PIXEL_SIZE_NM, header, localizations

pytestmark = pytest.mark.peer

CODE = """
import json, sys
from PYME.IO import tabular
from PYME.LMVis import pipeline
source = tabular.H5RSource(sys.argv[1])
names = ("fitResults_x0", "fitResults_y0", "fitError_x0", "tIndex")
raw = {name: [float(v) for v in source[name]] for name in names}
source.close()
line = pipeline.Pipeline()
line.OpenFile(sys.argv[1])
got = {name: [float(v) for v in line[name]] for name in ("x", "y", "t", "nPhotons", "error_x", "sig")}
print(json.dumps([raw, got, line.mdh["voxelsize.x"], line.mdh["Camera.ElectronsPerCount"]]))
"""


def test_pyme_sees_our_rows(tmp_path: Path, pyme_python: Path) -> None:
    rows = localizations(np.arange(300) // 3)
    # as real ones are: what PYME takes for noise it leaves out when it opens a file
    plausible = {"sigma_x_nm": 128, "sigma_y_nm": 136, "x_uncertainty_nm": 9, "y_uncertainty_nm": 11}
    for name, value in plausible.items():
        rows[name] = value
    camera = CameraCalibration(PIXEL_SIZE_NM, gain_e_per_adu=2.3, em_gain=100.0)
    path = tmp_path / "a.h5r"
    write_pyme(path, [rows], PIXEL_SIZE_NM, header(calibration=CalibrationSummary.of(camera)).pyme())
    done = subprocess.run([pyme_python, "-c", CODE, path], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    raw, seen, voxel_um, electrons = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(raw["fitResults_x0"], rows["x_nm"])
    np.testing.assert_allclose(raw["tIndex"], rows["frame"])
    np.testing.assert_allclose(seen["x"], rows["x_nm"])
    np.testing.assert_allclose(seen["y"], rows["y_nm"])
    np.testing.assert_allclose(seen["t"], rows["frame"])
    np.testing.assert_allclose(seen["error_x"], rows["x_uncertainty_nm"], rtol=1e-6)
    np.testing.assert_allclose(seen["nPhotons"], rows["photons"], rtol=1e-4)
    assert (voxel_um, electrons) == (PIXEL_SIZE_NM / 1000, 2.3)
