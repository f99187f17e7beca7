"""The state folder of a service: one owner, and a note of the run that is not finished."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from locstream.errors import LocstreamError


class Unfinished(msgspec.Struct, frozen=True):
    """The run that was going on; what a service that comes up again recovers first."""

    folder: str
    name: str


class StateFolder:
    """Held by one service at a time; use it as a context manager.

    Parameters
    ----------
    folder
        Made where it is missing.

    Raises
    ------
    LocstreamError
        The folder cannot be made, or another service holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._note = folder / "unfinished.json"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocstreamError(
                f"the state folder {folder} cannot be used: {error.strerror}", todo="give another with --state"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise LocstreamError(
                f"another `locstream serve` uses the state folder {folder}",
                safe="it goes on undisturbed",
                todo="stop it first, or give this one a folder of its own with --state",
            ) from error

    def begin(self, folder: Path, name: str) -> None:
        """Note that a run is going on."""
        draft = self._note.with_suffix(".part")
        draft.write_bytes(msgspec.json.encode(Unfinished(str(folder.resolve()), name)))
        draft.replace(self._note)

    def done(self) -> None:
        """Note that nothing is unfinished."""
        self._note.unlink(missing_ok=True)

    @property
    def unfinished(self) -> Unfinished | None:
        """The run that was going on when the service died, if any.

        Raises
        ------
        LocstreamError
            The note is damaged.
        """
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Unfinished)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise LocstreamError(f"{self._note} is damaged: {error}", todo="remove it") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)
