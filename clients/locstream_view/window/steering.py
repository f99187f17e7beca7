"""Start and stop, asked in a thread, so that the window never waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from locstream.errors import LocstreamError
from locstream.stream.client import Client
from locstream.stream.keys import ClientKeys
from locstream.stream.link import Endpoints
from locstream.stream.runtime import running
from locstream_view.following.numbers import Number
from locstream_view.following.seen import Seen
from locstream_view.following.target import SERVICE, FileTarget, Target, endpoints_of

ANSWER_TIMEOUT_S = 5.0


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
        self._ask("start", lambda: _service(self._target), Client.start)

    def stop(self, seen: Seen) -> None:
        """Stop the camera of the acquisition that is followed."""
        self._ask("stop", lambda: seen.endpoints, Client.stop)

    def _ask(self, verb: str, where: Callable[[], Endpoints | None], order: Callable[[Client], str]) -> None:
        keys = _keys(self._target)

        def work() -> None:
            try:
                endpoints = where()
                if endpoints is None or endpoints.control is None:
                    raise LocstreamError(f"there is nobody here to be asked to {verb}")
                with Client(endpoints, start=None, keys=keys, timeout_s=ANSWER_TIMEOUT_S) as client:
                    self.answered.emit(order(client), True)
            except LocstreamError as error:
                self.answered.emit(str(error), False)

        threading.Thread(target=work, name=verb, daemon=True).start()


def may_stop(seen: Seen) -> str:
    """Return why the acquisition cannot be stopped from here; "" where it can."""
    if seen.phase != "following":
        return "no acquisition is running"
    if seen.endpoints is None or seen.endpoints.control is None:
        return "this acquisition is stopped on its own computer: no control endpoint was given (--control)"
    return ""


def may_start(seen: Seen, target: Target) -> str:
    """Return why no acquisition can be started from here; "" where one can be asked for."""
    if seen.phase == "following":
        return "an acquisition is running"
    if isinstance(target, FileTarget):
        return "a file is shown"
    if _service(target) is None:
        return "nobody to be asked: no service runs here (locstream serve CONFIG.toml), and --control was not given"
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
    """Return where acquisitions are begun: of the target where it was given so, else on this computer."""
    if isinstance(target, FileTarget):
        return None
    if target.endpoint:
        return Endpoints(target.endpoint, target.control) if target.control is not None else None
    return next((endpoints_of(c) for c in running() if c.name == SERVICE), None)


def _keys(target: Target) -> ClientKeys | None:
    return None if isinstance(target, FileTarget) else target.keys
