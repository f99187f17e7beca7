"""Starts and ends the window."""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from locstream.errors import LocstreamError
from locstream_view.following.follower import Follower
from locstream_view.following.frame_watch import FrameWatch
from locstream_view.following.target import Target
from locstream_view.model.model import ViewModel
from locstream_view.model.saved import read_settings
from locstream_view.model.settings import ViewSettings
from locstream_view.window.opengl import Choice, Trial, way_to_the_screen
from locstream_view.window.remembered import Remembered
from locstream_view.window.style import dress
from locstream_view.window.window import ViewWindow

_log = logging.getLogger("qt")


@dataclass(frozen=True)
class Options:
    """What the command line says besides the target.

    Parameters
    ----------
    settings
        A saved view.
    screenshot, after_s
        Save the window as a picture after so many seconds, and end.
    size
        Of the window, px.
    gl
        Whether the picture goes through OpenGL, see `way_to_the_screen`.
    keep_rows
        Localizations that stay in memory.
    """

    settings: Path | None
    screenshot: Path | None
    after_s: float
    size: tuple[int, int]
    gl: Choice
    keep_rows: int


def show(target: Target, options: Options, trial: Trial | None = None) -> None:
    """Show a window until it is closed.

    Parameters
    ----------
    target, options
        What, and how.
    trial
        Of OpenGL, begun before; None to begin it where it is needed.

    Raises
    ------
    LocstreamError
        The saved view cannot be read, the OpenGL that was asked for does not work, or the window's picture cannot be
        written.
    """
    remembered = Remembered() if options.screenshot is None else None  # a picture depends on nothing before it
    settings = remembered.settings if remembered is not None else ViewSettings()
    if options.settings is not None:
        settings = read_settings(options.settings)
    if options.screenshot is not None and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # no screen, none needed
    way = way_to_the_screen(options.gl, trial)
    qInstallMessageHandler(_log_qt)
    application = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(application, QApplication)
    dress(application)

    def prepare(model: ViewModel) -> None:
        model.choose(settings.filters, settings.colour_by)

    follower = Follower(target, options.keep_rows, prepare)
    frames = FrameWatch(lambda: follower.seen)
    window = ViewWindow(follower, frames, settings, remembered, gl=way.gl)
    window.how.setToolTip(f"{window.how.toolTip()}; {way.words}")
    window.resize(*options.size)
    if remembered is not None and remembered.geometry is not None:
        window.restoreGeometry(remembered.geometry)
    window.show()
    follower.start()
    frames.start()
    signal.signal(signal.SIGINT, lambda *_: window.close())
    signal.signal(signal.SIGTERM, lambda *_: window.close())
    failed: list[Path] = []
    if options.screenshot is not None:
        path = options.screenshot

        def shoot() -> None:
            if not window.grab().save(str(path)):
                failed.append(path)
            window.close()

        QTimer.singleShot(round(1000 * options.after_s), window, shoot)
    application.exec()
    if failed:
        raise LocstreamError(
            f"the picture of the window cannot be written to {failed[0]}",
            todo="name a file that ends in .png, in a folder that exists and where you may write",
        )


def _log_qt(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    """Pass what Qt has to say on to the log: most of it is of no use to a user."""
    fatal = kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg)
    _log.log(logging.ERROR if fatal else logging.DEBUG, "%s", message)
