"""A range for each quantity; what is left empty leaves nothing out."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QPushButton, QWidget

from locstream_view.model.settings import ROW_FILTERS, Filters, Range
from locstream_view.window.close_up import CloseUp

LABELS = {
    "frame": ("Frame", "frame number, from 0"),
    "photons": ("Photons", "photons of the molecule in this frame"),
    "precision_nm": ("Precision, nm", "lateral precision, 1 σ: the mean of x and y"),
    "sigma_nm": ("Sigma, nm", "width of the spot: the mean of x and y"),
    "background": ("Background", "photons per pixel under the molecule"),
    "z_nm": ("z, nm", "depth"),
}
WRONG = "border-color: #d55e00; background: #4a2413;"


class FiltersPanel(QWidget):
    """Emits `chosen` with the `Filters` whenever a range that can be used was typed."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("filters")
        self.setFixedWidth(232)
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 10, 10, 10)
        heading = QLabel("SHOW ONLY")
        heading.setProperty("heading", True)
        grid.addWidget(heading, 0, 0)
        for column, text in ((1, "from"), (2, "to")):
            label = QLabel(text)
            label.setProperty("faint", True)
            grid.addWidget(label, 0, column)
        self.fields: dict[str, tuple[QLineEdit, QLineEdit]] = {}
        for row, name in enumerate(ROW_FILTERS, 1):
            self._add_row(grid, row, name)
        self.everything = QPushButton("Show everything")
        self.everything.setToolTip("take all ranges away (Ctrl+0)")
        self.everything.clicked.connect(lambda: self.set_filters(Filters()))
        grid.addWidget(self.everything, len(ROW_FILTERS) + 1, 0, 1, 3)
        self.counts = QLabel("")
        self.counts.setWordWrap(True)
        self.counts.setToolTip("filters hide localizations; nothing is deleted")
        grid.addWidget(self.counts, len(ROW_FILTERS) + 2, 0, 1, 3)
        self.region = QLabel("")
        self.region.setWordWrap(True)
        self.region.setToolTip("numbers of the region: Shift and drag draws one, Esc takes it away")
        grid.addWidget(self.region, len(ROW_FILTERS) + 3, 0, 1, 3)
        self.close_up = CloseUp()
        grid.addWidget(self.close_up, len(ROW_FILTERS) + 4, 0, 1, 3)
        grid.setRowStretch(len(ROW_FILTERS) + 5, 1)

    def _add_row(self, grid: QGridLayout, row: int, name: str) -> None:
        text, tip = LABELS[name]
        label = QLabel(text)
        label.setToolTip(tip)
        grid.addWidget(label, row, 0)
        pair = QLineEdit(), QLineEdit()
        for column, (field, end) in enumerate(zip(pair, ("smallest", "largest"), strict=True), 1):
            field.setPlaceholderText("–")
            field.setToolTip(f"{end} value that is shown: {tip}; empty for no limit")
            field.textEdited.connect(self._typed)
            grid.addWidget(field, row, column)
        self.fields[name] = pair

    def set_filters(self, filters: Filters) -> None:
        """Show filters, and emit them."""
        for name, pair in self.fields.items():
            limits = filters.range_of(name)
            for field, value in zip(pair, (limits.low, limits.high), strict=True):
                field.setText("" if value is None else f"{value:g}")
        self._typed()

    def show_depth(self, has_depth: bool) -> None:
        """Offer z only where there is one."""
        for field in self.fields["z_nm"]:
            field.setEnabled(has_depth)

    def _typed(self) -> None:
        ranges: dict[str, Range] = {}
        for name, pair in self.fields.items():
            limits = _range_of(*(field.text() for field in pair))
            for field in pair:
                field.setStyleSheet("" if limits is not None else WRONG)
            ranges[name] = limits or Range()
        self.chosen.emit(Filters(**ranges))


def _range_of(low: str, high: str) -> Range | None:
    """Return what was typed, None where it is no range."""
    try:
        ends = [float(text.replace(",", ".")) if text.strip() else None for text in (low, high)]
        return Range(low=ends[0], high=ends[1])
    except ValueError:  # also pydantic's: from above to below
        return None
