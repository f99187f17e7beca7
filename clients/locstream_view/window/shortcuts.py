"""Keys and what the mouse does; ``?`` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from locstream_view.window.window import ViewWindow

ZOOM = 1.25
"""Of one key."""
PAN = 0.15
"""Of one arrow, in parts of the view."""

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


def connect_keys(window: ViewWindow) -> None:
    """Let the keys do what the list says."""
    canvas, controls = window.canvas, window.controls
    keys: dict[str, Callable[[], object]] = {
        "Home": canvas.show_whole,
        "Esc": lambda: canvas.frame_region(None),
        "+": lambda: canvas.zoom(ZOOM),
        "=": lambda: canvas.zoom(ZOOM),
        "-": lambda: canvas.zoom(1 / ZOOM),
        "Left": lambda: canvas.pan(-PAN, 0),
        "Right": lambda: canvas.pan(PAN, 0),
        "Up": lambda: canvas.pan(0, -PAN),
        "Down": lambda: canvas.pan(0, PAN),
        "M": lambda: controls.next_of(controls.colormap),
        "C": lambda: controls.next_of(controls.colour_by),
        "G": lambda: controls.next_of(controls.drawing),
        "U": window.side.under.click,
        "L": controls.lock.toggle,
        "F": controls.filters.toggle,
        "Ctrl+0": window.filters.everything.click,
        "S": controls.snap.click,
        "Ctrl+C": window.copy,
        "Ctrl+S": window.ask_and_save,
        "F11": lambda: window.showNormal() if window.isFullScreen() else window.showFullScreen(),
        "?": controls.help.click,
    }
    for key, what in keys.items():
        QShortcut(QKeySequence(key), window, what)


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
