#!/usr/bin/env python3
"""Make docs/images/view-*.png: the window beside a running demo, at the moments the documentation shows.

    python docs/view_pictures.py [FOLDER]

Needs the extras ``demo`` and ``viewer``, no screen, and about a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PIL import Image
from PySide6.QtCore import qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.target import LiveTarget
from locstream_view.model.settings import Filters, Range, ViewSettings, Window
from locstream_view.window.style import dress
from locstream_view.window.window import ViewWindow

IMAGES = Path(__file__).resolve().parent / "images"
SIZE = 1120, 720


class Pictures:
    """Drives one window, and takes its picture."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._application = QApplication([])
        dress(self._application)
        self.follower = Follower(LiveTarget())
        self._frames = FrameWatch(lambda: self.follower.seen)
        self.window = ViewWindow(self.follower, self._frames, ViewSettings(), None)
        self.window.resize(*SIZE)
        self.window.show()
        self.follower.start()
        self._frames.start()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let the window live for a while, or until something is so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            self._application.processEvents()
            time.sleep(0.005)

    def take(self, name: str) -> None:
        """Save what the window shows as view-NAME.png."""
        self.run(1.5)
        path = self._folder / f"view-{name}.png"
        self.window.grab().save(str(path))
        with Image.open(path) as image:
            # 256 colours that also cover the rare ones, as those of a legend
            method = Image.Quantize.MAXCOVERAGE
            image.convert("RGB").quantize(256, method, kmeans=3, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path} {path.stat().st_size / 1000:.0f} kB")


def main(folder: Path) -> None:
    """Take every picture."""
    with tempfile.TemporaryDirectory(prefix="ls-") as runtime:
        os.environ["LOCSTREAM_RUNTIME_DIR"] = runtime
        pictures = Pictures(folder)
        pictures.take("waiting")
        demo = subprocess.Popen(
            [Path(sys.executable).parent / "locstream", "demo", "--frames", "100000", "--fps", "100"],
            stdout=subprocess.DEVNULL,
            cwd=runtime,
        )
        try:
            _beside(pictures)
        finally:
            demo.kill()
            demo.wait()
        pictures.run(30, lambda: pictures.window.strip.isVisible())
        pictures.take("fault")
        pictures.window.close()


def _beside(pictures: Pictures) -> None:
    """Take the pictures of a running acquisition."""
    window = pictures.window

    def frames(number: int) -> Callable[[], bool]:
        return lambda: window.model is not None and window.model.last_frame >= number

    for name, number in (("live-1", 150), ("live-2", 800), ("live-3", 3_000)):
        pictures.run(120, frames(number))
        pictures.take(name)
    window.canvas.show_window(Window(7_600.0, 4_600.0, 6_000.0, 4_800.0))
    pictures.take("zoomed")
    window.controls.colour_by.setCurrentText("time")
    window.canvas.show_window(Window(12_000.0, 14_000.0, 3_000.0, 2_400.0))
    pictures.take("time")
    window.canvas.show_whole()
    window.controls.colour_by.setCurrentText("density")
    window.side.under.click()
    pictures.take("average")
    window.side.under.click()
    window.controls.colormap.setCurrentText("magma")
    window.controls.filters.setChecked(True)
    window.filters.set_filters(Filters(photons=Range(low=600), precision_nm=Range(high=12)))
    window.canvas.frame_region(Window(10_500.0, 8_500.0, 8_000.0, 8_000.0))
    pictures.take("filtered")
    window.filters.set_filters(Filters())
    window.canvas.frame_region(None)
    window.controls.filters.setChecked(False)
    window.controls.colormap.setCurrentText("hot")


if __name__ == "__main__":
    qInstallMessageHandler(lambda *_: None)
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
