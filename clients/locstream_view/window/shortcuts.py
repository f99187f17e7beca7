"""Keys and what the mouse does; ``?`` lists them."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget

SHORTCUTS = (
    ("Wheel", "zoom at the cursor"),
    ("Drag", "move"),
    ("Double-click, Home", "show the whole field"),
    ("Shift + drag", "a region: its numbers and a close-up; Esc takes it away"),
    ("+  −", "zoom at the middle"),
    ("Arrows", "move"),
    ("M", "next colours"),
    ("C", "colour by density, time, depth"),
    ("G", "counts, Gaussians, or by the zoom"),
    ("U", "the average of the camera frames under the picture"),
    ("L", "lock the contrast"),
    ("F", "filters"),
    ("Ctrl+0", "show everything: take all filters away"),
    ("S", "snap: save the camera frame in view"),
    ("Ctrl+C", "copy the picture, with scale bar and legend"),
    ("Ctrl+S", "save the view: PNG, OME-TIFF, table, settings"),
    ("F11", "full screen"),
    ("?", "this list"),
)


def help_text() -> str:
    """Return the list as rich text."""
    rows = "".join(
        f"<tr><td style='padding-right:18px'><b>{key}</b></td><td>{what}</td></tr>" for key, what in SHORTCUTS
    )
    return f"<table cellpadding='3'>{rows}</table>"


def show_help(parent: QWidget) -> QMessageBox:
    """Show the list; the window stays usable."""
    box = QMessageBox(parent)
    box.setWindowTitle("locstream view: keys")
    box.setText(help_text())
    box.setModal(False)
    box.show()
    return box
