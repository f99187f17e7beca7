"""Real stacks, through the whole pipeline, to a file that an unmodified Picasso opens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from locstream.results.reader import read_results

pytestmark = pytest.mark.peer

LOAD = """
import json, sys
import picasso.io
locs, info = picasso.io.load_locs(sys.argv[1])
print(json.dumps({"rows": len(locs), "x": float(locs.x.sum()), "y": float(locs.y.sum()), "info": info[0]}))
"""


@pytest.mark.parametrize(
    ("stack", "pixel_nm", "shape"),
    [
        ("EosActin_sptPALM_MM1.4_150of405x327x328", 160.0, (150, 327, 328)),
        ("sCMOS_STORM_hamamatsu_10x256x256/sample.dax", 160.0, (11, 256, 256)),
        ("dSTORM_locan_5x128x128/images.tif", 133.5, (5, 128, 128)),
    ],
    ids=["Eos-actin, a folder of TIFFs", "Hamamatsu STORM, .dax", "dSTORM, ImageJ TIFF"],
)
def test_a_replayed_real_stack_opens_unmodified(
    stack: str,
    pixel_nm: float,
    shape: tuple[int, int, int],
    picasso_python: Path,
    shared_data: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    path = shared_data(f"raw_real/{stack}")
    with tempfile.TemporaryDirectory(prefix="ls-") as runtime:
        options = ["--pixel-size-nm", str(pixel_nm), "--out", tmp_path, "--name", "real"]
        subprocess.run(
            [sys.executable, "-m", "locstream", "replay", path, *options],
            env={**os.environ, "LOCSTREAM_RUNTIME_DIR": runtime},
            check=True,
            capture_output=True,
        )
    final = tmp_path / "real_locs.hdf5"
    done = subprocess.run([picasso_python, "-c", LOAD, final], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    table = read_results(final).table
    assert found["rows"] == len(table) > 0
    assert found["x"] == pytest.approx(float(np.sum(table["x_nm"], dtype=float)) / pixel_nm, rel=1e-4)
    assert found["y"] == pytest.approx(float(np.sum(table["y_nm"], dtype=float)) / pixel_nm, rel=1e-4)
    assert (found["info"]["Frames"], found["info"]["Height"], found["info"]["Width"]) == shape
    assert found["info"]["Pixelsize"] == pixel_nm
