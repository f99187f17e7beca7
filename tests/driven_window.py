"""A window of `locstream view` that a test drives by input events, beside a microscope that says what it is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QSettings, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from locstream.localizations import empty
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import Hello, Status
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.target import LiveTarget
from locstream_view.model.settings import ViewSettings
from locstream_view.window.remembered import Remembered
from locstream_view.window.window import ViewWindow
from small_publisher import SmallPublisher

HELLO = Hello(
    acquisition="a" * 32, seq=0, name="run-7", software="test", width=64, height=48, pixel_size_nm=100.0, started_s=0.0
)
THROUGH_OPENGL = os.environ.get("LOCSTREAM_TEST_OPENGL") == "yes"
"""The same tests through OpenGL: tests/system/test_view_on_a_screen.py runs them so."""
SPOT_NM = (1_000.0, 3_000.0)
"""Column 10, row 30: left of the middle and below it."""
PATIENCE_MS = 60_000


class Microscope:
    """Publishes what a test says, at an endpoint that a window follows; it can die and come back."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.publisher = SmallPublisher(endpoint)

    def begin(self, hello: Hello = HELLO) -> None:
        self.publisher.begin(hello)

    def spots(self, n: int, first_frame: int = 0) -> None:
        rows = empty(n)
        rows["frame"] = first_frame + np.arange(n) // 10
        rows["x_nm"], rows["y_nm"] = SPOT_NM
        rows["photons"] = np.where(np.arange(n) % 2, 300, 900)
        rows["x_uncertainty_nm"] = rows["y_uncertainty_nm"] = 10
        rows["sigma_x_nm"] = rows["sigma_y_nm"] = 130
        self.publisher.batch(rows, first_frame, int(rows["frame"][-1]))

    def status(self, **values: object) -> None:
        ledger = LedgerSnapshot(acquired=10, fitted=10)
        given = {"acquisition": HELLO.acquisition, "seq": 0, "state": "acquiring", "ledger": ledger} | values
        self.publisher.status(Status(**given))

    def close(self) -> None:
        self.publisher.close()

    def die_and_come_back(self) -> None:
        self.publisher.close()
        self.publisher = SmallPublisher(self._endpoint)


@contextmanager
def opened(qtbot: QtBot, folder: Path) -> Iterator[ViewWindow]:
    """Open a window that follows the microscope of a folder."""
    follower = Follower(LiveTarget(endpoint=f"ipc://{folder}/s"))
    frames = FrameWatch(lambda: follower.seen)
    store = QSettings(str(folder / "view.ini"), QSettings.Format.IniFormat)
    found = ViewWindow(follower, frames, ViewSettings(), Remembered(store), gl=THROUGH_OPENGL)
    found.resize(1_000, 700)
    follower.start()
    frames.start()
    with qtbot.waitExposed(found):
        found.show()
    yield found
    if isValid(found):
        found.close()


def turning(qtbot: QtBot, microscope: Microscope, condition: Callable[[], bool]) -> None:
    """Let the window and the publisher run until something has happened."""

    def happened() -> bool:
        microscope.publisher.tend()
        return condition()

    qtbot.waitUntil(happened, timeout=PATIENCE_MS)


def show_spot(qtbot: QtBot, window: ViewWindow, microscope: Microscope) -> None:
    """Have a window show 100 rows at one spot."""
    microscope.begin()
    turning(qtbot, microscope, lambda: window.model is not None)
    microscope.spots(100)
    microscope.status()
    turning(qtbot, microscope, lambda: window.model is not None and window.model.counted.total == 100)
    turning(qtbot, microscope, lambda: window.redraw.drawn is not None and window.redraw.drawn.image.sum() > 99)


def activate(qtbot: QtBot, window: ViewWindow) -> None:
    """Give a window the keyboard."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=PATIENCE_MS)


def screen_of(window: ViewWindow, x_nm: float, y_nm: float) -> QPoint:
    x, y = window.canvas.where.to_px(x_nm, y_nm)
    return QPoint(round(x), round(y))


def wheel(window: ViewWindow, at: QPoint, notches: int) -> None:
    where = window.canvas.mapToGlobal(at)
    event = QWheelEvent(
        QPointF(at),
        QPointF(where),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(window.canvas, event)


@pytest.fixture
def microscope(tmp_path: Path) -> Iterator[Microscope]:
    found = Microscope(f"ipc://{tmp_path}/s")
    yield found
    found.close()


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, microscope: Microscope) -> Iterator[ViewWindow]:
    with opened(qtbot, tmp_path) as found:
        yield found


@pytest.fixture
def watching(qtbot: QtBot, window: ViewWindow, microscope: Microscope) -> ViewWindow:
    """Return a window that shows 100 rows at one spot."""
    show_spot(qtbot, window, microscope)
    return window
