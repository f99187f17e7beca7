"""RawPixelsStore: planes of an imported image, read from its file (omero-server, `RawPixelsBean`)."""

from typing import Any

import numpy as np
import omero
import tifffile

from .dispatch import Call, Service, served
from .image_reader import SeriesInfo, read
from .store import Ref, Row


@served
class RawPixelsStoreI(Service, omero.api.RawPixelsStore):
    """Planes in the byte order of the network, as the server sends them. Nothing can be written."""

    stateful = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.proxy: Any = None
        self._file: tifffile.TiffFile | None = None
        self._series: SeriesInfo | None = None

    def setPixelsId(self, call: Call, number: int, bypass_original: bool) -> None:
        self.release()
        store = self.server.store
        pixels = store.get(Ref("Pixels", number))
        if pixels is None or not call.caller().may_read(pixels):
            raise omero.ValidationException(message=f"The requested object (Pixels,{number}) is not available.")
        image = store.require(pixels["image"])
        path = self.server.disk.path(self._original(image))
        self._series = read(path)[image["series"] or 0]
        self._file = tifffile.TiffFile(path)
        self.session.resources.append(self)

    def getPlane(self, call: Call, z: int, c: int, t: int) -> bytes:
        return self._bytes(self._plane(z, c, t))

    def getTile(self, call: Call, z: int, c: int, t: int, x: int, y: int, width: int, height: int) -> bytes:
        return self._bytes(self._plane(z, c, t)[y : y + height, x : x + width])

    def getByteWidth(self, call: Call) -> int:
        return int(self._plane(0, 0, 0).dtype.itemsize)

    def isFloat(self, call: Call) -> bool:
        return bool(self._plane(0, 0, 0).dtype.kind == "f")

    def isSigned(self, call: Call) -> bool:
        return bool(self._plane(0, 0, 0).dtype.kind != "u")

    def close(self, call: Call) -> None:
        self.release()
        self.session.remove(self.proxy.ice_getIdentity())

    def release(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self.session.resources.remove(self)
        self._file = None

    def _original(self, image: Row) -> Row:
        store = self.server.store
        entries = [] if image["fileset"] is None else store.referring(image["fileset"], "FilesetEntry", "fileset")
        if not entries:
            raise omero.ResourceError(message=f"no file holds the pixels of Image:Id_{image.id}")
        return store.require(entries[0]["originalFile"])

    def _plane(self, z: int, c: int, t: int) -> Any:
        if self._file is None or self._series is None:
            raise omero.ApiUsageException(message="This RawPixelsStore has not been properly initialized.")
        size, at = self._series.size, {"Z": z, "C": c, "T": t}
        if any(not 0 <= at[axis] < size[axis] for axis in at):
            raise omero.ApiUsageException(message=f"no plane z={z} c={c} t={t}")
        number, step = 0, 1
        for axis in self._series.order[2:]:
            number, step = number + at[axis] * step, step * size[axis]
        return self._file.pages[self._series.first_page + number].asarray()

    @staticmethod
    def _bytes(plane: Any) -> bytes:
        return bytes(np.ascontiguousarray(plane, plane.dtype.newbyteorder(">")).tobytes())
