"""`locstream view` beside real acquisitions: every row of the file, a kill and the next run, pictures of the window."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locstream.results.reader import ResultsReader
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.target import LiveTarget
from locstream_view.model.settings import Filters
from virtual_screen import virtual_screen

pytestmark = pytest.mark.system

COMPILED_S = 240.0
"""Until the first frame: workers may have to compile their kernels, on a machine that does other things, too."""
SMALL = ("--size", "64", "--fps", "100", "--workers", "1")


def results_in(folder: Path) -> Path:
    return next(folder.glob("demo-output/*/*_locs.hdf5"))


@pytest.fixture
def here(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find what the spawned ones announce."""
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", runtime)


@pytest.mark.usefixtures("here")
def test_late_window_has_every_row_of_the_file(
    locstream: Callable[..., object], wait_until: Callable[..., None], tmp_path: Path
) -> None:
    demo = locstream("demo", "--frames", "500", *SMALL)
    live = LiveTarget()
    wait_until(lambda: live.look() is not None, COMPILED_S, "the acquisition")
    wait_until(lambda: any(tmp_path.glob("demo-output/*/*.live.tif")), COMPILED_S, "the first frames")
    time.sleep(1.0)  # late, on purpose
    follower = Follower(live)
    frames = FrameWatch(lambda: follower.seen)
    follower.start()
    frames.start()
    try:
        wait_until(lambda: frames.frame is not None, what="a camera frame")
        wait_until(lambda: follower.seen.phase == "ended", what="the end")
        seen, frame = follower.seen, frames.frame
        assert demo.finish() == 0, demo.err
        assert seen.end is not None
        assert seen.model is not None
        assert frame is not None
        with ResultsReader(results_in(tmp_path)) as reader:
            stored = reader.rows()
        assert seen.missing_rows == 0
        assert seen.model.counted.total == len(stored) == seen.end.rows
        kept = seen.model.kept_rows(Filters())
        np.testing.assert_array_equal(kept["frame"], stored["frame"])
        np.testing.assert_allclose(kept["x_nm"], stored["x_nm"], atol=0.02)
        assert frame.image.shape == (64, 64)
    finally:
        frames.close()
        follower.close()


@pytest.mark.usefixtures("here")
def test_a_killed_run_is_told_and_the_next_is_followed(
    locstream: Callable[..., object], wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locstream_view.following.follower.SILENT_S", 1.5)
    follower = Follower(LiveTarget())
    follower.start()
    try:
        first = locstream("demo", "--frames", "100000", *SMALL)
        wait_until(lambda: follower.seen.status is not None, COMPILED_S, "the first run")
        before = follower.seen.hello
        first.process.send_signal(signal.SIGKILL)
        wait_until(lambda: follower.seen.phase == "silent", what="the silence")
        locstream("demo", "--frames", "100000", *SMALL)
        wait_until(
            lambda: follower.seen.phase == "following" and follower.seen.hello is not before, what="the second run"
        )
    finally:
        follower.close()


@pytest.mark.usefixtures("here")
def test_stop_ends_the_camera(locstream: Callable[..., object], wait_until: Callable[..., None]) -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
    from locstream_view.window.steering import Steering, may_start, may_stop

    demo = locstream("demo", "--frames", "100000", *SMALL)
    follower = Follower(LiveTarget())
    steering = Steering(follower.target)
    follower.start()
    try:
        wait_until(lambda: follower.seen.status is not None and follower.seen.status.state == "acquiring", COMPILED_S)
        assert may_stop(follower.seen) == ""
        assert may_start(follower.seen, follower.target) == "an acquisition is running"
        steering.stop(follower.seen)
        wait_until(lambda: follower.seen.end is not None, what="the end")
        assert follower.seen.end is not None
        assert follower.seen.end.outcome == "stopped"
        assert demo.finish() == 0, demo.err
    finally:
        follower.close()


def shoot(locstream: Callable[..., object], folder: Path, name: str, *arguments: str) -> np.ndarray:
    path = folder / name
    view = locstream("view", *arguments, "--screenshot", str(path), "--after", "3", "--size", "900x600")
    assert view.finish() == 0, view.err
    assert "Error" not in view.err
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_pictures_of_the_window_without_a_screen_and_with_opengl_are_the_same(
    locstream: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)  # the tests of the window set it for all that follow
    demo = locstream("demo", "--frames", "150", *SMALL)
    assert demo.finish() == 0, demo.err
    path = str(results_in(tmp_path))
    plain = shoot(locstream, tmp_path, "plain.png", path)
    assert plain.shape == (600, 900, 3)
    canvas = (slice(60, 500), slice(5, 560))
    assert (plain[canvas].max(axis=2) > 150).sum() > 50  # molecules
    pytest.importorskip("vispy", reason="OpenGL goes through vispy")
    with virtual_screen() as display:
        monkeypatch.setenv("DISPLAY", display)
        with_gl = shoot(locstream, tmp_path, "gl.png", path, "--gl", "on")
    np.testing.assert_allclose(with_gl[canvas], plain[canvas], atol=3)


def test_opengl_that_was_asked_for_and_is_not_there_is_told(
    locstream: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    view = locstream("view", "--screenshot", str(tmp_path / "x.png"), "--gl", "on")
    assert view.finish() == 1
    assert "OpenGL does not work on this screen" in view.err


def test_without_the_extra_it_says_how_to_get_it(
    locstream: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locstream_view.command.NEEDED", ("a_package_that_is_not_there",))
    from locstream.errors import LocstreamError
    from locstream_view.command import command

    with pytest.raises(LocstreamError, match="a_package_that_is_not_there") as caught:
        command([])
    assert "locstream[viewer]" in caught.value.todo
