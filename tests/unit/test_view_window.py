"""The window with real input events: wheel, drag, keys, typed filters, a region, a fault, connecting again."""

from __future__ import annotations

import os
import time

import msgspec
import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # xcb, under Xvfb, does as well

pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
pytest.importorskip("pytestqt", reason="input events are made by pytest-qt")

from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from driven_window import (
    HELLO,
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
from locstream.localizations import LOCALIZATION_3D
from locstream.results.ledger import LedgerSnapshot
from locstream.stream.messages import own_fields
from locstream_view.following.frame_watch import WatchedFrame
from locstream_view.following.seen import Seen
from locstream_view.window.raw_panel import CAPTION, RawPanel
from locstream_view.window.shortcuts import SHORTCUTS, help_text
from locstream_view.window.texts import empty_text
from locstream_view.window.window import ViewWindow


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
    qtbot.waitUntil(lambda: watching.position.text() != "", timeout=60_000)
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
    deadline = time.monotonic() + 60
    while watching.strip.isVisible():
        assert time.monotonic() < deadline
        microscope.status(acquisition="b" * 32)
        microscope.publisher.tend()
        qtbot.wait(20)


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
