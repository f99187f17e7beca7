"""Picasso's own reader finds the depth of a run in the finished file, in nm."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from locstream.localizations import LOCALIZATION_3D, empty
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.layout import final_path, live_path
from results_example import batch, header

pytestmark = pytest.mark.peer

LOAD = """
import json, sys
import picasso.io
locs, info = picasso.io.load_locs(sys.argv[1])
print(json.dumps({name: locs[name].tolist() for name in ("frame", "z", "lpz")}))
"""


def test_load_locs_sees_every_depth(picasso_python: Path, tmp_path: Path) -> None:
    flat, frames = batch(3, 400)
    rows = empty(len(flat), LOCALIZATION_3D)
    for name in flat.dtype.names or ():
        rows[name] = flat[name]
    rows["z_nm"], rows["z_uncertainty_nm"] = np.linspace(-600, 600, len(rows)), np.linspace(5, 50, len(rows))
    live = live_path(tmp_path, "cell")
    with ResultsWriter(live, header(depth=True)) as writer:
        writer.append(rows, frames)
    final = finalize(live, final_path(live))
    done = subprocess.run(
        [str(picasso_python), "-c", LOAD, str(final)], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_array_equal(found["frame"], rows["frame"])
    np.testing.assert_array_equal(np.float32(found["z"]), rows["z_nm"])
    np.testing.assert_array_equal(np.float32(found["lpz"]), rows["z_uncertainty_nm"])
