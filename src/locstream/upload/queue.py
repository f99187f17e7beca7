"""The queue on disk: one file a run, replaced as a whole, so that it is right at any moment of a kill."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from locstream.bundle.bundle import Bundle
from locstream.bundle.whole_file import whole_file
from locstream.errors import LocstreamError
from locstream.results.lock import FileLock
from locstream.upload.state import state_folder
from locstream.upload.ticket import Ticket

SUFFIX = ".json"
DAMAGED = ".damaged"
_LOCK = ".queue.lock"
_UPLOADER = "uploader.lock"


def default_queue_folder() -> Path:
    """Return the service's or the user's own folder for it."""
    return state_folder() / "uploads"


class Queue:
    """The runs that are to be handed on, and those that were. Several processes may use it at once.

    Parameters
    ----------
    folder
        Where the tickets lie; made where it is missing.

    Raises
    ------
    LocstreamError
        The folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(folder, error) from error

    def add(self, bundle: Bundle, now_s: float) -> Ticket:
        """Queue a run; one that is queued already, or was filed, stays as it is.

        Raises
        ------
        LocstreamError
            The disk refuses.
        """
        try:
            fresh = Ticket(
                uuid=bundle.uuid,
                name=bundle.files.name,
                folder=str(bundle.files.folder),
                added_s=now_s,
                changed_s=now_s,
            )
        except ValidationError as error:
            raise LocstreamError(f"{bundle.uuid!r} does not identify an acquisition") from error
        with self._locked():
            found = self._read(self._path(bundle.uuid))
            if found is not None and found.folder == fresh.folder:
                return found
            if found is not None:  # the folder was moved
                fresh = found.model_copy(update={"folder": fresh.folder, "name": fresh.name})
            self._write(fresh)
            return fresh

    def tickets(self) -> list[Ticket]:
        """Return all of them, the first queued first; what is no ticket is passed over (see `damaged`)."""
        found = (self._read(path) for path in self.folder.glob(f"*{SUFFIX}"))
        return sorted((t for t in found if t is not None), key=lambda ticket: (ticket.added_s, ticket.uuid))

    def due(self, now_s: float) -> Ticket | None:
        """Return the one whose turn it is, None where nothing waits."""
        return next((t for t in self.tickets() if t.state == "waiting" and t.not_before_s <= now_s), None)

    def find(self, wanted: str) -> list[Ticket]:
        """Return those of a name, or of an identifier or its beginning."""
        return [t for t in self.tickets() if wanted == t.name or (wanted and t.uuid.startswith(wanted))]

    def change(self, uuid: str, how: Callable[[Ticket], Ticket]) -> Ticket | None:
        """Replace a ticket by what `how` makes of it; None where it was forgotten meanwhile.

        Raises
        ------
        LocstreamError
            The disk refuses.
        """
        with self._locked():
            found = self._read(self._path(uuid))
            if found is None:
                return None
            changed = how(found)
            if changed != found:
                self._write(changed)
            return changed

    def forget(self, uuid: str) -> None:
        """Remove a ticket. No data is touched, here or elsewhere."""
        with self._locked():
            self._path(uuid).unlink(missing_ok=True)

    def has(self, uuid: str) -> bool:
        """Say whether there is a ticket still."""
        return self._path(uuid).exists()

    def clean(self) -> None:
        """Remove what writers that were killed have left."""
        with self._locked():
            for left in self.folder.glob(f".*{SUFFIX}.*.part"):
                left.unlink(missing_ok=True)

    def uploader_lock(self) -> FileLock:
        """Return the lock of whoever hands on, held; there is one at a time.

        Raises
        ------
        FileInUseError
            Somebody else hands on.
        """
        return FileLock(self.folder / _UPLOADER, self.folder)

    def _path(self, uuid: str) -> Path:
        return self.folder / f"{uuid}{SUFFIX}"

    def _read(self, path: Path) -> Ticket | None:
        try:
            return Ticket.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            path.replace(path.with_name(path.name + DAMAGED))  # a bad disk; kept for who wants to look
            return None
        except OSError as error:
            raise _refused(self.folder, error) from error

    def _write(self, ticket: Ticket) -> None:
        try:
            with whole_file(self._path(ticket.uuid), overwrite=True) as part:
                part.write_text(ticket.model_dump_json(indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise _refused(self.folder, error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the queue while a ticket is read and replaced; the kernel gives it back however we end."""
        try:
            fd = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused(self.folder, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _refused(folder: Path, error: OSError) -> LocstreamError:
    return LocstreamError(
        f"the upload queue {folder} cannot be used: {error.strerror or error}",
        safe="no data is touched",
        todo="see that the folder is yours to write and the disk has room",
    )
