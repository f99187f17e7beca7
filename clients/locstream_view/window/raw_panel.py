"""The newest camera frame, with a ring around every accepted detection."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from locstream_view.following.frame_watch import WatchedFrame
from locstream_view.window.style import FAINT, ORANGE, PANEL

DARKEST, BRIGHTEST = 1.0, 99.8
"""Percentiles of the frame that are shown black and white."""
RING_PX = 4.0
"""Radius of a ring, camera px."""
CAPTION = 18


class RawPanel(QWidget):
    """Shows one camera frame, upright as the picture is: row 0 at the top."""

    def __init__(self) -> None:
        super().__init__()
        self._frame: WatchedFrame | None = None
        self._why = ""
        self.setMinimumHeight(90)
        self.setToolTip("the newest camera frame that is fitted; a ring around each accepted detection")

    def show_frame(self, frame: WatchedFrame | None, why: str) -> None:
        """Show a frame, or say why there is none."""
        if frame is self._frame and why == self._why:
            return
        self._frame, self._why = frame, why
        if frame is not None:
            low, high = np.percentile(frame.image[::2, ::2], (DARKEST, BRIGHTEST))
            level = (frame.image - np.float32(low)) * np.float32(255 / max(high - low, 1))
            self._pixels = np.ascontiguousarray(np.clip(level, 0, 255).astype(np.uint8))
            rows, columns = self._pixels.shape
            self._image = QImage(self._pixels.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame and the rings."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), PANEL)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(FAINT)
        if self._frame is None or self._why:
            words = self._why or "camera frames: none yet"
            area = QRectF(self.rect()).adjusted(10, 10, -10, -10)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, words)
        else:
            self._draw(painter, self._frame)
        painter.end()

    def _draw(self, painter: QPainter, frame: WatchedFrame) -> None:
        rows, columns = frame.image.shape
        scale = min(self.width() / columns, (self.height() - CAPTION) / rows)
        left, top = (self.width() - columns * scale) / 2, CAPTION
        painter.drawText(QPointF(6, 13), f"Camera frame {frame.number:,}")
        found = QRectF(0, 2, self.width() - 6, 14)
        painter.drawText(found, Qt.AlignmentFlag.AlignRight, f"{len(frame.columns)} found")
        painter.drawImage(QRectF(left, top, columns * scale, rows * scale), self._image)
        painter.setPen(QPen(ORANGE, 1.2))
        radius = max(RING_PX * scale, 3.5)
        for column, row in zip(frame.columns, frame.rows, strict=True):
            # positions count from the centre of pixel (0, 0), the screen from its corner
            centre = QPointF(left + (column + 0.5) * scale, top + (row + 0.5) * scale)
            painter.drawEllipse(centre, radius, radius)
