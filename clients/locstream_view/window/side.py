"""The column beside the picture: numbers, curve, distributions, camera frame."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from locstream_view.following.numbers import Number
from locstream_view.model.distribution import distribution
from locstream_view.model.model import ViewModel
from locstream_view.model.settings import Filters
from locstream_view.window.plots import HistogramPlot, TrendPlot
from locstream_view.window.raw_panel import RawPanel
from locstream_view.window.style import ORANGE

PLOTTED = (
    ("photons", "Photons", ""),
    ("precision_nm", "Precision", "nm"),
    ("background", "Background", "ph/px"),
    ("sigma_nm", "Sigma", "nm"),
    ("z_nm", "Depth z", "nm"),
)


class Side(QWidget):
    """What is looked at to decide whether to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("side")
        self.setFixedWidth(316)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        self._form = QFormLayout()
        self._form.setVerticalSpacing(2)
        self._form.setHorizontalSpacing(12)
        self._form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        column.addLayout(self._form)
        self.values: dict[str, QLabel] = {}
        self.trend = TrendPlot()
        self.trend.setToolTip(
            "mean localizations per frame over the whole acquisition; falling: bleaching, or out of focus"
        )
        column.addWidget(self.trend)
        grid = QGridLayout()
        grid.setSpacing(6)
        self.plots: dict[str, HistogramPlot] = {}
        for number, (name, title, unit) in enumerate(PLOTTED):
            plot = HistogramPlot(title, unit)
            plot.setToolTip(
                f"{title.lower()} of the latest localizations that pass the filters; orange: the median, top right"
            )
            self.plots[name] = plot
            across = 2 if name == "z_nm" else 1
            grid.addWidget(plot, number // 2, number % 2, 1, across)
        self.plots["z_nm"].hide()
        column.addLayout(grid)
        self.raw = RawPanel()
        column.addWidget(self.raw, 1)
        self.under = QPushButton("Average under the picture")
        self.under.setCheckable(True)
        self.under.setToolTip("the mean of the camera frames, in grey: the sample without super-resolution (U)")
        column.addWidget(self.under)

    def show_numbers(self, found: Sequence[Number]) -> None:
        """Show lines; one that is not as it should be stands out."""
        names = [number.label for number in found]
        if list(self.values) != names:
            while self._form.rowCount():
                self._form.removeRow(0)
            self.values = {name: QLabel() for name in names}
            for name, value in self.values.items():
                label = QLabel(name)
                label.setProperty("faint", True)
                self._form.addRow(label, value)
        for number in found:
            value = self.values[number.label]
            value.setText(number.text if number.good else f"{number.text}  !")
            value.setToolTip(number.tip)
            value.setStyleSheet("" if number.good else f"color: {ORANGE.name()}; font-weight: bold")

    def show_average(self, model: ViewModel | None, *, under: bool) -> None:
        """Show whether the average lies under the picture, and of how many frames it is."""
        average = model.average if model is not None else None
        frames = f" ({average.frames:,} frames)" if average is not None else ""
        self.under.setText(f"Average under the picture{frames}")
        self.under.setEnabled(average is not None)
        self.under.setChecked(under)

    def show_model(self, model: ViewModel, filters: Filters) -> None:
        """Show curve and distributions of a model."""
        self.trend.show_trend(model.trend)
        recent = model.recent(filters)
        self.plots["z_nm"].setVisible(model.has_depth)
        for name, plot in self.plots.items():
            if name == "z_nm" and not model.has_depth:
                continue
            plot.show_values(distribution(recent, name), filters.range_of(name))
