"""What is measured of the live picture, each part in a process of its own: `view_redraw.py` starts them.

    python benchmarks/view_parts.py rows ROWS | file PATH ROWS BEGAN_S | markers POINTS

Prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, qInstallMessageHandler
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from locstream.localizations import Localizations, empty
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.seen import Seen
from locstream_view.following.target import FileTarget, LiveTarget
from locstream_view.model.model import ViewModel
from locstream_view.model.settings import ViewSettings
from locstream_view.window.opengl import Trial, way_to_the_screen
from locstream_view.window.style import dress
from locstream_view.window.window import ViewWindow

SIZE_PX, PIXEL_NM = 512, 100.0
SCREEN = 1_000, 1_000
REPEATS = 21
TURNS = 60
BLOCK = 1_000_000
BATCH, BATCH_EVERY_S = 5_000, 0.1
FRAMES = 1_000
"""In a block of rows."""
PATIENCE_S = 300.0
"""A window that does not get there in so long never will."""


def filaments(n: int, seed: int) -> Localizations:
    """Return rows along 300 filaments, as dense as a good acquisition."""
    chance = np.random.default_rng(seed)
    lines = np.random.default_rng(0).uniform(1_000, SIZE_PX * PIXEL_NM - 1_000, (300, 4))
    which, along = chance.integers(0, 300, n), chance.uniform(0, 1, n)
    rows = empty(n)
    rows["frame"] = seed * FRAMES + np.sort(chance.integers(0, FRAMES, n))
    for name, a, b in (("x_nm", 0, 2), ("y_nm", 1, 3)):
        rows[name] = lines[which, a] * (1 - along) + lines[which, b] * along + chance.normal(0, 15, n)
    rows["photons"] = chance.gamma(2, 500, n)
    rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = chance.gamma(9, 1, n)
    return rows


def median_ms(act: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the processor time that one call takes, on all cores: it hardly depends on what else runs."""
    act()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return 1_000 * statistics.median(times)


@contextmanager
def arriving(model: ViewModel) -> Iterator[None]:
    """Let 50,000 rows a second arrive."""
    batch, ending = filaments(BATCH, 0), threading.Event()

    def feed() -> None:
        while not ending.wait(BATCH_EVERY_S):
            model.add(batch)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


class Screen(QObject):
    """The window with a model, and when its picture is painted."""

    def __init__(self, application: QApplication, *, gl: bool) -> None:
        super().__init__()
        self.paints = 0
        self._application = application
        self.follower = Follower(LiveTarget(endpoint="inproc://nothing"))
        self.window = ViewWindow(self.follower, FrameWatch(lambda: self.follower.seen), ViewSettings(), None, gl=gl)
        self.window.canvas.setFixedSize(*SCREEN)
        self.window.canvas.surface.widget.installEventFilter(self)
        self.window.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Count what is painted."""
        self.paints += event.type() == QEvent.Type.Paint
        return False

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the window live until something is so.

        Raises
        ------
        TimeoutError
            It is not so for `PATIENCE_S`.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the window did not get there in {PATIENCE_S:g} s")
            self._application.processEvents()

    def rest(self, seconds: float) -> None:
        """Let the window live for a while."""
        end = time.perf_counter() + seconds
        self.until(lambda: time.perf_counter() > end)

    def painted(self) -> None:
        """Let the window live until its picture was painted once more."""
        before = self.paints
        self.until(lambda: self.paints > before)

    def show(self, model: ViewModel) -> None:
        """Show a model."""
        self.follower.seen = Seen("following", "benchmark", model)
        self.until(lambda: self.window.redraw.drawn is not None)

    def redraw(self) -> None:
        """Draw the picture now, and see it painted."""
        self.window.redraw.want()
        assert self.window.model is not None
        self.window.redraw.turn(self.window.model, self.window.settings)
        self.painted()

    def turn_the_wheel(self, notches: int) -> tuple[float, float]:
        """Return after how long the picture has moved, and after how long it is drawn anew, ms."""
        at = QPoint(SCREEN[0] // 2, SCREEN[1] // 2)
        where = QPointF(at), QPointF(self.window.canvas.mapToGlobal(at))
        buttons = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
        before, began = self.window.redraw.drawn, time.perf_counter()
        event = QWheelEvent(*where, QPoint(), QPoint(0, 120 * notches), *buttons, False)
        self._application.sendEvent(self.window.canvas, event)
        self.painted()
        moved = time.perf_counter()
        self.until(lambda: self.window.redraw.drawn is not before)
        self.painted()
        return 1_000 * (moved - began), 1_000 * (time.perf_counter() - began)


def measured(application: QApplication, model: ViewModel, *, gl: bool) -> dict[str, float]:
    """Return what a redraw takes by zoom, and what a turn of the wheel takes until it is on the screen, ms."""
    screen = Screen(application, gl=gl)
    screen.show(model)
    found = {}
    with arriving(model):
        for name, zoom in (("whole", 1.0), ("zoom 4", 4.0), ("zoom 16", 4.0)):
            screen.window.canvas.zoom(zoom)
            found[name] = median_ms(screen.redraw)
        screen.window.canvas.show_whole()
        turns = []
        for number in range(TURNS):
            screen.rest(0.037)  # no multiple of the window's own turn
            turns.append(screen.turn_the_wheel(1 if number % 8 < 4 else -1))
    for name, times in zip(("moved", "drawn"), zip(*turns, strict=True), strict=True):
        found[name], found[f"{name} p95"] = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    screen.window.close()
    screen.until(lambda: True)
    return found


def rows_part(text: str) -> dict[str, Any]:
    """Return what a number of rows costs, by painter and by OpenGL."""
    n = int(float(text))
    application = QApplication([])
    dress(application)
    model = ViewModel(SIZE_PX, SIZE_PX, PIXEL_NM)
    blocks = [filaments(min(n, BLOCK), seed) for seed in range(4)]
    for number, first in enumerate(range(0, n, BLOCK)):
        model.add(blocks[number % 4][: n - first])
    batch_ms = median_ms(lambda: model.add(blocks[0][:BATCH]))
    found: dict[str, Any] = {"batch": batch_ms, "painter": measured(application, model, gl=False)}
    if Trial().renderer():
        found["OpenGL"] = measured(application, model, gl=True)
    return found | {"memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def file_part(path: str, rows: str, began_s: str) -> dict[str, Any]:
    """Return after how long since this program was begun a file's first picture is on the screen, and all of it."""
    way = way_to_the_screen("auto")
    application = QApplication([])
    dress(application)
    screen = Screen(application, gl=way.gl)
    follower = Follower(FileTarget(Path(path)))
    follower.start()
    screen.until(lambda: follower.seen.model is not None)
    model = follower.seen.model
    assert model is not None
    screen.follower.seen = follower.seen
    screen.until(lambda: screen.window.redraw.drawn is not None and screen.window.redraw.drawn.image.sum() > 0)
    screen.painted()
    first_s, first_cpu_s = time.monotonic(), time.process_time()
    screen.until(lambda: model.counted.total == int(rows))
    screen.redraw()
    whole_s = time.monotonic()
    follower.close()
    return {
        "first_s": first_s - float(began_s),
        "first_cpu_s": first_cpu_s,
        "whole_s": whole_s - float(began_s),
    }


def markers_part(text: str) -> dict[str, Any]:
    """Return what panning takes where every row is a point of vispy's Markers."""
    from vispy import scene, use

    n = int(float(text))
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

    return {"redraw_ms": median_ms(pan, 5)}


PARTS: dict[str, Callable[..., dict[str, Any]]] = {"rows": rows_part, "file": file_part, "markers": markers_part}


def main(kind: str, *what: str) -> None:
    """Measure one part."""
    qInstallMessageHandler(lambda *_: None)
    print(json.dumps(PARTS[kind](*what)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
