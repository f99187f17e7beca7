"""Colours and lettering: dark, as the room is, and told apart by every eye (Okabe and Ito's palette)."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

BACKGROUND = QColor("#17191c")
PANEL = QColor("#1f2226")
LINE = QColor("#3a3f45")
TEXT = QColor("#e6e6e6")
FAINT = QColor("#9aa0a6")
SKY = QColor("#56b4e9")
ORANGE = QColor("#e69f00")
VERMILLION = QColor("#d55e00")

SHEET = """
QWidget { color: #e6e6e6; font-size: 12px; }
QMainWindow, #side, #filters { background: #17191c; }
QToolBar { background: #1f2226; border: 0; padding: 3px 4px; spacing: 4px; }
QToolTip { color: #111; background: #f5f1c8; border: 1px solid #888; }
QLabel[faint="true"] { color: #9aa0a6; }
QLabel[heading="true"] { color: #9aa0a6; font-size: 11px; font-weight: bold; }
QDoubleSpinBox { background: #2a2e33; }
QPushButton, QToolButton, QComboBox, QLineEdit {
  background: #2a2e33; border: 1px solid #3a3f45; border-radius: 3px; padding: 3px 6px; min-height: 17px; }
QPushButton:hover, QToolButton:hover, QComboBox:hover { border-color: #56b4e9; }
QPushButton:disabled, QToolButton:disabled { color: #6a7076; }
QPushButton:checked, QToolButton:checked { background: #1d4f6b; border-color: #56b4e9; }
QLineEdit:focus { border-color: #56b4e9; }
QComboBox QAbstractItemView { background: #2a2e33; selection-background-color: #1d4f6b; }
QStatusBar { background: #1f2226; }
QStatusBar::item { border: 0; }
"""


def dress(application: QApplication) -> None:
    """Give the whole application its colours."""
    application.setStyle("Fusion")
    palette = QPalette()
    for role, colour in (
        (QPalette.ColorRole.Window, BACKGROUND),
        (QPalette.ColorRole.Base, PANEL),
        (QPalette.ColorRole.Button, PANEL),
        (QPalette.ColorRole.WindowText, TEXT),
        (QPalette.ColorRole.Text, TEXT),
        (QPalette.ColorRole.ButtonText, TEXT),
        (QPalette.ColorRole.Highlight, SKY),
    ):
        palette.setColor(role, colour)
    application.setPalette(palette)
    application.setStyleSheet(SHEET)
