"""Start and stop, asked in a thread, so that the window never waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from locstream.errors import LocstreamError
from locstream.stream.control import ask
from locstream.stream.endpoints import Endpoints
from locstream_view.following.numbers import Number
from locstream_view.following.seen import Seen
from locstream_view.following.target import SERVICE, FileTarget, LiveTarget, Target


class Steering(QObject):
    """Emits `answered` with a sentence and whether it went well.

    Parameters
    ----------
    target
        What is followed: by its control endpoint, or by the service of this computer, it is steered.
    """

    answered = Signal(str, bool)

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def start(self) -> None:
        """Have the service begin an acquisition."""
        self._ask("start", lambda: _service(self._target))

    def stop(self, seen: Seen) -> None:
        """Stop the camera of the acquisition that is followed."""
        self._ask("stop", lambda: seen.endpoints)

    def _ask(self, verb: str, where: Callable[[], Endpoints | None]) -> None:
        keys = None if isinstance(self._target, FileTarget) else self._target.keys

        def work() -> None:
            try:
                endpoints = where()
                if endpoints is None or endpoints.control is None:
                    raise LocstreamError(
                        f"there is nobody here to be asked to {verb}",
                        todo=f"ask on the computer that acquires: `locstream {verb}`",
                    )
                self.answered.emit(ask(endpoints.control, verb, keys=keys).message, True)
            except LocstreamError as error:
                self.answered.emit(str(error), False)

        threading.Thread(target=work, name=verb, daemon=True).start()


def may_stop(seen: Seen) -> str:
    """Return why the acquisition cannot be stopped from here; "" where it can."""
    if seen.phase != "following":
        return "no acquisition is running"
    if seen.endpoints is None or seen.endpoints.control is None:
        return "this acquisition is stopped on its own computer: this window was opened without --keys or --control"
    return ""


def may_start(seen: Seen, target: Target) -> str:
    """Return why no acquisition can be started from here; "" where one can be asked for."""
    if seen.phase == "following":
        return "an acquisition is running"
    if isinstance(target, FileTarget):
        return "a file is shown"
    try:
        service = _service(target)
    except LocstreamError as error:
        return error.what
    if service is None:
        return "no service runs on this computer to be asked for one (locstream serve CONFIG.toml)"
    if service.control is None:
        return "acquisitions are started on their own computer: this window was opened without --keys or --control"
    return ""


def control(seen: Seen, target: Target) -> Number:
    """Return who steers what is shown, as one line of the numbers."""
    if isinstance(target, FileTarget):
        return Number("Control", "a file is shown", "nothing is acquired through this window")
    if seen.phase != "following":
        return Number("Control", "–", "nothing is being acquired")
    if why_not := may_stop(seen):
        return Number("Control", "watching only", why_not)
    if target.keys is not None:
        tip = f"Stop works where {target.keys.name} was given the role control (`locstream keys list` on the server)"
        return Number("Control", f"Stop, as {target.keys.name}", tip)
    return Number("Control", "Stop, from here", "Stop here ends the camera; so does whoever started the acquisition")


def _service(target: Target) -> Endpoints | None:
    """Return where acquisitions are begun: at the address that is followed, else by the service of this computer."""
    if isinstance(target, FileTarget):
        return None
    found = target.look() if target.endpoint else LiveTarget(SERVICE).look()
    return None if found is None else found.endpoints
