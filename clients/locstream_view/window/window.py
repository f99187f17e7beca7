"""The window: puts the parts together, and passes on what they say. One timer draws."""

from __future__ import annotations

import math
import time
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QLabel, QMainWindow, QVBoxLayout, QWidget

from locstream.rendering.scale_bar import length_label
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.notices import Notice, notices
from locstream_view.following.numbers import numbers
from locstream_view.following.seen import Seen
from locstream_view.following.target import LiveTarget
from locstream_view.model.model import Counted, ViewModel
from locstream_view.model.settings import Filters, ViewSettings, Window
from locstream_view.window.canvas import Canvas
from locstream_view.window.controls import Controls
from locstream_view.window.filters_panel import FiltersPanel
from locstream_view.window.redraw import Redraw
from locstream_view.window.remembered import Remembered
from locstream_view.window.saving import Saving, copied
from locstream_view.window.shortcuts import connect_keys, show_help
from locstream_view.window.side import Side
from locstream_view.window.steering import Steering, control, may_start, may_stop
from locstream_view.window.strip import Strip
from locstream_view.window.texts import counts_text, empty_text, region_text

TURN_MS = 30
NUMBERS_EVERY_S = 0.5
NO_FIELD = Window(0.0, 0.0, 1.0, 1.0)
BROKEN = Notice(
    "wrong",
    "this window no longer receives anything",
    "close it and open it again; please report the text in its terminal",
)
ANSWER_S = 8.0
"""How long the answer to a button stays."""


class ViewWindow(QMainWindow):
    """Shows what a `Follower` has seen.

    Parameters
    ----------
    follower, frames
        Started threads; the window closes them with itself.
    settings
        How it is seen at first.
    remembered
        Where it is kept for the next time; None not to.
    gl
        Draw through OpenGL, which must work here.
    """

    def __init__(
        self,
        follower: Follower,
        frames: FrameWatch,
        settings: ViewSettings,
        remembered: Remembered | None,
        *,
        gl: bool = False,
    ) -> None:
        super().__init__()
        self.setWindowTitle("locstream view")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)  # see `GlSurface`
        self.settings = settings
        self.model: ViewModel | None = None
        self._follower, self._frames, self._remembered = follower, frames, remembered
        self._numbers_at = self._answer_until = self._region_at = 0.0
        self._answer: Notice | None = None
        self._steering = Steering(follower.target)
        self._steering.answered.connect(self._show_answer)
        self._saving = Saving()
        self._saving.answered.connect(self._show_answer)
        self._build(gl=gl)
        self._connect()
        self.controls.show_settings(settings)
        self.filters.set_filters(settings.filters)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.turn)
        self._timer.start(TURN_MS)
        self.turn()

    def _build(self, *, gl: bool) -> None:
        self.controls, self.strip, self.side = Controls(), Strip(), Side()
        self.canvas, self.filters = Canvas(NO_FIELD, gl=gl), FiltersPanel()
        self.redraw = Redraw(self.canvas)
        self.addToolBar(self.controls)
        middle = QHBoxLayout()
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(0)
        for widget, stretch in ((self.filters, 0), (self.canvas, 1), (self.side, 0)):
            middle.addWidget(widget, stretch)
        self.filters.hide()
        column = QVBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.strip)
        column.addLayout(middle, 1)
        central = QWidget()
        central.setLayout(column)
        self.setCentralWidget(central)
        self.position, self.how = QLabel(""), QLabel("")
        self.position.setToolTip("under the cursor, from the centre of camera pixel (0, 0): x to the right, y down")
        self.how.setToolTip("how the picture is drawn, and what a pixel of the screen is in the sample")
        self.statusBar().addWidget(self.position, 1)
        self.statusBar().addPermanentWidget(self.how)

    def _connect(self) -> None:
        self.controls.changed.connect(self._change)
        self.controls.locked.connect(self._lock)
        self.controls.started.connect(self._steering.start)
        self.controls.stopped.connect(lambda: self._steering.stop(self._follower.seen))
        self.controls.snapped.connect(self._snap)
        self.controls.saved.connect(self.ask_and_save)
        self.controls.asked.connect(lambda: show_help(self))
        self.controls.filtering.connect(self.filters.setVisible)
        self.filters.chosen.connect(self._filter)
        self.side.under.clicked.connect(lambda held: self._set(under="camera" if held else "nothing"))
        self.canvas.pointed.connect(self._point)
        self.canvas.framed.connect(self._show_region)
        connect_keys(self)

    def turn(self) -> None:
        """Look at what has been seen; draw and show what has changed."""
        seen = self._follower.seen
        if seen.model is not self.model:
            self._take_model(seen.model)
        now = time.monotonic()
        if self.model is not None and self.redraw.turn(self.model, self.settings):
            self.how.setText(f"{self.redraw.words}  ·  screen {length_label(self.canvas.where.nm_per_px)}/px")
        if now - self._numbers_at >= NUMBERS_EVERY_S:
            self._numbers_at = now
            self._show_numbers(seen)

    def _take_model(self, model: ViewModel | None) -> None:
        """Another acquisition has begun: another picture."""
        self.model = model
        self._numbers_at = 0.0
        if model is None:
            return
        self.canvas.set_field(model.field)
        if self.settings.window is not None:
            self.canvas.show_window(self.settings.window)
        self.controls.set_levels(model.levels_nm, has_depth=model.has_depth)
        self.filters.show_depth(model.has_depth)
        model.choose(self.settings.filters, self.settings.colour_by)
        self.redraw.want()

    def _show_numbers(self, seen: Seen) -> None:
        counted = self.model.counted if self.model is not None else Counted()
        self.side.show_numbers([*numbers(seen, counted), control(seen, self._follower.target)])
        if self.model is not None:
            self.side.show_model(self.model, self.settings.filters)
        self.side.raw.show_frame(self._frames.frame, self._frames.why)
        self.side.show_average(self.model, under=self.settings.under == "camera")
        self.filters.counts.setText(counts_text(counted))
        if time.monotonic() >= self._region_at:
            self._show_region(self.canvas.overlay.region)
        target = self._follower.target
        snap = "" if self._snappable(seen) else "no camera frame is in view"
        self.controls.permit(start=may_start(seen, target), stop=may_stop(seen), snap=snap)
        self.setWindowTitle(f"{seen.words} – locstream view" if seen.model is not None else "locstream view")
        last = self._remembered.endpoint if self._remembered is not None else ""
        self.canvas.overlay.empty = () if self.model is not None else empty_text(seen, last)
        if self.model is None:
            self.canvas.overlay.update()
        answer = [self._answer] if self._answer is not None and time.monotonic() < self._answer_until else []
        broken = [BROKEN] if self._follower.ident is not None and not self._follower.is_alive() else []
        self.strip.show_notices([*broken, *answer, *notices(seen)])

    def _change(self, settings: ViewSettings) -> None:
        """Take what the controls say; filters and contrast lock are this window's."""
        self.settings = settings
        if self.model is not None:
            self.model.choose(settings.filters, settings.colour_by)
        self.controls.show_settings(settings)
        self.redraw.want()

    def _set(self, **update: object) -> None:
        self._change(self.settings.model_copy(update=update))

    def _lock(self, held: bool) -> None:
        self._set(brightest_per_um2=self.redraw.brightest if held and self.redraw.drawn is not None else None)

    def _filter(self, filters: Filters) -> None:
        self._set(filters=filters)

    def _point(self, x_nm: float, y_nm: float) -> None:
        if math.isnan(x_nm) or self.model is None:
            self.position.setText("")
            return
        pixel = self.model.pixel_size_nm
        column, row = x_nm / pixel, y_nm / pixel
        self.position.setText(
            f"x {x_nm / 1000:.3f} µm   y {y_nm / 1000:.3f} µm   ·   camera pixel {column:.1f}, {row:.1f}"
        )

    def _show_region(self, window: Window | None) -> None:
        began = time.monotonic()
        self.filters.region.setText(region_text(self.model, window))
        self.filters.close_up.show_region(self.model, window, self.settings)
        # A region of millions of rows is counted less often, so that the mouse never waits for it.
        self._region_at = time.monotonic() + 20 * (time.monotonic() - began)
        if window is not None and not self.filters.isVisible() and self.isVisible():
            self.controls.filters.setChecked(True)

    def _show_answer(self, text: str, good: bool) -> None:
        """Show the answer to a button: what went well quietly below, what did not in the strip."""
        if good:
            self.statusBar().showMessage(text, int(1000 * ANSWER_S))
            return
        self._answer = Notice("wrong", text.replace("\n", " "), "")
        self._answer_until = time.monotonic() + ANSWER_S
        self._numbers_at = 0.0

    @property
    def whole_settings(self) -> ViewSettings:
        """The settings with the part of the sample that is shown."""
        window = None if self.canvas.shows_whole else self.canvas.where.inside
        return self.settings.model_copy(update={"window": window})

    def ask_and_save(self) -> None:
        """Ask where, and save what is seen."""
        seen = self._follower.seen
        name = Path(seen.words).name.removesuffix("_locs.hdf5")
        folder = seen.files.folder if seen.files is not None else Path.home()
        start = folder / f"{name}-{time.strftime('%H%M%S')}"
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the view: what the files' names begin with", str(start))
        if chosen:
            self.save(Path(chosen))

    def save(self, stem: Path) -> None:
        """Save what is seen under names that begin with `stem`; the strip says how it went."""
        drawn = self.redraw.drawn
        if self.model is None or drawn is None:
            self._show_answer("there is no picture to save yet", False)
            return
        self._show_answer(f"saving {stem.name} …", True)
        name = Path(self._follower.seen.words).name
        self._saving.save(stem, self.model, drawn, self.whole_settings, self.redraw.brightest, name)

    def copy(self) -> None:
        """Put what is seen on the clipboard."""
        if self.model is not None and self.redraw.drawn is not None:
            name = Path(self._follower.seen.words).name
            image = copied(self.model, self.redraw.drawn, self.whole_settings, self.redraw.brightest, name)
            QApplication.clipboard().setImage(image)
            self._show_answer("the picture is on the clipboard", True)

    def _snappable(self, seen: Seen) -> bool:
        return self._frames.frame is not None and seen.model is not None and seen.files is not None

    def _snap(self) -> None:
        """Save the camera frame in view."""
        seen, frame = self._follower.seen, self._frames.frame
        if frame is not None and seen.model is not None and seen.files is not None:
            self._saving.snap(frame, seen.model.pixel_size_nm, seen.files)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember, and end the threads."""
        self._timer.stop()
        if self._remembered is not None:
            target = self._follower.target
            endpoint = target.endpoint if isinstance(target, LiveTarget) else ""
            self._remembered.keep(self.settings, self.saveGeometry(), endpoint)
        self._frames.close()
        self._follower.close()
        event.accept()
