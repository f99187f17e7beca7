"""Saves a view in a thread: a table of millions of rows takes its time, and the picture goes on meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from locstream.errors import LocstreamError
from locstream_view.model.model import ViewModel
from locstream_view.model.saved import save_view
from locstream_view.model.settings import ViewSettings
from locstream_view.model.shown import Drawn


class Saving(QObject):
    """Emits `answered` with a sentence and whether it went well."""

    answered = Signal(str, bool)

    def save(
        self, stem: Path, model: ViewModel, drawn: Drawn, settings: ViewSettings, brightest: float, name: str
    ) -> None:
        """Save what is seen under names that begin with `stem`."""

        def work() -> None:
            try:
                rows = model.kept_rows(settings.filters)
                files = save_view(stem, drawn, settings, brightest, rows, model.pixel_size_nm, name)
                self.answered.emit(f"saved {files.png.name} and three more in {files.png.parent}", True)
            except LocstreamError as error:
                self.answered.emit(str(error), False)

        threading.Thread(target=work, name="save").start()
