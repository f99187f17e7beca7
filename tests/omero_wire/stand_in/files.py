"""RawFileStore (omero-server, `RawFileBean`; omero-blitz, `RawFileStoreI` and `RepoRawFileStoreI`)."""

import stat
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import omero
from omero.rtypes import rlong

from .disk import checksum
from .dispatch import Call, Service, served
from .loading import Loading
from .store import Ref, Row

MOST_AT_ONCE = 64_000_000


@served
class RawFileStoreI(Service, omero.api.RawFileStore):
    """The bytes of one OriginalFile. Size and checksum are written to the database on save and on close."""

    locked = False
    stateful = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.proxy: Any = None
        self.on_close: Callable[[], None] = lambda: None
        self.offset = 0
        self._file: BinaryIO | None = None
        self._ref: Ref | None = None
        self._writable = False
        self._modified = False

    def setFileId(self, call: Call, number: int) -> None:
        with self.server.lock:
            ref = Ref("OriginalFile", number)
            row = self.server.store.require(ref)
            caller = call.caller()
            if not caller.may_read(row):
                raise omero.ValidationException(
                    message=f"The requested object (OriginalFile,{number}) is not available."
                )
            path = self.server.disk.path(row)
            open_to_all = not path.exists() or bool(path.stat().st_mode & stat.S_IWUSR)  # imported files are read-only
            self.open(row, writable=open_to_all and caller.may_change(row) and caller.group != -1)

    def open(self, row: Row, writable: bool) -> None:
        """Open the bytes of a file."""
        self.release()
        path = self.server.disk.path(row)
        if writable:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self._file = path.open("r+b" if writable else "rb")
        self._ref, self._writable, self._modified = row.ref, writable, False
        self.session.resources.append(self)

    def getFileId(self, call: Call) -> Any:
        return None if self._ref is None else rlong(self._ref.id)

    def exists(self, call: Call) -> bool:
        return self._opened() is not None

    def size(self, call: Call) -> int:
        return self._opened().seek(0, 2)

    def read(self, call: Call, position: int, length: int) -> bytes:
        """Return `length` bytes always: past the end there are zeros, as `RawFileBean.read` leaves its buffer."""
        if length > MOST_AT_ONCE:
            raise omero.ApiUsageException(message=f"Too big: {length}")
        file = self._opened()
        file.seek(position)
        return file.read(length).ljust(length, b"\0")

    def write(self, call: Call, data: bytes, position: int, length: int) -> None:
        if length > len(data):
            raise omero.ApiUsageException(message="newLimit > capacity")  # ByteBuffer.limit
        file = self._must_be_writable()
        conditions = self.server.calls.conditions
        end = file.seek(0, 2)
        self.server.disk.grow(max(position + length - end, 0), conditions)
        file.seek(position)
        file.write(self.server.damaged(bytes(data[:length])))
        file.flush()
        self.offset = position + length
        self._modified = True

    def truncate(self, call: Call, length: int) -> bool:
        """Make it shorter; longer it does not get."""
        file = self._must_be_writable()
        if length >= file.seek(0, 2):
            return False
        file.truncate(length)
        self._modified = True
        return True

    def save(self, call: Call) -> Any:
        """Write size and checksum; return the file, or None where nothing has changed."""
        if self._ref is None or self._file is None:
            return None
        with self.server.lock:
            row = self.server.store.require(self._ref)
        size = self._file.seek(0, 2)
        if not (self._modified or size == 0 or (row["size"] is not None and row["size"] != size)):
            return None
        path = self.server.disk.path(row)
        hasher = self.server.store.get(row["hasher"])
        found: dict[str, Any] = {"size": size, "mtime": int(time.time() * 1000)}
        if hasher is not None:
            found["hash"] = checksum(path, hasher["value"])
            if self.server.calls.conditions.wrong_checksums:
                found["hash"] = found["hash"][::-1]
        with self.server.lock:
            caller = call.writing()
            self.server.store.change(row, found, caller.event)
            self._modified = False
            loading = Loading(self.server.store, caller)
            made = loading.load(self.server.store.require(self._ref))
            loading.finish()
        return made

    def close(self, call: Call) -> None:
        self.save(call)
        self.on_close()
        self.release()
        self.session.remove(self.proxy.ice_getIdentity())

    def release(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self.session.resources.remove(self)
        self._file = self._ref = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise omero.ApiUsageException(
                message="This RawFileStore has not been properly initialized.\n"
                "Please set the file id before executing any other methods.\n"
            )
        return self._file

    def _must_be_writable(self) -> BinaryIO:
        file = self._opened()
        if not self._writable:
            raise omero.SecurityViolation(message="File not writeable!")
        return file
