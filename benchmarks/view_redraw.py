#!/usr/bin/env python3
"""How fast the live picture is drawn, from 10⁶ to 10⁸ localizations; beside it vispy's Markers, a point each.

    python benchmarks/view_redraw.py [--rows 1e6 1e7 1e8] [--markers 1e5 1e6]

Without a screen it measures Qt's own painter. With one (``DISPLAY``; ``Xvfb :77 -screen 0 1600x1200x24 +extension
GLX`` for software OpenGL) also the OpenGL surface and the Markers. Times are medians of 21.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt, qInstallMessageHandler
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from locstream.localizations import Localizations, empty
from locstream_view.model.model import ViewModel
from locstream_view.model.settings import Filters, Range, ViewSettings
from locstream_view.window.canvas import Canvas
from locstream_view.window.redraw import Redraw

SIZE_PX, PIXEL_NM = 512, 100.0
SCREEN = 1_000, 1_000
REPEATS = 21
BLOCK = 1_000_000


def filaments(n: int, seed: int) -> Localizations:
    """Return rows along 300 filaments, as dense as a good acquisition."""
    chance = np.random.default_rng(seed)
    lines = np.random.default_rng(0).uniform(0, SIZE_PX * PIXEL_NM, (300, 4))
    which, along = chance.integers(0, 300, n), chance.uniform(0, 1, n)
    rows = empty(n)
    rows["frame"] = seed * 1_000 + np.sort(chance.integers(0, 1_000, n))
    for name, a, b in (("x_nm", 0, 2), ("y_nm", 1, 3)):
        rows[name] = lines[which, a] * (1 - along) + lines[which, b] * along + chance.normal(0, 15, n)
    rows["photons"] = chance.gamma(2, 500, n)
    rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = chance.gamma(9, 1, n)
    return rows


def median_ms(act: Callable[[], object]) -> float:
    """Return what one call takes."""
    act()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return 1_000 * statistics.median(times)


def filled(n: int) -> tuple[ViewModel, float]:
    """Return a model with n rows, and how long a batch of 5,000 took, ms."""
    model = ViewModel(SIZE_PX, SIZE_PX, PIXEL_NM)
    blocks = [filaments(min(n, BLOCK), seed) for seed in range(4)]
    for number in range(n // BLOCK):
        model.add(blocks[number % 4])
    batch = blocks[0][:5_000]
    return model, median_ms(lambda: model.add(batch))


def measure(application: QApplication, model: ViewModel, *, gl: bool) -> dict[str, float]:
    """Return what a redraw takes by zoom, and the time from a turn of the wheel until it is on the screen."""
    canvas = Canvas(model.field, gl=gl)
    canvas.resize(*SCREEN)
    canvas.show()
    application.processEvents()
    canvas.set_field(model.field)
    redraw, settings = Redraw(canvas), ViewSettings()

    def to_screen() -> None:
        redraw.want()
        redraw.turn(model, settings)
        canvas.surface.widget.repaint()
        application.processEvents()

    def wheel_to_screen() -> None:
        at = QPoint(SCREEN[0] // 2, SCREEN[1] // 2)
        notch = QPoint(0, 120 if next(turns) % 2 else -120)
        where = QPointF(at), QPointF(canvas.mapToGlobal(at))
        buttons = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
        application.sendEvent(canvas, QWheelEvent(*where, QPoint(), notch, *buttons, False))
        to_screen()

    turns = iter(range(10_000))
    found = {}
    for name, zoom in (("whole field", 1.0), ("zoom 4", 4.0), ("zoom 16", 4.0)):
        canvas.zoom(zoom)
        found[name] = median_ms(to_screen)
    found["wheel to screen"] = median_ms(wheel_to_screen)
    canvas.close()
    return found


def refilter_s(model: ViewModel) -> float:
    """Return how long a filter takes until the whole picture is in order again."""
    began = time.perf_counter()
    model.choose(Filters(photons=Range(low=800)))
    model.settle()
    taken = time.perf_counter() - began
    model.choose(Filters())
    return taken


def markers_ms(n: int) -> float:
    """Return what panning takes where every row is a point of vispy's Markers."""
    from vispy import scene, use

    use(app="pyside6", gl="gl2")
    canvas = scene.SceneCanvas(size=SCREEN, show=True)
    view = canvas.central_widget.add_view()
    view.camera = "panzoom"
    rows = filaments(n, 1)
    points = scene.visuals.Markers(parent=view.scene)
    points.set_data(np.stack([rows["x_nm"], rows["y_nm"]], 1), size=1, edge_width=0)
    view.camera.set_range()
    steps = iter(range(10_000))

    def pan() -> None:
        view.camera.pan((1 + next(steps) % 2, 0))
        canvas.render()

    taken = median_ms(pan)
    canvas.close()
    return taken


def rows_part(rows: int) -> None:
    """Print what one number of rows costs."""
    application = QApplication([])
    model, batch_ms = filled(rows)
    memory_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"\n{rows:.0e} rows: batch of 5,000 in {batch_ms:.2f} ms, at most {memory_gb:.1f} GB, a filter takes "
        f"{refilter_s(model):.2f} s over {model.counted.kept:.0e} kept rows"
    )
    for gl in (False, True)[: 1 + (application.platformName() != "offscreen")]:
        found = measure(application, model, gl=gl)
        text = ", ".join(f"{name} {ms:.1f} ms" for name, ms in found.items())
        name = "OpenGL, vispy" if gl else "Qt's painter "
        print(f"  {name}: {text}; {1_000 / found['whole field']:.0f} redraws/s", flush=True)
    os._exit(0)  # vispy's context does not outlive its canvas well


def markers_part(n: int) -> None:
    """Print what n points of Markers cost."""
    QApplication([])
    print(f"\nvispy Markers, {n:.0e} points: {markers_ms(n):.0f} ms a redraw", flush=True)
    os._exit(0)


def main() -> None:
    """Print what each part says; each runs in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, nargs="*", default=[1e6, 1e7, 1e8])
    parser.add_argument("--markers", type=float, nargs="*", default=[1e5, 1e6])
    parser.add_argument("--part", nargs=2, metavar=("rows|markers", "N"), help="only one of them")
    given = parser.parse_args()
    qInstallMessageHandler(lambda *_: None)
    if given.part is not None:
        {"rows": rows_part, "markers": markers_part}[given.part[0]](int(float(given.part[1])))
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors", flush=True)
    parts = [("rows", n) for n in given.rows] + [("markers", n) for n in given.markers if os.environ.get("DISPLAY")]
    for kind, n in parts:
        subprocess.run([sys.executable, __file__, "--part", kind, str(n)], check=True)


if __name__ == "__main__":
    main()
