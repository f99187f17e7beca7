"""What lies over the picture: scale bar, legend, region, and the words of an empty screen."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from locstream.rendering.scale_bar import bar_length_nm, length_label
from locstream_view.model.navigation import Navigation
from locstream_view.model.settings import Window
from locstream_view.model.shown import Legend
from locstream_view.window.image import image_of
from locstream_view.window.style import FAINT, SKY, TEXT

MARGIN = 16
RAMP = 180
"""Length of the legend, px."""
SHADE = QColor(0, 0, 0, 150)


class Overlay(QWidget):
    """Transparent, and lets the mouse through.

    Attributes
    ----------
    where
        What the screen shows; None where there is no picture yet, and `empty` is shown.
    region
        A rectangle in the sample.
    legend
        What the colours say.
    empty
        Heading and lines for a screen without a picture.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.where: Navigation | None = None
        self.region: Window | None = None
        self.legend: Legend | None = None
        self.empty: tuple[str, ...] = ()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what there is to be drawn."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.empty:
            self._draw_empty(painter)
        elif self.where is not None:
            self._draw_field(painter, self.where)
            self._draw_region(painter, self.where)
            self._draw_scale_bar(painter, self.where)
            if self.legend is not None:
                self._draw_legend(painter, self.legend)
        painter.end()

    def _draw_empty(self, painter: QPainter) -> None:
        heading, *lines = self.empty
        font = QFont(self.font())
        font.setPixelSize(22)
        painter.setFont(font)
        painter.setPen(TEXT)
        middle = self.height() / 2 - 20 * len(lines) / 2 - 30
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
        painter.drawText(QRectF(20, middle, self.width() - 40, 34), flags, heading)
        font.setPixelSize(14)
        painter.setFont(font)
        painter.setPen(FAINT)
        for number, line in enumerate(lines):
            painter.drawText(QRectF(20, middle + 46 + 24 * number, self.width() - 40, 24), flags, line)

    def _draw_field(self, painter: QPainter, where: Navigation) -> None:
        """Outline the camera's field of view: an empty corner is no end of the sample."""
        painter.setPen(QPen(QColor(120, 120, 120, 130), 1))
        painter.drawRect(_on_screen(where.field, where))

    def _draw_region(self, painter: QPainter, where: Navigation) -> None:
        if self.region is None:
            return
        rect = _on_screen(self.region, where)
        painter.setPen(QPen(SKY, 1.5))
        painter.drawRect(rect)
        size = f"{length_label(self.region.width_nm)} × {length_label(self.region.height_nm)}"
        painter.fillRect(QRectF(rect.left(), rect.top() - 20, 8 * len(size), 19), SHADE)
        _text(painter, rect.left() + 4, rect.top() - 6, size, 12, SKY)

    def _draw_scale_bar(self, painter: QPainter, where: Navigation) -> None:
        length_nm = bar_length_nm(min(self.width() * where.nm_per_px, 1.6 * self.height() * where.nm_per_px))
        length = length_nm / where.nm_per_px
        right, bottom = self.width() - MARGIN, self.height() - MARGIN
        label = length_label(length_nm)
        painter.fillRect(QRectF(right - length - 8, bottom - 32, length + 16, 40), SHADE)
        painter.fillRect(QRectF(right - length, bottom - 6, length, 6), Qt.GlobalColor.white)
        width = painter.fontMetrics().horizontalAdvance(label)
        _text(painter, right - length / 2 - width / 2 - 4, bottom - 12, label, 14, QColor("white"))

    def _draw_legend(self, painter: QPainter, legend: Legend) -> None:
        ramp = image_of(np.broadcast_to(legend.colours, (2, 256, 3)))
        left, bottom = MARGIN, self.height() - MARGIN
        painter.fillRect(QRectF(left - 8, bottom - 50, RAMP + 16, 58), SHADE)
        _text(painter, left, bottom - 36, legend.title, 12, TEXT)
        painter.drawImage(QRectF(left, bottom - 28, RAMP, 10), ramp)
        painter.setPen(QPen(QColor(150, 150, 150), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(QRectF(left, bottom - 28, RAMP, 10))
        _text(painter, left, bottom - 3, legend.low, 12, TEXT)
        width = painter.fontMetrics().horizontalAdvance(legend.high)
        _text(painter, left + RAMP - width, bottom - 3, legend.high, 12, TEXT)


def _on_screen(window: Window, where: Navigation) -> QRectF:
    top_left = QPointF(*where.to_px(window.left_nm, window.top_nm))
    return QRectF(top_left.x(), top_left.y(), window.width_nm / where.nm_per_px, window.height_nm / where.nm_per_px)


def _text(painter: QPainter, left: float, baseline: float, text: str, size: int, colour: QColor) -> None:
    font = painter.font()
    font.setPixelSize(size)
    painter.setFont(font)
    painter.setPen(colour)
    painter.drawText(QPointF(left, baseline), text)
