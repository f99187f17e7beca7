"""Small plots: histograms with their medians, and a curve over time."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from locstream_view.model.distribution import Distribution
from locstream_view.model.settings import Range
from locstream_view.model.trends import Trend
from locstream_view.window.style import FAINT, LINE, ORANGE, PANEL, SKY, TEXT

TOP, SIDE, BOTTOM = 18, 6, 15


class _Plot(QWidget):
    """A title, a place to plot in, and numbers at its ends."""

    def __init__(self, title: str, height: int) -> None:
        super().__init__()
        self.title = title
        self.value = ""
        self.setFixedHeight(height)

    def _frame(self, painter: QPainter) -> QRectF:
        painter.fillRect(self.rect(), PANEL)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(FAINT)
        painter.drawText(QPointF(SIDE, 13), self.title)
        painter.setPen(TEXT)
        text = QRectF(0, 2, self.width() - SIDE, 14)
        painter.drawText(text, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.value)
        inside = QRectF(SIDE, TOP, self.width() - 2 * SIDE, self.height() - TOP - BOTTOM)
        painter.setPen(QPen(LINE, 1))
        painter.drawLine(inside.bottomLeft(), inside.bottomRight())
        return inside

    def _ends(self, painter: QPainter, inside: QRectF, low: str, high: str) -> None:
        font = painter.font()
        font.setPixelSize(9)
        painter.setFont(font)
        painter.setPen(FAINT)
        below = QRectF(inside.left(), inside.bottom() + 1, inside.width(), BOTTOM - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, low)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, high)


class HistogramPlot(_Plot):
    """The latest rows' values of one quantity; the part that a filter leaves out is hatched away."""

    def __init__(self, title: str, unit: str) -> None:
        super().__init__(title, 74)
        self._unit = unit
        self._shown: Distribution | None = None
        self._range = Range()

    def show_values(self, shown: Distribution, limits: Range) -> None:
        """Plot a distribution."""
        self._shown, self._range = shown, limits
        self.value = "–" if np.isnan(shown.median) else f"{_short(shown.median)} {self._unit}"
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars, the median, the limits of the filter."""
        painter = QPainter(self)
        inside = self._frame(painter)
        if self._shown is not None and len(self._shown.edges):
            edges, counts, median = self._shown
            low, span = edges[0], edges[-1] - edges[0]
            step = inside.width() / len(counts)
            tallest = max(int(counts.max()), 1)
            for number, count in enumerate(counts):
                height = inside.height() * count / tallest
                bar = QRectF(inside.left() + number * step, inside.bottom() - height, max(step - 0.6, 0.8), height)
                painter.fillRect(bar, SKY)
            for value, colour in ((median, ORANGE), (self._range.low, TEXT), (self._range.high, TEXT)):
                if value is not None and low <= value <= edges[-1]:
                    x = inside.left() + inside.width() * (value - low) / span
                    painter.setPen(QPen(colour, 1.5))
                    painter.drawLine(QPointF(x, inside.top()), QPointF(x, inside.bottom()))
            self._ends(painter, inside, _short(low), _short(edges[-1]))
        painter.end()


class TrendPlot(_Plot):
    """Localizations per frame over the whole acquisition."""

    def __init__(self) -> None:
        super().__init__("Localizations per frame", 92)
        self._trend: Trend | None = None

    def show_trend(self, trend: Trend) -> None:
        """Plot a curve."""
        self._trend = trend
        self.value = f"now {_short(trend.per_frame[-20:].mean())}" if len(trend.frames) else "–"
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the curve, from 0."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        inside = self._frame(painter)
        if self._trend is not None and len(self._trend.frames) > 1:
            frames, values = _thinned(self._trend, int(inside.width() / 2))
            tallest = max(float(values.max()) * 1.05, 1e-9)
            x = inside.left() + inside.width() * frames / frames[-1]
            y = inside.bottom() - inside.height() * values / tallest
            painter.setPen(QPen(SKY, 1.3))
            painter.drawPolyline(QPolygonF([QPointF(a, b) for a, b in zip(x, y, strict=True)]))
            self._ends(painter, inside, "frame 0", f"{self._trend.frames[-1]:,.0f}")
        painter.end()


def _thinned(trend: Trend, most: int) -> Trend:
    """Average neighbours until a curve has at most so many points."""
    group = -(-len(trend.frames) // max(most, 2))
    if group == 1:
        return trend
    starts = np.arange(0, len(trend.frames), group)
    sizes = np.diff(np.append(starts, len(trend.frames)))
    frames, per_frame = (np.add.reduceat(each, starts) / sizes for each in trend)
    return Trend(frames, per_frame)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
