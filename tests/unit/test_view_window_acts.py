"""What the window does for a user: it saves, copies, snaps, stops, starts, and remembers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tifffile

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # xcb, under Xvfb, does as well

pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
pytest.importorskip("pytestqt", reason="input events are made by pytest-qt")

from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from driven_window import (
    HELLO,
    PATIENCE_MS,
    SPOT_NM,
    Microscope,
    activate,
    microscope,
    screen_of,
    turning,
    watching,
    wheel,
    window,
)
from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream.results.file import ResultsWriter
from locstream.results.header import ResultsHeader
from locstream.stacks.live import LiveStackWriter
from locstream.stream.endpoints import Endpoints
from locstream.stream.keys import ClientKeys, KeyPair
from locstream.stream.messages import Hello, Reply
from locstream_view.following.seen import Seen
from locstream_view.following.target import FileTarget, LiveTarget, Target
from locstream_view.model.saved import ViewFiles, read_settings
from locstream_view.model.saved_frame import save_frame
from locstream_view.model.settings import ViewSettings
from locstream_view.window.remembered import Remembered
from locstream_view.window.steering import Steering, control, may_start
from locstream_view.window.window import ViewWindow


def test_saved_view_shows_the_same_part_again(qtbot: QtBot, watching: ViewWindow, tmp_path: Path) -> None:
    wheel(watching, screen_of(watching, *SPOT_NM), 8)
    qtbot.wait(100)
    files = ViewFiles(tmp_path / "mine")
    watching.save(files.stem)
    qtbot.waitUntil(lambda: "saved mine_view.png" in watching.statusBar().currentMessage(), timeout=60_000)
    for path in (files.png, files.ome_tiff, files.table, files.settings):
        assert path.stat().st_size > 0
    assert read_settings(files.settings).window == watching.canvas.where.inside
    watching.save(files.stem)
    qtbot.waitUntil(lambda: "exists already" in watching.strip.text(), timeout=60_000)


def test_the_copy_is_the_saved_picture(qtbot: QtBot, watching: ViewWindow, tmp_path: Path) -> None:
    activate(qtbot, watching)
    qtbot.keyClick(watching, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copy = QApplication.clipboard().image().convertToFormat(QImage.Format.Format_RGB888)
    files = ViewFiles(tmp_path / "mine")
    watching.save(files.stem)
    qtbot.waitUntil(lambda: "saved mine_view.png" in watching.statusBar().currentMessage(), timeout=60_000)
    assert copy.size().width() > 100
    assert copy == QImage(str(files.png)).convertToFormat(QImage.Format.Format_RGB888)


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


def test_stop_asks_twice_and_is_not_offered_from_afar(qtbot: QtBot, watching: ViewWindow) -> None:
    qtbot.waitUntil(lambda: watching.side.values["State"].text() == "acquiring", timeout=60_000)
    assert not watching.controls.stop.isEnabled()
    assert "its own computer" in watching.controls.stop.toolTip()
    watching.controls.stop.setEnabled(True)
    asked: list[bool] = []
    watching.controls.stopped.connect(lambda: asked.append(True))
    qtbot.mouseClick(watching.controls.stop, Qt.MouseButton.LeftButton)
    assert (watching.controls.stop.text(), asked) == ("Really stop?", [])
    qtbot.mouseClick(watching.controls.stop, Qt.MouseButton.LeftButton)
    assert asked == [True]
    qtbot.waitUntil(lambda: watching._answer is not None, timeout=60_000)
    assert watching._answer is not None
    assert "nobody here" in watching._answer.what


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


OFFICE = ClientKeys("office", KeyPair("p", "s"), "server")


@pytest.mark.parametrize(
    ("target", "why_not"),
    [
        (LiveTarget(endpoint="tcp://m:5577", keys=OFFICE), ""),
        (LiveTarget(endpoint="tcp://m:5577", control="tcp://m:6000"), ""),
        (LiveTarget(endpoint="tcp://m:5577"), "opened without --keys or --control"),
        (LiveTarget(), "no service runs on this computer"),
        (FileTarget(Path("x")), "a file is shown"),
    ],
)
def test_start_is_offered_where_somebody_can_be_asked(
    target: Target, why_not: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path / "run"))
    found = may_start(Seen("waiting", "x"), target)
    assert (why_not in found) if why_not else found == ""


def test_start_is_asked_for_at_the_address_with_the_key(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def ask(endpoint: str, verb: str, *, keys: ClientKeys | None) -> Reply:
        asked.append((endpoint, verb, keys))
        return Reply(id=1, ok=True, message="the acquisition starts")

    monkeypatch.setattr("locstream_view.window.steering.ask", ask)
    steering = Steering(LiveTarget(endpoint="tcp://m:5577", keys=OFFICE))
    with qtbot.waitSignal(steering.answered, timeout=PATIENCE_MS) as answer:
        steering.start()
    assert answer.args == ["the acquisition starts", True]
    assert asked == [("tcp://m:5579", "start", OFFICE)]


def test_a_folder_of_sockets_that_is_open_to_others_is_said_where_start_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(tmp_path))
    assert "is not private" in may_start(Seen("waiting", "x"), LiveTarget())
