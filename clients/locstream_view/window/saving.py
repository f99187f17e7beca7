"""Saves in a thread: a table of millions of rows takes its time, and the picture goes on meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from locstream.bundle.files import RunFiles
from locstream.errors import LocstreamError
from locstream_view.following.frame_watch import WatchedFrame
from locstream_view.model.model import ViewModel
from locstream_view.model.saved import picture, save_view
from locstream_view.model.saved_frame import save_frame
from locstream_view.model.settings import ViewSettings
from locstream_view.model.shown import Drawn
from locstream_view.window.image import image_of


def copied(model: ViewModel, drawn: Drawn, settings: ViewSettings, brightest: float, name: str) -> QImage:
    """Return what is seen as it is saved, with scale bar and legend, for the clipboard."""
    rgb, _ = picture(drawn, settings, brightest, model.counted.shown, name)
    return image_of(rgb)


class Saving(QObject):
    """Emits `answered` with a sentence and whether it went well."""

    answered = Signal(str, bool)

    def save(
        self, stem: Path, model: ViewModel, drawn: Drawn, settings: ViewSettings, brightest: float, name: str
    ) -> None:
        """Save what is seen under names that begin with `stem`."""

        def work() -> str:
            rows = model.kept_rows(settings.filters)
            files = save_view(stem, drawn, settings, brightest, rows, model.pixel_size_nm, name)
            return f"saved {files.png.name} and three more in {files.png.parent}"

        self._begin(work)

    def snap(self, frame: WatchedFrame, pixel_size_nm: float, files: RunFiles) -> None:
        """Save a camera frame beside its run; in the user's own folder where that may not be written."""
        folder = files.folder if os.access(files.folder, os.W_OK) else Path.home()
        path = folder / f"{files.name}_frame-{frame.number:06d}.ome.tif"

        def work() -> str:
            save_frame(path, frame.image, frame.number, pixel_size_nm, files.name)
            return f"saved camera frame {frame.number:,}: {path}"

        self._begin(work)

    def _begin(self, work: Callable[[], str]) -> None:
        def answer() -> None:
            try:
                self.answered.emit(work(), True)
            except LocstreamError as error:
                self.answered.emit(str(error), False)

        threading.Thread(target=answer, name="save").start()
