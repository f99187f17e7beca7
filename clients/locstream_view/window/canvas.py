"""The picture on the screen: wheel, drag, double-click and a rectangle with Shift; nothing is calculated here."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from locstream.rendering.colour import Rgb
from locstream.rendering.grid import Grid
from locstream_view.model.navigation import Navigation
from locstream_view.model.settings import Window
from locstream_view.window.overlay import Overlay
from locstream_view.window.surface import make_surface

NOTCH = 120
ZOOM_A_NOTCH = 1.25


class Canvas(QWidget):
    """Shows a picture, and turns what the mouse does into a `Navigation`.

    Signals
    -------
    moved
        Another part of the sample is shown.
    pointed
        The cursor is at (x, y), nm; NaN where it has left.
    framed
        A rectangle was drawn: a `Window`, or None where it was taken away.
    """

    moved = Signal()
    pointed = Signal(float, float)
    framed = Signal(object)

    def __init__(self, field: Window, *, gl: bool) -> None:
        super().__init__()
        self.surface = make_surface(self, gl=gl)
        self.overlay = Overlay(self)
        self.where = Navigation.whole(field, self.width(), self.height())
        self._whole = True
        self._last: QPointF | None = None
        self._corner: tuple[float, float] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)  # where it is a window of its own, see `GlSurface`
        self.setMouseTracking(True)
        self.setMinimumSize(320, 240)
        self.setCursor(Qt.CursorShape.CrossCursor)

    def set_picture(self, rgb: Rgb, grid: Grid) -> None:
        """Show another picture."""
        self.surface.set_picture(rgb, grid)

    def set_field(self, field: Window) -> None:
        """Another acquisition: show its whole field."""
        self.where = Navigation.whole(field, self.width(), self.height())
        self._whole = True
        self.frame_region(None)
        self._go(self.where)

    def show_whole(self) -> None:
        """Show the whole field."""
        self._whole = True
        self._go(Navigation.whole(self.where.field, self.width(), self.height()))

    def show_window(self, window: Window) -> None:
        """Show a part of the sample."""
        self._whole = False
        self._go(self.where.showing(window))

    def zoom(self, factor: float) -> None:
        """Zoom at the middle."""
        self._whole = False
        self._go(self.where.zoomed(factor, self.width() / 2, self.height() / 2))

    def pan(self, right: float, down: float) -> None:
        """Move by a fraction of the view."""
        self._whole = False
        self._go(self.where.dragged(-right * self.width(), -down * self.height()))

    def frame_region(self, window: Window | None) -> None:
        """Draw a rectangle, or take it away."""
        self.overlay.region = window
        self.overlay.update()
        self.framed.emit(window)

    @property
    def shows_whole(self) -> bool:
        """True where the view follows the size of the window and nobody has zoomed."""
        return self._whole

    def _go(self, where: Navigation) -> None:
        self.where = where
        self.surface.look(where)
        self.overlay.where = where
        self.overlay.update()
        self.moved.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the view, or the whole field."""
        for child in (self.surface.widget, self.overlay):
            child.setGeometry(self.rect())
        self.overlay.raise_()
        if self._whole:
            self.show_whole()
        else:
            self._go(self.where.resized(self.width(), self.height()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the cursor."""
        notches = event.angleDelta().y() / NOTCH
        if notches:
            self._whole = False
            at = event.position()
            self._go(self.where.zoomed(ZOOM_A_NOTCH**notches, at.x(), at.y()))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to drag, or with Shift a rectangle."""
        if event.button() == Qt.MouseButton.LeftButton:
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._corner = self.where.to_nm(event.position().x(), event.position().y())
            else:
                self._last = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag, draw a rectangle, or only point."""
        at = event.position()
        x_nm, y_nm = self.where.to_nm(at.x(), at.y())
        if self._corner is not None:
            self.overlay.region = _between(self._corner, (x_nm, y_nm))
            self.overlay.update()
        elif self._last is not None:
            step = at - self._last
            self._last = at
            if step.manhattanLength():
                self._whole = False
                self._go(self.where.dragged(step.x(), step.y()))
        self.pointed.emit(x_nm, y_nm)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End what was begun."""
        if self._corner is not None:
            window = _between(self._corner, self.where.to_nm(event.position().x(), event.position().y()))
            smallest_nm = 3 * self.where.nm_per_px
            self.frame_region(window if min(window.width_nm, window.height_nm) >= smallest_nm else None)
        self._corner = self._last = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show the whole field again."""
        self.show_whole()

    def leaveEvent(self, event: object) -> None:
        """The cursor is elsewhere."""
        self.pointed.emit(float("nan"), float("nan"))


def _between(a: tuple[float, float], b: tuple[float, float]) -> Window:
    return Window(min(a[0], b[0]), min(a[1], b[1]), abs(a[0] - b[0]), abs(a[1] - b[1]))
