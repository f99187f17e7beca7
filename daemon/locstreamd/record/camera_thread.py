"""Catches what a Python camera dies of.

pymmcore-plus runs a camera written in Python in a thread of its own. An exception in it reaches
``threading.excepthook`` and nothing else: the core only says that the sequence has ended.
"""

from __future__ import annotations

import threading


class CameraThreadWatch:
    """Keeps the message of the exception that ended a camera's thread, while installed."""

    def __init__(self) -> None:
        self.message = ""
        self._before = threading.excepthook
        self._hook = self._keep

    def install(self) -> None:
        """Begin to watch."""
        self._before = threading.excepthook
        threading.excepthook = self._hook

    def remove(self) -> None:
        """Put back what was there, unless somebody else has come after. Safe to call twice."""
        if threading.excepthook is self._hook:
            threading.excepthook = self._before

    def _keep(self, args: threading.ExceptHookArgs) -> None:
        if type(args.thread).__module__.startswith("pymmcore_plus.") and args.exc_value is not None:
            cause = args.exc_value.__cause__ or args.exc_value
            self.message = f"{type(cause).__name__}: {cause}"
        else:
            self._before(args)
