"""What napari takes where every localization is a point, and where the picture is an image layer.

    python napari_points.py POINTS

Runs in napari's own environment; a redraw is a pan and a picture of the canvas. Prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

FIELD_NM = 51_200.0
SCREEN = 1_000, 1_000
REPEATS = 5
SLOW_S = 5.0


def median_ms(act: Callable[[], object]) -> float:
    """Return the processor time that one call takes, on all cores; of what is slow, one call says enough."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
        if times[-1] > SLOW_S:
            break
    return 1_000 * statistics.median(times)


def main(n: int) -> None:
    """Measure."""
    chance = np.random.default_rng(0)
    points = chance.uniform(0, FIELD_NM, (n, 2)).astype(np.float32)
    viewer = napari.Viewer(show=True)
    layer = viewer.add_points(points, size=100, border_width=0)
    viewer.reset_view()

    def screenshot() -> None:
        viewer.screenshot(size=SCREEN, flash=False)

    def pan() -> None:
        y, x = viewer.scene.camera.center[-2:]
        viewer.scene.camera.center = (y, x + 50)
        screenshot()

    pan()
    found = {"redraw_ms": median_ms(pan)}

    def append() -> None:
        more = chance.uniform(0, FIELD_NM, (5_000, 2)).astype(np.float32)
        layer.data = np.concatenate([layer.data, more])
        QApplication.processEvents()

    found["append_ms"] = median_ms(append)
    viewer.layers.clear()
    picture = viewer.add_image(chance.poisson(0.1, (2_560, 2_560)).astype(np.float32))

    def refresh() -> None:
        picture.data = chance.poisson(0.1, (1, 1)).astype(np.float32) + image
        screenshot()

    image = np.zeros((2_560, 2_560), np.float32)
    refresh()
    found["image_ms"] = median_ms(refresh)
    viewer.close()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(float(sys.argv[1])))
