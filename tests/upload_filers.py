"""Filers for the tests of the queue: one that does as it is told, and a hand that kills at a chosen moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from locstream.bundle.bundle import Bundle
from locstream.errors import LocstreamError
from locstream.upload.filer import Check, Progress, UnreachableError

AWAY = UnreachableError("the server does not answer", todo="wait")
MAY_NOT = LocstreamError("you may not write to the project", todo="ask its owner")


class ScriptedFiler:
    """Does one thing after another: raises what it is given, and files where that is None."""

    def __init__(self, script: Iterable[BaseException | None] = ()) -> None:
        self._script: Iterator[BaseException | None] = iter(script)
        self.seen: list[str] = []

    def preflight(self) -> list[Check]:
        return [Check("script", True, "ready")]

    def idle(self) -> None:
        self.seen.append("idle")

    def file(self, bundle: Bundle, progress: Progress) -> str:
        self.seen.append(bundle.uuid)
        progress("first block", 1, 2)
        if (error := next(self._script, None)) is not None:
            raise error
        progress("last block", 2, 2)
        return f"https://server/{bundle.uuid}"


class Killed(BaseException):
    """The process ends here."""
