"""The bar of controls: how the picture is drawn, start and stop, save, help."""

from __future__ import annotations

from typing import Any, cast

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QPushButton, QSizePolicy, QToolBar, QWidget

from locstream_view.model.settings import ViewSettings

COLORMAPS = ("hot", "magma", "viridis", "gray", "cyan", "magenta")
SAFE = "magma, viridis and gray are even and safe for colour-blind eyes"
SURE_MS = 3_000
NUMBER_PX = 76
START = "have the service (locstream serve) begin an acquisition"
STOP = "stop the camera; what was taken is still fitted (asks twice)"
SNAP = "save the camera frame in view, as the camera gave it: 16-bit OME-TIFF beside the run (S)"


class Controls(QToolBar):
    """Emits `changed` with the settings it makes of those it has.

    Signals
    -------
    changed
        `ViewSettings`.
    locked
        Contrast is to be held, or set free.
    started, stopped, snapped, saved, asked, filtering
        Buttons; `filtering` with whether the filters are to be seen.
    """

    changed = Signal(object)
    locked = Signal(bool)
    started = Signal()
    stopped = Signal()
    snapped = Signal()
    saved = Signal()
    asked = Signal()
    filtering = Signal(bool)

    def __init__(self) -> None:
        super().__init__("controls")
        self.setMovable(False)
        self.settings = ViewSettings()
        self._showing = False
        self.start = self._button("Start", START, self.started)
        self.stop = self._button("Stop", STOP)
        self.stop.clicked.connect(self._stop_clicked)
        self.snap = self._button("Snap", SNAP, self.snapped)
        self.addSeparator()
        self.colour_by = self._choice(
            "Colour", ("density", "time", "depth"), 76, "what the colour says: how many, when, how deep"
        )
        self.colormap = self._choice("Map", COLORMAPS, 82, f"colours of the density (M): {SAFE}")
        self.drawing = self._choice(
            "Draw",
            ("auto", "counts", "gaussians"),
            90,
            "counts per pixel, Gaussians as wide as each precision, or by the zoom (G)",
        )
        self.pixel = self._choice("Pixel", (), 72, "pixel of the picture where counts are drawn, nm")
        self.percentile = self._number(
            "Contrast", 50, 100, 0.1, 2, " %", "percentile of the filled pixels that is shown brightest"
        )
        self.lock = self._button("Lock", "hold the contrast at every zoom, in localizations per µm² (L)", check=True)
        self.lock.toggled.connect(self._lock_toggled)
        self.gamma = self._number("Gamma", 0.1, 3, 0.1, 2, "", "exponent of the display; below 1 lifts what is faint")
        spacer = QWidget()
        spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(spacer)
        self.filters = self._button("Filters", "show only some localizations; numbers of a region (F)", check=True)
        self.filters.toggled.connect(self.filtering)
        self.save = self._button("Save view", "PNG, OME-TIFF, table and settings of what is seen (Ctrl+S)", self.saved)
        self.help = self._button("?", "keys and what the mouse does (?)", self.asked)

    def _button(self, text: str, tip: str, signal: Any = None, *, check: bool = False) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setCheckable(check)
        if signal is not None:
            button.clicked.connect(lambda: signal.emit())
        self.addWidget(button)
        return button

    def _choice(self, label: str, choices: tuple[str, ...], width: int, tip: str) -> QComboBox:
        box = QComboBox()
        box.setFixedWidth(width)
        box.addItems(choices)
        box.setToolTip(tip)
        box.currentIndexChanged.connect(self._emit)
        self._labelled(label, box)
        return box

    def _number(
        self, label: str, low: float, high: float, step: float, decimals: int, suffix: str, tip: str
    ) -> QDoubleSpinBox:
        box = QDoubleSpinBox()
        box.setRange(low, high)
        box.setSingleStep(step)
        box.setDecimals(decimals)
        box.setSuffix(suffix)
        box.setToolTip(tip)
        box.setKeyboardTracking(False)
        box.setFixedWidth(NUMBER_PX)
        box.valueChanged.connect(self._emit)
        self._labelled(label, box)
        return box

    def _labelled(self, text: str, widget: QWidget) -> None:
        label = QLabel(text)
        label.setProperty("faint", True)
        label.setToolTip(widget.toolTip())
        self.addWidget(label)
        self.addWidget(widget)

    def set_levels(self, levels_nm: tuple[float, ...], *, has_depth: bool) -> None:
        """Offer the pixels that a model has, and depth where there is one."""
        self._showing = True
        self.pixel.clear()
        for level in levels_nm[:5]:
            self.pixel.addItem(f"{level:g} nm", level)
        model = cast("Any", self.colour_by.model())
        model.item(2).setEnabled(has_depth)
        self._showing = False
        self.show_settings(self.settings)

    def show_settings(self, settings: ViewSettings) -> None:
        """Show settings, without emitting them."""
        self._showing = True
        self.settings = settings
        self.colour_by.setCurrentText(settings.colour_by)
        self.colormap.setCurrentText(settings.colormap)
        self.colormap.setEnabled(settings.colour_by == "density")
        self.drawing.setCurrentText(settings.drawing)
        self.pixel.setCurrentText(f"{settings.pixel_nm:g} nm")
        self.percentile.setValue(settings.contrast_percentile)
        self.gamma.setValue(settings.gamma)
        self.lock.setChecked(settings.brightest_per_um2 is not None)
        self.percentile.setEnabled(settings.brightest_per_um2 is None)
        self._showing = False

    def _emit(self) -> None:
        if self._showing:
            return
        self.settings = self.settings.model_copy(
            update={
                "colour_by": self.colour_by.currentText(),
                "colormap": self.colormap.currentText(),
                "drawing": self.drawing.currentText(),
                "pixel_nm": float(self.pixel.currentData() or self.settings.pixel_nm),
                "contrast_percentile": self.percentile.value(),
                "gamma": self.gamma.value(),
            }
        )
        self.changed.emit(self.settings)

    def _lock_toggled(self, held: bool) -> None:
        self.percentile.setEnabled(not held)
        if not self._showing:
            self.locked.emit(held)

    def _stop_clicked(self) -> None:
        if self.stop.text() == "Stop":
            self.stop.setText("Really stop?")
            QTimer.singleShot(SURE_MS, self, lambda: self.stop.setText("Stop"))
        else:
            self.stop.setText("Stop")
            self.stopped.emit()

    def permit(self, *, start: str, stop: str, snap: str) -> None:
        """Enable start, stop and snap, or say in their tooltips why not."""
        for button, why, tip in (
            (self.start, start, START),
            (self.stop, stop, STOP),
            (self.snap, snap, SNAP),
        ):
            button.setEnabled(not why)
            button.setToolTip(why or tip)

    def next_of(self, box: QComboBox) -> None:
        """Choose the next of a list, for a key."""
        box.setCurrentIndex((box.currentIndex() + 1) % max(box.count(), 1))
