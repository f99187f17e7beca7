"""The window's own tests once more, on a screen and through OpenGL: the others have Qt's offscreen platform only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from virtual_screen import virtual_screen

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
FILES = tuple(f"tests/unit/test_view_{part}.py" for part in ("surfaces", "window", "window_acts"))


def test_the_window_through_opengl() -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="the window needs PySide6 and its libraries", exc_type=ImportError)
    pytest.importorskip("pytestqt", reason="input events are made by pytest-qt")
    pytest.importorskip("vispy", reason="OpenGL goes through vispy")
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES]
    with virtual_screen() as display:
        environment = os.environ | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "LOCSTREAM_TEST_OPENGL": "yes"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout
