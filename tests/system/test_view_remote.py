"""The window on another computer: with keys, late, and again after the daemon has died and was started anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # xcb, under Xvfb, does as well

pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
pytest.importorskip("pytestqt", reason="the event loop is pytest-qt's")

from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from keyed_run import KeyedRun
from kill_matrix import warm_cache
from locstream.stream.keys import ClientKeys, KeyPair, Keyring, Role
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.target import LiveTarget
from locstream_view.model.settings import Filters, ViewSettings
from locstream_view.window.window import ViewWindow
from own_keys import keys_of

pytestmark = pytest.mark.system

PATIENCE_MS = 120_000
Open = Callable[[str, ClientKeys], ViewWindow]


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    warm_cache()  # else the first run may spend its patience on compiling


@pytest.fixture
def open_window(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return a function that opens a window as on another computer: the files of the run are not at hand."""
    monkeypatch.setattr("locstream_view.following.follower.files_here", lambda hello: None)
    opened: list[ViewWindow] = []

    def open_one(stream: str, keys: ClientKeys) -> ViewWindow:
        follower = Follower(LiveTarget(endpoint=stream, keys=keys))
        frames = FrameWatch(lambda: follower.seen)
        window = ViewWindow(follower, frames, ViewSettings(), None)
        opened.append(window)
        follower.start()
        frames.start()
        with qtbot.waitExposed(window):
            window.show()
        return window

    yield open_one
    for window in filter(isValid, opened):
        window.close()


def total(window: ViewWindow) -> int:
    return window.model.counted.total if window.model is not None else 0


def whole(window: ViewWindow, rows: int) -> None:
    """See that the first `rows` rows of a run are in the picture, each once."""
    model = window.model
    assert model is not None
    frames = model.kept_rows(Filters())["frame"]
    assert len(frames) >= rows
    assert window._follower.seen.missing_rows == 0
    assert (frames[1:] >= frames[:-1]).all()
    assert frames[0] < 10


def test_late_with_a_key_and_again_after_a_restart(
    qtbot: QtBot, keyring: Keyring, open_window: Open, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with KeyedRun(tmp_path / "one", keyring) as run:
        keys = run.keys("office")
        run.wait_for_frames(100)  # late, on purpose
        window = open_window(run.stream, keys)
        qtbot.waitUntil(lambda: total(window) > 800, timeout=PATIENCE_MS)
        whole(window, 800)
        qtbot.waitUntil(lambda: window.side.values["State"].text() == "acquiring", timeout=PATIENCE_MS)
        assert window.side.values["Control"].text() == "Stop, as office"
        qtbot.waitUntil(lambda: "not available here" in window.side.raw._why, timeout=PATIENCE_MS)
        stream = run.stream
    # killed, not stopped
    qtbot.waitUntil(
        lambda: window.strip.isVisible() and "nothing has come" in window.strip.text().lower(), timeout=PATIENCE_MS
    )
    assert total(window) > 800
    before = window.model
    with KeyedRun(tmp_path / "two", keyring, listen=f'"{stream}"\nkeys = true') as run:
        qtbot.waitUntil(lambda: window.model is not before and total(window) > 100, timeout=PATIENCE_MS)
        whole(window, 100)
        qtbot.waitUntil(lambda: not window.strip.isVisible(), timeout=PATIENCE_MS)


def test_who_may_only_view_cannot_stop_and_who_has_control_can(
    qtbot: QtBot, keyring: Keyring, open_window: Open, tmp_path: Path
) -> None:
    with KeyedRun(tmp_path, keyring) as run:
        viewer, boss = run.keys("office"), run.keys("boss", Role.CONTROL)
        run.wait_for_frames(20)
        window = open_window(run.stream, viewer)
        qtbot.waitUntil(window.controls.stop.isEnabled, timeout=PATIENCE_MS)
        window._steering.stop(window._follower.seen)
        qtbot.waitUntil(lambda: "refused" in window.strip.text(), timeout=PATIENCE_MS)
        assert run.process.poll() is None
        window.close()
        window = open_window(run.stream, boss)
        qtbot.waitUntil(window.controls.stop.isEnabled, timeout=PATIENCE_MS)
        window._steering.stop(window._follower.seen)
        qtbot.waitUntil(lambda: window._follower.seen.phase == "ended", timeout=PATIENCE_MS)
        end = window._follower.seen.end
        assert end is not None
        assert end.outcome == "stopped"
        run.finish()
        assert total(window) == end.rows


def test_a_key_that_is_refused_is_told(qtbot: QtBot, keyring: Keyring, open_window: Open, tmp_path: Path) -> None:
    stranger = Keyring(tmp_path / "elsewhere")
    stranger.server()
    made = keys_of(stranger, "stranger")
    keys = ClientKeys("stranger", KeyPair(made.pair.public, made.pair.secret), keyring.server().public)
    (tmp_path / "run").mkdir()
    with KeyedRun(tmp_path / "run", keyring) as run:
        run.wait_for_frames(1)
        window = open_window(run.stream, keys)
        qtbot.waitUntil(lambda: "refused this computer's key" in window.strip.text(), timeout=PATIENCE_MS)
        assert window.model is None
