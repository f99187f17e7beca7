"""What hands a run on: to a folder of the lab, to OMERO, to whatever a third party adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from locstream.bundle.bundle import Bundle
from locstream.errors import LocstreamError

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how many bytes of how many have arrived. Called between blocks, outside of any lock:
it may wait, and it may raise to stop the upload."""


class UnreachableError(LocstreamError):
    """The other side does not answer, or stopped answering: trying again later may help."""


class CancelledError(Exception):
    """Raised by a `Progress` to stop an upload; the filer leaves things so that the next try goes on."""


@dataclass(frozen=True)
class Check:
    """One line of a preflight.

    Parameters
    ----------
    name
        What was looked at.
    fine
        Whether an upload would get past it.
    said
        What was found.
    todo
        What to do where it is not fine.
    """

    name: str
    fine: bool
    said: str
    todo: str = ""


class Filer(Protocol):
    """Hands runs on.

    `file` may be killed at any moment and called again, by another process too: it looks at the other side first, and
    makes only what is missing there. Local files are only read.
    """

    def preflight(self) -> list[Check]:
        """Say, without changing anything, whether an upload would work now. Does not raise for what it finds."""

    def idle(self) -> None:
        """Do what must be done now and then while nothing waits; called every few seconds. Never raises."""

    def file(self, bundle: Bundle, progress: Progress) -> str:
        """Hand a run on; return an address under which a browser or a file manager shows it.

        Raises
        ------
        UnreachableError
            Trying again later may help.
        LocstreamError
            Trying again would not help: it may not, or what arrived is not what was sent.
        """
