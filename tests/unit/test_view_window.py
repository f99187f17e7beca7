"""The window with real input events: wheel, drag, keys, typed filters, a region, saving, a fault, connecting again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tifffile

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # xcb, under Xvfb, does as well

pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
pytest.importorskip("pytestqt", reason="input events are made by pytest-qt")

from PySide6.QtCore import QPoint, QPointF, QSettings, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream.localizations import LOCALIZATION_3D, empty
from locstream.results.file import ResultsWriter
from locstream.results.header import ResultsHeader
from locstream.results.ledger import LedgerSnapshot
from locstream.stacks.live import LiveStackWriter
from locstream.stream.keys import ClientKeys, KeyPair
from locstream.stream.link import Endpoints
from locstream.stream.messages import Hello, Status, own_fields
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch, WatchedFrame
from locstream_view.following.seen import Seen
from locstream_view.following.target import FileTarget, LiveTarget, Target
from locstream_view.model.saved import ViewFiles, read_settings
from locstream_view.model.saved_frame import save_frame
from locstream_view.model.settings import ViewSettings
from locstream_view.window.raw_panel import CAPTION, RawPanel
from locstream_view.window.remembered import Remembered
from locstream_view.window.shortcuts import SHORTCUTS, help_text
from locstream_view.window.steering import control
from locstream_view.window.texts import empty_text
from locstream_view.window.window import ViewWindow
from small_publisher import SmallPublisher

HELLO = Hello(
    acquisition="a" * 32, seq=0, name="run-7", software="test", width=64, height=48, pixel_size_nm=100.0, started_s=0.0
)
THROUGH_OPENGL = os.environ.get("LOCSTREAM_TEST_OPENGL") == "yes"
"""The same tests through OpenGL: tests/system/test_view_on_a_screen.py runs them so."""
SPOT_NM = (1_000.0, 3_000.0)
"""Column 10, row 30: left of the middle and below it."""


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


@pytest.fixture
def microscope(tmp_path: Path) -> Iterator[Microscope]:
    found = Microscope(f"ipc://{tmp_path}/s")
    yield found
    found.close()


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, microscope: Microscope) -> Iterator[ViewWindow]:
    follower = Follower(LiveTarget(endpoint=f"ipc://{tmp_path}/s"))
    frames = FrameWatch(lambda: follower.seen)
    store = QSettings(str(tmp_path / "view.ini"), QSettings.Format.IniFormat)
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

    qtbot.waitUntil(happened, timeout=20_000)


@pytest.fixture
def watching(qtbot: QtBot, window: ViewWindow, microscope: Microscope) -> ViewWindow:
    """Return a window that shows 100 rows at one spot."""
    microscope.begin()
    turning(qtbot, microscope, lambda: window.model is not None)
    microscope.spots(100)
    microscope.status()
    turning(qtbot, microscope, lambda: window.model is not None and window.model.counted.total == 100)
    turning(qtbot, microscope, lambda: window.redraw.drawn is not None and window.redraw.drawn.image.sum() > 99)
    return window


def activate(qtbot: QtBot, window: ViewWindow) -> None:
    """Give a window the keyboard."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=10_000)


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


def brightest_place(window: ViewWindow) -> tuple[float, float]:
    """Return where the brightest pixel of the picture is on the screen, px of the canvas."""
    image = window.canvas.grab().toImage()
    ratio = image.devicePixelRatio()
    grey = np.array(
        [[image.pixelColor(x, y).lightness() for x in range(image.width())] for y in range(image.height() - 70)]
    )
    rows, columns = np.nonzero(grey > 200)
    return float(columns.mean()) / ratio, float(rows.mean()) / ratio


def test_waiting_says_for_what_and_how_to_try_it(window: ViewWindow) -> None:
    heading, *lines = window.canvas.overlay.empty
    assert "ipc://" in heading
    assert any("locstream demo" in line for line in lines)
    assert window.side.values["State"].text() == "waiting"


def test_a_spot_is_shown_where_the_camera_saw_it(qtbot: QtBot, watching: ViewWindow) -> None:
    assert watching.redraw.drawn is not None
    x, y = brightest_place(watching)
    expected = watching.canvas.where.to_px(*SPOT_NM)
    assert (x, y) == pytest.approx(expected, abs=8)
    assert x < watching.canvas.width() / 2 < 2 * y


def test_wheel_zooms_at_the_cursor_and_double_click_shows_all(qtbot: QtBot, watching: ViewWindow) -> None:
    spot = screen_of(watching, *SPOT_NM)
    before = watching.canvas.where
    wheel(watching, spot, 6)
    after = watching.canvas.where
    assert after.nm_per_px == pytest.approx(before.nm_per_px / 1.25**6)
    assert after.to_nm(spot.x(), spot.y()) == pytest.approx(before.to_nm(spot.x(), spot.y()), abs=1e-6)
    qtbot.mouseDClick(watching.canvas, Qt.MouseButton.LeftButton, pos=spot)
    assert watching.canvas.where == before
    assert watching.canvas.shows_whole


def test_drag_moves_the_sample_with_the_mouse(qtbot: QtBot, watching: ViewWindow) -> None:
    wheel(watching, screen_of(watching, *SPOT_NM), 5)
    start = screen_of(watching, *SPOT_NM)
    qtbot.mousePress(watching.canvas, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(watching.canvas, start + QPoint(40, -30))
    qtbot.mouseRelease(watching.canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(40, -30))
    assert screen_of(watching, *SPOT_NM) == start + QPoint(40, -30)


def test_position_under_the_cursor(qtbot: QtBot, watching: ViewWindow) -> None:
    qtbot.mouseMove(watching.canvas, screen_of(watching, *SPOT_NM))
    qtbot.waitUntil(lambda: watching.position.text() != "", timeout=10_000)
    text = watching.position.text()
    x, y = (float(part.split()[0]) for part in (text.split("x ")[1], text.split("y ")[1]))
    resolution_um = watching.canvas.where.nm_per_px / 1_000
    assert (x, y) == pytest.approx((SPOT_NM[0] / 1_000, SPOT_NM[1] / 1_000), abs=resolution_um)
    assert "camera pixel" in text


def test_keys_change_colours_and_lock_the_contrast(qtbot: QtBot, watching: ViewWindow) -> None:
    activate(qtbot, watching)
    qtbot.keyClick(watching, Qt.Key.Key_M)
    assert watching.settings.colormap == "magma"
    qtbot.keyClick(watching, Qt.Key.Key_C)
    assert watching.settings.colour_by == "time"
    qtbot.keyClick(watching, Qt.Key.Key_L)
    assert watching.settings.brightest_per_um2 == watching.redraw.brightest
    assert not watching.controls.percentile.isEnabled()
    held = watching.redraw.brightest
    qtbot.keyClick(watching, Qt.Key.Key_Plus)
    qtbot.wait(100)
    assert watching.redraw.brightest == held
    qtbot.keyClick(watching, Qt.Key.Key_L)
    assert watching.settings.brightest_per_um2 is None


def test_contrast_and_gamma_are_typed(qtbot: QtBot, watching: ViewWindow) -> None:
    for box, text, name, value in (
        (watching.controls.percentile, "90", "contrast_percentile", 90.0),
        (watching.controls.gamma, "0.5", "gamma", 0.5),
    ):
        box.selectAll()
        qtbot.keyClicks(box, text)
        qtbot.keyClick(box, Qt.Key.Key_Return)
        assert getattr(watching.settings, name) == value


def test_filters_hide_and_show_again(qtbot: QtBot, watching: ViewWindow, microscope: Microscope) -> None:
    qtbot.mouseClick(watching.controls.filters, Qt.MouseButton.LeftButton)
    assert watching.filters.isVisible()
    low, high = watching.filters.fields["photons"]
    qtbot.keyClicks(low, "500")
    model = watching.model
    assert model is not None
    turning(qtbot, microscope, lambda: model.counted.shown == 50)
    turning(qtbot, microscope, lambda: watching.filters.counts.text() == "50 of 100 shown")
    qtbot.keyClicks(high, "4")  # on the way to a larger number: from 500 to 4 is no range
    assert "border-color" in low.styleSheet()
    turning(qtbot, microscope, lambda: model.counted.shown == 100)
    qtbot.mouseClick(watching.filters.everything, Qt.MouseButton.LeftButton)
    assert low.text() == high.text() == low.styleSheet() == ""
    assert watching.settings.filters.open


def test_region_gives_its_numbers_and_goes_again(qtbot: QtBot, watching: ViewWindow) -> None:
    x, y = SPOT_NM
    corner, other = screen_of(watching, x - 500, y - 400), screen_of(watching, x + 500, y + 400)
    shift = Qt.KeyboardModifier.ShiftModifier
    qtbot.mousePress(watching.canvas, Qt.MouseButton.LeftButton, shift, corner)
    qtbot.mouseMove(watching.canvas, other)
    qtbot.mouseRelease(watching.canvas, Qt.MouseButton.LeftButton, shift, other)
    text = watching.filters.region.text()
    assert "100 localizations" in text
    assert "median precision 10.0 nm" in text
    close_up = watching.filters.close_up
    assert close_up.image is not None
    shown = close_up.grab().toImage()
    painted = int(0.8 * shown.height())  # the region is broader than high
    lit = [(x, y) for x in range(shown.width()) for y in range(painted) if shown.pixelColor(x, y).lightness() > 100]
    middle = shown.width() / 2, painted / 2
    assert np.mean(lit, 0) == pytest.approx(middle, abs=8), "the spot, in the middle of the region"
    activate(qtbot, watching)
    qtbot.keyClick(watching, Qt.Key.Key_Escape)
    assert watching.filters.region.text() == ""
    assert close_up.image is None


def test_saved_view_shows_the_same_part_again(qtbot: QtBot, watching: ViewWindow, tmp_path: Path) -> None:
    wheel(watching, screen_of(watching, *SPOT_NM), 8)
    qtbot.wait(100)
    files = ViewFiles(tmp_path / "mine")
    watching.save(files.stem)
    qtbot.waitUntil(lambda: "saved mine_view.png" in watching.statusBar().currentMessage(), timeout=20_000)
    for path in (files.png, files.ome_tiff, files.table, files.settings):
        assert path.stat().st_size > 0
    assert read_settings(files.settings).window == watching.canvas.where.inside
    watching.save(files.stem)
    qtbot.waitUntil(lambda: "exists already" in watching.strip.text(), timeout=20_000)


def test_the_copy_is_the_saved_picture(qtbot: QtBot, watching: ViewWindow, tmp_path: Path) -> None:
    activate(qtbot, watching)
    qtbot.keyClick(watching, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copy = QApplication.clipboard().image().convertToFormat(QImage.Format.Format_RGB888)
    files = ViewFiles(tmp_path / "mine")
    watching.save(files.stem)
    qtbot.waitUntil(lambda: "saved mine_view.png" in watching.statusBar().currentMessage(), timeout=60_000)
    assert copy.size().width() > 100
    assert copy == QImage(str(files.png)).convertToFormat(QImage.Format.Format_RGB888)


def test_a_fault_is_loud_and_says_what_to_do(qtbot: QtBot, watching: ViewWindow, microscope: Microscope) -> None:
    assert not watching.strip.isVisible()
    microscope.status(ledger=LedgerSnapshot(acquired=10, fitted=10, camera_dropped=3))
    turning(qtbot, microscope, lambda: watching.strip.isVisible())
    assert "dropped 3 frames" in watching.strip.text()
    assert "lower the frame rate" in watching.strip.text().lower()


def test_microscope_that_comes_back_is_followed_again(
    qtbot: QtBot, watching: ViewWindow, microscope: Microscope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locstream_view.following.follower.SILENT_S", 0.3)
    microscope.die_and_come_back()
    turning(qtbot, microscope, lambda: "has come from" in watching.strip.text() and watching.strip.isVisible())
    assert watching.model is not None
    assert watching.model.counted.total == 100  # the picture stays
    microscope.begin(msgspec.structs.replace(HELLO, acquisition="b" * 32, name="run-8"))
    turning(qtbot, microscope, lambda: "run-8" in watching.windowTitle())
    assert watching.model.counted.total == 0
    deadline = time.monotonic() + 20
    while watching.strip.isVisible():
        assert time.monotonic() < deadline
        microscope.status(acquisition="b" * 32)
        microscope.publisher.tend()
        qtbot.wait(20)


def test_stop_asks_twice_and_is_not_offered_from_afar(qtbot: QtBot, watching: ViewWindow) -> None:
    qtbot.waitUntil(lambda: watching.side.values["State"].text() == "acquiring", timeout=20_000)
    assert not watching.controls.stop.isEnabled()
    assert "its own computer" in watching.controls.stop.toolTip()
    watching.controls.stop.setEnabled(True)
    asked: list[bool] = []
    watching.controls.stopped.connect(lambda: asked.append(True))
    qtbot.mouseClick(watching.controls.stop, Qt.MouseButton.LeftButton)
    assert (watching.controls.stop.text(), asked) == ("Really stop?", [])
    qtbot.mouseClick(watching.controls.stop, Qt.MouseButton.LeftButton)
    assert asked == [True]
    qtbot.waitUntil(lambda: watching._answer is not None, timeout=20_000)
    assert watching._answer is not None
    assert "nobody here" in watching._answer.what


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Hello]:
    """Return an acquisition whose files grow on this computer: a frame with its number in pixel (0, 0)."""
    files = RunFiles(tmp_path / "run", "run-7")
    files.folder.mkdir()
    header = ResultsHeader(
        acquisition_id=HELLO.acquisition, name="run-7", height=48, width=64, pixel_size_nm=100.0, started_s=0.0
    )
    with LiveStackWriter(files.live_stack, 48, 64) as stack:
        for number in range(10):
            image = np.full((48, 64), 100, np.uint16)
            image[0, 0] = number
            stack.append(image, number, 1.0)
        writer = ResultsWriter(files.live_results, header)
        yield msgspec.structs.replace(HELLO, folder=str(files.folder))
        writer.close()


def test_snap_saves_the_frame_in_view(
    qtbot: QtBot, window: ViewWindow, microscope: Microscope, recorded: Hello, tmp_path: Path
) -> None:
    assert not window.controls.snap.isEnabled()
    assert window.controls.snap.toolTip() == "no camera frame is in view"
    microscope.begin(recorded)
    turning(qtbot, microscope, lambda: window.model is not None)
    microscope.spots(100)
    microscope.status()
    turning(qtbot, microscope, window.controls.snap.isEnabled)
    turning(qtbot, microscope, lambda: window._frames.frame is not None and window._frames.frame.number == 9)
    qtbot.mouseClick(window.controls.snap, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "saved camera frame 9" in window.statusBar().currentMessage(), timeout=60_000)
    with tifffile.TiffFile(tmp_path / "run" / "run-7_frame-000009.ome.tif") as tiff:
        image, ome = tiff.asarray(), tiff.ome_metadata or ""
    assert (image.dtype, image.shape, image[0, 0], image[0, 1]) == (np.uint16, (48, 64), 9, 100)
    assert 'PhysicalSizeX="0.1"' in ome
    assert 'PhysicalSizeXUnit="µm"' in ome
    activate(qtbot, window)
    qtbot.keyClick(window, Qt.Key.Key_S)
    qtbot.waitUntil(lambda: "exists already" in window.strip.text(), timeout=60_000)


def test_the_average_of_the_camera_lies_under_the_picture(
    qtbot: QtBot, window: ViewWindow, microscope: Microscope, recorded: Hello
) -> None:
    assert not window.side.under.isEnabled()
    microscope.begin(recorded)
    turning(qtbot, microscope, lambda: window.model is not None)
    microscope.spots(100)
    microscope.status()
    turning(qtbot, microscope, window.side.under.isEnabled)
    activate(qtbot, window)
    qtbot.keyClick(window, Qt.Key.Key_U)
    assert window.settings.under == "camera"
    turning(qtbot, microscope, lambda: window.redraw.drawn is not None and window.redraw.drawn.under is not None)
    model = window.model
    assert model is not None
    # nothing new comes any more: frames from before are averaged, too, and it is said of how many
    turning(qtbot, microscope, lambda: model.average is not None and model.average.frames > 5)
    turning(qtbot, microscope, lambda: "(1 frames)" not in window.side.under.text())
    assert window.side.under.isChecked()
    qtbot.mouseClick(window.side.under, Qt.MouseButton.LeftButton)
    turning(qtbot, microscope, lambda: window.redraw.drawn is not None and window.redraw.drawn.under is None)


def test_a_frame_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocstreamError, match=r"frame 3 could not be written to .*nowhere"):
        save_frame(tmp_path / "nowhere" / "x.ome.tif", np.zeros((4, 5), np.uint16), 3, 100.0, "run")


def test_depth_has_its_plot_where_there_is_depth(qtbot: QtBot, window: ViewWindow, microscope: Microscope) -> None:
    microscope.begin()
    turning(qtbot, microscope, lambda: window.model is not None)
    assert not window.side.plots["z_nm"].isVisible()
    assert not window.filters.fields["z_nm"][0].isEnabled()
    rows = np.zeros(100, LOCALIZATION_3D)
    rows["x_nm"], rows["y_nm"] = SPOT_NM
    rows["z_nm"] = np.arange(100) - 40
    microscope.publisher.end("complete", 10, "")
    deep = msgspec.structs.replace(HELLO, acquisition="d" * 32, name="deep", fields=own_fields(depth=True))
    microscope.begin(deep)
    turning(qtbot, microscope, lambda: window.model is not None and window.model.has_depth)
    microscope.publisher.batch(rows, 0, 9)
    turning(qtbot, microscope, lambda: window.side.plots["z_nm"].value == "9.5 nm")
    assert window.side.plots["z_nm"].isVisible()
    qtbot.keyClicks(window.filters.fields["z_nm"][0], "20")
    model = window.model
    assert model is not None
    turning(qtbot, microscope, lambda: model.counted.shown == 40)


@pytest.mark.parametrize(
    ("seen", "target", "line", "tip"),
    [
        (Seen("file", "x"), FileTarget(Path("x")), "a file is shown", "nothing is acquired"),
        (Seen("waiting", "x"), LiveTarget(), "–", "nothing is being acquired"),
        (Seen("following", "x", endpoints=Endpoints("tcp://m:1")), LiveTarget(), "watching only", "its own computer"),
        (Seen("following", "x", endpoints=Endpoints("ipc://s", "ipc://c")), LiveTarget(), "Stop, from here", "ends"),
        (
            Seen("following", "x", endpoints=Endpoints("tcp://m:1", "tcp://m:3")),
            LiveTarget(endpoint="tcp://m:1", keys=ClientKeys("office", KeyPair("p", "s"), "server")),
            "Stop, as office",
            "role control",
        ),
    ],
)
def test_who_is_in_control_is_said(seen: Seen, target: Target, line: str, tip: str) -> None:
    number = control(seen, target)
    assert (number.label, number.text) == ("Control", line)
    assert tip in number.tip


def test_colours_are_remembered_and_filters_are_not(qtbot: QtBot, watching: ViewWindow, tmp_path: Path) -> None:
    watching.controls.colormap.setCurrentText("viridis")
    qtbot.keyClicks(watching.filters.fields["photons"][0], "500")
    watching.close()
    again = Remembered(QSettings(str(tmp_path / "view.ini"), QSettings.Format.IniFormat))
    assert again.settings.colormap == "viridis"
    assert again.settings.filters.open
    assert again.endpoint.startswith("ipc://")
    assert again.geometry is not None


def test_what_is_remembered_may_be_of_another_version(tmp_path: Path) -> None:
    store = QSettings(str(tmp_path / "old.ini"), QSettings.Format.IniFormat)
    store.setValue("view", '{"colormap": "rainbow"}')
    assert Remembered(store).settings == ViewSettings()
    assert Remembered(store).geometry is None


def test_every_control_has_a_tooltip_and_every_key_is_listed(window: ViewWindow) -> None:
    controls = window.controls
    for widget in (
        controls.start, controls.stop, controls.snap, controls.colour_by, controls.colormap, controls.drawing,
        controls.pixel, controls.percentile, controls.lock, controls.gamma, controls.filters, controls.save,
        controls.help, *(field for pair in window.filters.fields.values() for field in pair),
    ):  # fmt: skip
        assert len(widget.toolTip()) > 10
    for key, what in SHORTCUTS:
        assert key in help_text()
        assert what in help_text()


def test_camera_frame_is_upright_and_the_ring_around_its_molecule(qtbot: QtBot) -> None:
    image = np.full((48, 64), 100, np.uint16)
    image[9:12, 49:52] = 5_000  # right of the middle, near the top
    frame = WatchedFrame(7, image, np.array([50.0]), np.array([10.0]))
    panel = RawPanel()
    qtbot.addWidget(panel)
    panel.resize(64 * 5, 48 * 5 + CAPTION)
    panel.show_frame(frame, "")
    shot = panel.grab().toImage()
    colours = np.array(
        [[shot.pixelColor(x, y).getRgb()[:3] for x in range(shot.width())] for y in range(CAPTION, shot.height())]
    )
    white = np.argwhere(colours.min(axis=2) > 240)
    orange = np.argwhere((colours[:, :, 0] > 200) & (colours[:, :, 2] < 60))
    assert white.mean(axis=0) == pytest.approx((10.5 * 5, 50.5 * 5), abs=1)
    assert orange.mean(axis=0) == pytest.approx((10.5 * 5, 50.5 * 5), abs=2)
    panel.show_frame(None, "camera frames: not available here")
    assert panel.grab().toImage() != shot


def test_last_endpoint_is_offered_again() -> None:
    words = empty_text(Seen("waiting", "an acquisition on this computer"), "tcp://microscope:5577")
    assert words[-1].endswith("locstream view tcp://microscope:5577")
    assert len(empty_text(Seen("waiting", "a stream at tcp://m:1"), "tcp://m:1")) == len(words) - 1
