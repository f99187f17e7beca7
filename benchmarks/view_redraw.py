#!/usr/bin/env python3
"""How fast the live picture is drawn while 50,000 localizations a second arrive; beside it one point a localization.

    python benchmarks/view_redraw.py [--rows 1e6 1e7 1e8] [--file 1e7] [--points 1e5 1e6]

The window is the real one, its picture 1000 × 1000 px, once with Qt's painter and once through OpenGL (vispy): of the
graphics card where ``DISPLAY`` names a screen with one, else in software on a screen of its own (Xvfb). Points are
those of vispy's Markers, and of napari where its environment was made (tests/peer/make_environment.py napari).
CPU ms is processor time, of all cores together; what the wheel takes is real time, medians and what 95 % stay within.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from contest import table
from machine import statement
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, qInstallMessageHandler
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from locstream.localizations import Localizations, empty
from locstream.results.file import ResultsWriter
from locstream.results.frames import FRAME_RECORD, FrameOutcome
from locstream.results.header import ResultsHeader
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.seen import Seen
from locstream_view.following.target import FileTarget, LiveTarget
from locstream_view.model.model import ViewModel
from locstream_view.model.settings import ViewSettings
from locstream_view.window.opengl import Trial, way_to_the_screen
from locstream_view.window.style import dress
from locstream_view.window.window import ViewWindow
from peer.make_environment import python_of
from virtual_screen import virtual_screen

NAPARI = Path(__file__).resolve().parent / "programs" / "napari_points.py"
SIZE_PX, PIXEL_NM = 512, 100.0
SCREEN = 1_000, 1_000
REPEATS = 21
TURNS = 60
BLOCK = 1_000_000
BATCH, BATCH_EVERY_S = 5_000, 0.1
FRAMES = 1_000
"""In a block of rows."""
FIRST_WITHIN_S = 2.0
FLAT_WITHIN = 0.2


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
    yield
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
        """Let the window live until something is so."""
        while not condition():
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
    for number in range(n // BLOCK):
        model.add(blocks[number % 4])
    batch_ms = median_ms(lambda: model.add(blocks[0][:BATCH]))
    found: dict[str, Any] = {"batch": batch_ms, "painter": measured(application, model, gl=False)}
    if Trial().renderer():
        found["OpenGL"] = measured(application, model, gl=True)
    return found | {"memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def file_part(path: str) -> dict[str, Any]:
    """Return after how long since the start of this program a file's first picture is on the screen, and all of it."""
    trial = Trial()
    way = way_to_the_screen("auto", trial)
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
    rows = int(os.environ["BENCHMARK_ROWS"])
    screen.until(lambda: model.counted.total == rows)
    screen.redraw()
    began_s = float(os.environ["BENCHMARK_BEGAN"])
    follower.close()
    return {"first_s": first_s - began_s, "first_cpu_s": first_cpu_s, "whole_s": time.monotonic() - began_s}


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


def write_file(path: Path, n: int) -> None:
    """Write a results file of n rows."""
    name = path.name.removesuffix(".live.h5")
    header = ResultsHeader(
        acquisition_id="b" * 32, name=name, height=SIZE_PX, width=SIZE_PX, pixel_size_nm=PIXEL_NM, started_s=0.0
    )
    writer = ResultsWriter(path, header)
    for number in range(n // BLOCK):
        rows = filaments(BLOCK, number)
        records = np.zeros(FRAMES, FRAME_RECORD)
        records["frame"] = number * FRAMES + np.arange(FRAMES)
        records["rows"] = np.bincount(rows["frame"] - number * FRAMES, minlength=FRAMES)
        records["outcome"] = FrameOutcome.FITTED.value
        writer.append(rows, records)
    writer.close()


PARTS = {"rows": rows_part, "file": file_part, "markers": markers_part}


def part(*command: str, **environment: str) -> dict[str, Any]:
    """Run a part in a process of its own; return what it found."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def own(kind: str, text: str, **environment: str) -> dict[str, Any]:
    """Run a part of this file."""
    return part(sys.executable, __file__, "--part", kind, text, **environment)


def rows_table(found: dict[float, dict[str, Any]]) -> str:
    """Return the table of redraws."""
    head = [
        "localizations, drawn by",
        "whole field (CPU ms)",
        "zoom 4",
        "zoom 16",
        "redraws/s",
        "wheel, moved (ms; 95 %)",
    ]
    head += ["wheel, drawn (ms; 95 %)", "5,000 more (CPU ms)", "memory (GB)"]
    lines = []
    for n, each in found.items():
        for way in ("painter", "OpenGL"):
            if (of := each.get(way)) is None:
                continue
            line = [f"{n:,.0f}, {way}", *(f"{of[name]:.1f}" for name in ("whole", "zoom 4", "zoom 16"))]
            line += [f"{1_000 / of['whole']:.0f}", *(f"{of[x]:.0f}; {of[f'{x} p95']:.0f}" for x in ("moved", "drawn"))]
            lines.append([*line, f"{each['batch']:.2f}", f"{each['memory_gb']:.1f}"])
    return table(head, lines)


def flatness(found: dict[float, dict[str, Any]]) -> str:
    """Return how much the redraw differs from the fewest to the most rows, against the aim."""
    least, most = found[min(found)], found[max(found)]
    parts = [f"{way} {most[way]['whole'] / least[way]['whole']:.2f}" for way in ("painter", "OpenGL") if way in most]
    return (
        f"Redraw of the whole field with {max(found):,.0f} localizations against {min(found):,.0f}: "
        f"{', '.join(parts)} (aim: {1 - FLAT_WITHIN:.1f} to {1 + FLAT_WITHIN:.1f})."
    )


def points_table(points: list[float]) -> str:
    """Return the table of programs that draw one point a localization, in the same run."""
    lines = [[f"vispy's Markers, {n:,.0f}", f"{own('markers', str(n))['redraw_ms']:,.0f}", "", ""] for n in points]
    python = python_of("napari")
    if python is not None:
        for n in points:
            of = part(str(python), str(NAPARI), str(n))
            lines.append([f"napari's points, {n:,.0f}", f"{of['redraw_ms']:,.0f}", f"{of['append_ms']:,.0f}", ""])
        lines[-1][-1] = f"{of['image_ms']:,.0f}"
    head = ["a point each", "redraw (CPU ms)", "5,000 more", "a picture of 2560² px as its image layer"]
    return table(head, lines)


def main() -> None:
    """Print what each part says; each runs in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, nargs="*", default=[1e6, 1e7, 1e8])
    parser.add_argument("--file", type=float, default=1e7, help="rows of the file that is opened")
    parser.add_argument("--points", type=float, nargs="*", default=[1e5, 1e6])
    parser.add_argument("--part", nargs=2, metavar=("KIND", "WHAT"), help="only one of them, as JSON")
    given = parser.parse_args()
    qInstallMessageHandler(lambda *_: None)
    if given.part is not None:
        print(json.dumps(PARTS[given.part[0]](given.part[1])), flush=True)
        return
    display = os.environ.get("DISPLAY")
    with virtual_screen() if display is None else nullcontext(display) as screen:
        os.environ.update(DISPLAY=screen, QT_QPA_PLATFORM="xcb")
        print(f"{statement('shared with the screen')} · OpenGL: {Trial().renderer() or 'none'}\n", flush=True)
        found = {n: own("rows", str(n)) for n in given.rows}
        if found:
            print(f"{rows_table(found)}\n\n{flatness(found)}\n", flush=True)
        with tempfile.TemporaryDirectory(prefix="view-") as folder:
            path = Path(folder) / "cell.live.h5"
            write_file(path, int(given.file))
            own("file", str(path), BENCHMARK_ROWS=str(int(given.file)), BENCHMARK_BEGAN="0")  # into the system's cache
            began = {"BENCHMARK_ROWS": str(int(given.file)), "BENCHMARK_BEGAN": str(time.monotonic())}
            of = own("file", str(path), **began)
        print(
            f"A file of {given.file:,.0f} localizations: first picture {of['first_s']:.1f} s after the program was "
            f"started (aim: {FIRST_WITHIN_S:.0f} s), of which it used a processor for {of['first_cpu_s']:.1f} s; "
            f"all of it after {of['whole_s']:.1f} s.\n",
            flush=True,
        )
        if given.points:
            print(points_table(given.points))


if __name__ == "__main__":
    main()
