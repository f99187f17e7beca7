"""Both ways to the screen show the same; which of them is taken, and that one canvas does not harm the next."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # xcb, under Xvfb, does as well

pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
pytest.importorskip("pytestqt", reason="the event loop is pytest-qt's")

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from locstream.errors import LocstreamError
from locstream.rendering.grid import Grid
from locstream_view.model.navigation import Navigation
from locstream_view.model.settings import Window
from locstream_view.window import opengl
from locstream_view.window.canvas import Canvas
from locstream_view.window.surface import RasterSurface, make_surface

SIZE = 320, 240
FIELD = Window(0.0, 0.0, 3_200.0, 2_400.0)
Show = Callable[[bool, Grid, Navigation], np.ndarray]


def needs_opengl() -> None:
    if QApplication.platformName() == "offscreen":
        pytest.skip(
            "this platform of Qt has no OpenGL; tests/system/test_view_on_a_screen.py runs this on one that has"
        )


def pattern(grid: Grid) -> np.ndarray:
    """Return a picture that no flip and no transposition leaves as it is."""
    chance = np.random.default_rng(5)
    rgb = chance.integers(0, 256, (*grid.shape, 3), np.uint8)
    rgb[: grid.rows // 2] //= 2
    rgb[:, : grid.columns // 3, 1] = 0
    return rgb


@pytest.fixture
def canvases(qtbot: QtBot) -> Iterator[Callable[[bool], Canvas]]:
    """Return a function that opens a canvas; afterwards they are closed as the window closes its own."""
    opened: list[Canvas] = []

    def open_canvas(gl: bool) -> Canvas:
        canvas = Canvas(FIELD, gl=gl)
        canvas.setMinimumSize(*SIZE)
        canvas.resize(*SIZE)
        opened.append(canvas)
        with qtbot.waitExposed(canvas):
            canvas.show()
        return canvas

    yield open_canvas
    for canvas in opened:
        canvas.close()


@pytest.fixture
def show(canvases: Callable[[bool], Canvas]) -> Show:
    """Return a function that shows a pattern and returns what is on the screen: (rows, columns, 3)."""

    def shown(gl: bool, grid: Grid, where: Navigation) -> np.ndarray:
        canvas = canvases(gl)
        canvas.surface.set_picture(pattern(grid), grid)
        canvas.surface.look(where)
        return pixels(canvas)

    return shown


def pixels(canvas: Canvas) -> np.ndarray:
    image = canvas.surface.widget.grab().toImage()
    found = [[image.pixelColor(x, y).getRgb()[:3] for x in range(image.width())] for y in range(image.height())]
    return np.array(found, int)


def looking(left_nm: float, top_nm: float, nm_per_px: float) -> Navigation:
    centre = left_nm + SIZE[0] / 2 * nm_per_px, top_nm + SIZE[1] / 2 * nm_per_px
    return Navigation(FIELD, *SIZE, *centre, nm_per_px)


def test_the_painter_shows_each_pixel_where_it_belongs(show: Show) -> None:
    grid = Grid(24, 32, 100.0, 0.0, 0.0)
    on_screen = show(False, grid, looking(0.0, 0.0, 10.0))
    np.testing.assert_array_equal(on_screen, pattern(grid).repeat(10, axis=0).repeat(10, axis=1))


@pytest.mark.parametrize(
    ("grid", "where"),
    [
        pytest.param(Grid(24, 32, 100.0, 0.0, 0.0), looking(0.0, 0.0, 10.0), id="enlarged"),
        pytest.param(Grid(24, 32, 100.0, 0.0, 0.0), looking(-703.0, 1_303.0, 8.0), id="partly outside"),
        pytest.param(Grid(241, 323, 10.0, 50.0, 20.0), looking(0.0, 0.0, 10.0), id="one to one"),
        pytest.param(Grid(7, 5, 100.0, 400.0, 300.0), looking(0.0, 0.0, 10.0), id="odd rows of three bytes"),
    ],
)
def test_opengl_shows_the_same_as_the_painter(show: Show, grid: Grid, where: Navigation) -> None:
    needs_opengl()
    np.testing.assert_array_equal(show(True, grid, where), show(False, grid, where))


def test_opengl_smooths_as_the_painter_does(show: Show) -> None:
    needs_opengl()
    grid, where = Grid(312, 416, 7.5, 0.0, 0.0), looking(0.0, 0.0, 10.0)
    by_opengl, by_painter = show(True, grid, where), show(False, grid, where)
    assert np.abs(by_opengl - by_painter).max() <= 6  # of 255, in noise: the two round their weights differently
    assert np.abs(by_opengl - by_painter).mean() < 1


def test_a_picture_of_another_shape_replaces_the_one_before(canvases: Callable[[bool], Canvas], qtbot: QtBot) -> None:
    needs_opengl()
    canvas = canvases(True)
    for grid in (Grid(24, 32, 100.0, 0.0, 0.0), Grid(48, 64, 50.0, 0.0, 0.0), Grid(12, 16, 200.0, 0.0, 0.0)):
        canvas.surface.set_picture(pattern(grid), grid)
        canvas.surface.look(looking(0.0, 0.0, 10.0))
        factor = 240 // grid.rows
        np.testing.assert_array_equal(pixels(canvas), pattern(grid).repeat(factor, axis=0).repeat(factor, axis=1))


def test_no_picture_is_black(canvases: Callable[[bool], Canvas]) -> None:
    for gl in (False, True):
        if gl:
            needs_opengl()
        assert not pixels(canvases(gl)).any()


def test_a_canvas_that_was_closed_leaves_the_next_its_context(
    canvases: Callable[[bool], Canvas], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_opengl()
    from vispy import gloo

    grid, where = Grid(24, 32, 100.0, 0.0, 0.0), looking(0.0, 0.0, 10.0)
    first = Canvas(FIELD, gl=True)
    with qtbot.waitExposed(first):
        first.show()
    first.surface.set_picture(pattern(grid), grid)
    first.surface.look(where)
    pixels(first)
    gone: list[bool] = []
    first.destroyed.connect(lambda: gone.append(True))
    first.close()
    unreachable: list[object] = [first]
    unreachable.append(unreachable)  # only the collector can find it, as a window with all its connections
    del first, unreachable
    qtbot.waitUntil(lambda: bool(gone), timeout=60_000)
    clear = gloo.clear

    def collect_and_clear(colour: tuple[float, ...]) -> None:
        gc.collect()  # the worst moment: a widget that only the collector can reach would be destroyed here
        clear(colour)

    monkeypatch.setattr(gloo, "clear", collect_and_clear)
    canvas = canvases(True)
    canvas.surface.set_picture(pattern(grid), grid)
    canvas.surface.look(where)
    np.testing.assert_array_equal(pixels(canvas), pattern(grid).repeat(10, axis=0).repeat(10, axis=1))


def test_the_painter_is_asked_for_without_vispy(qtbot: QtBot) -> None:
    canvas = Canvas(FIELD, gl=False)
    qtbot.addWidget(canvas)
    assert isinstance(make_surface(canvas, gl=False), RasterSurface)


# --- which of them


class Found(opengl.Trial):
    """A trial that is done."""

    def __init__(self, name: str) -> None:
        self._name = name

    def renderer(self, patience_s: float = 0.0) -> str:
        return self._name


@pytest.mark.parametrize(
    ("name", "software"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("softpipe", True),
        ("Software Rasterizer", True),
        ("GDI Generic", True),
        ("Google SwiftShader", True),
        ("NVIDIA GeForce RTX 4070/PCIe/SSE2", False),
        ("Mesa Intel(R) UHD Graphics 630 (CFL GT2)", False),
        ("AMD Radeon RX 6600 (radeonsi, navi23, LLVM 15.0.7, DRM 3.49)", False),
    ],
)
def test_a_graphics_card_is_told_from_software(name: str, software: bool) -> None:
    way = opengl.way_to_the_screen("auto", Found(name))
    assert way.gl is not software
    assert name in way.words


def test_what_was_chosen_is_done() -> None:
    assert opengl.way_to_the_screen("on", Found("llvmpipe")).gl
    assert not opengl.way_to_the_screen("off", Found("NVIDIA")).gl


def test_opengl_that_does_not_work() -> None:
    assert not opengl.way_to_the_screen("auto", Found("")).gl
    with pytest.raises(LocstreamError, match="OpenGL does not work"):
        opengl.way_to_the_screen("on", Found(""))


@pytest.mark.parametrize("driver", ["kill -SEGV $$", "echo llvmpipe; exit 1", "exec sleep 60"])
def test_a_driver_that_crashes_fails_or_hangs_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{driver}\n")
    program.chmod(0o755)
    monkeypatch.setattr(opengl.sys, "executable", str(program))
    assert opengl.Trial().renderer(1.0 if "sleep" in driver else 60.0) == ""


def test_a_trial_that_nobody_asks_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setattr(opengl.sys, "executable", str(program))
    trial = opengl.Trial()
    trial.close()
    trial.close()
    assert trial._process.returncode == -signal.SIGKILL


def test_the_trial_sees_whether_a_picture_came_through() -> None:
    pytest.importorskip("vispy", reason="OpenGL goes through vispy")
    name = opengl.Trial().renderer(60.0)
    assert (name == "") == (QApplication.platformName() == "offscreen")
