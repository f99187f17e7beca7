"""The loud strip: what is wrong, and what to do. Not there where all is well."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy

from locstream_view.following.notices import Notice
from locstream_view.window.style import ORANGE, VERMILLION

MOST = 3


class Strip(QLabel):
    """Shows the worst notices; the words say it, the colour only helps."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.hide()

    def show_notices(self, found: Sequence[Notice]) -> None:
        """Show notices, the worst first."""
        self.setVisible(bool(found))
        if not found:
            return
        wrong = found[0].severity == "wrong"
        lines = [_line(notice) for notice in found[:MOST]]
        if len(found) > MOST:
            lines.append(f"and {len(found) - MOST} more")
        self.setText("\n".join(lines))
        colours = (
            f"background: {VERMILLION.name()}; color: white" if wrong else f"background: {ORANGE.name()}; color: #111"
        )
        self.setStyleSheet(f"{colours}; padding: 7px 12px; font-size: 13px; font-weight: 600;")


def _line(notice: Notice) -> str:
    mark = "FAULT" if notice.severity == "wrong" else "NOTE"
    what = notice.what[:1].upper() + notice.what[1:]
    return f"{mark}  {what}." + (f"  {notice.todo[:1].upper() + notice.todo[1:]}." if notice.todo else "")
