"""What the window remembers until the next time: its place, colours, contrast, and what was followed last."""

from __future__ import annotations

from pydantic import ValidationError
from PySide6.QtCore import QByteArray, QSettings

from locstream_view.model.settings import Filters, ViewSettings


class Remembered:
    """Kept in the user's own settings. What cannot be read any more is as if it had never been there.

    Parameters
    ----------
    store
        Where; the user's own by default.
    """

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store or QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "locstream", "view")

    @property
    def settings(self) -> ViewSettings:
        """The view of last time: without its filters and window, which belong to one sample."""
        text = self._store.value("view", "")
        try:
            return ViewSettings.model_validate_json(str(text)) if text else ViewSettings()
        except ValidationError:
            return ViewSettings()

    @property
    def geometry(self) -> QByteArray | None:
        """Place and size of the window."""
        found = self._store.value("geometry")
        return found if isinstance(found, QByteArray) else None

    @property
    def endpoint(self) -> str:
        """The endpoint that was followed last, "" for none."""
        return str(self._store.value("endpoint", ""))

    def keep(self, settings: ViewSettings, geometry: QByteArray, endpoint: str) -> None:
        """Remember."""
        general = settings.model_copy(update={"filters": Filters(), "window": None, "brightest_per_um2": None})
        self._store.setValue("view", general.model_dump_json())
        self._store.setValue("geometry", geometry)
        self._store.setValue("endpoint", endpoint)
        self._store.sync()
