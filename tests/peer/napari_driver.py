"""Runs a program that ends with ``napari.run()`` in napari's environment, and says what its layer comes to hold.

    python napari_driver.py PROGRAM RESULTS FOLDER ROWS ROWS …

For each number of rows: waits until the layer holds so many, and saves it as FOLDER/ROWS.npy.
"""

from __future__ import annotations

import runpy
import sys
import time

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

PATIENCE_S = 120.0


def run() -> None:
    """Stand for `napari.run`."""
    viewer = napari.current_viewer()
    for rows in awaited:
        deadline = time.monotonic() + PATIENCE_S
        while not viewer.layers or viewer.layers[0].data.sum() < rows:
            if time.monotonic() > deadline:
                sys.exit(f"{rows} rows did not come")
            QApplication.processEvents()
            time.sleep(0.01)
        layer = viewer.layers[0]
        np.save(f"{folder}/{rows}.npy", layer.data)
        print(rows, layer.name, *layer.extent.world[0], layer.units[0], flush=True)
    viewer.close()


program, results, folder, *numbers = sys.argv[1:]
awaited = [int(number) for number in numbers]
napari.run = run
sys.argv = [program, results]
runpy.run_path(program)
