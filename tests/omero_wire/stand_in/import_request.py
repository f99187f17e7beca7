"""What the server does with an uploaded fileset (omero-blitz, `ManagedImportRequestI`; omero-metadata's processors)."""

import threading
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import Ice
import omero

from .access import Caller
from .commands import HandleI, error, handle
from .dispatch import Call
from .image_reader import SeriesInfo, UnknownFormatError, ranges, read
from .loading import Loading
from .saving import Saving
from .store import Quantity, Ref, Row

if TYPE_CHECKING:
    from .server import Server

STEPS = 6
LONGEST_NAME = 255


class ImportRequest:
    """Makes images of one fileset, in a thread of its own, and tells its handle."""

    def __init__(self, server: "Server", caller: Caller, fileset: Ref, settings: Any) -> None:
        self._server = server
        self._store = server.store
        self._caller = caller
        self._fileset = fileset
        self._settings = settings
        self._request = omero.grid.ImportRequest()

    def start(self, call: Call) -> Any:
        """Begin; return the proxy of the handle."""
        made = handle(call, self._request, STEPS)
        threading.Thread(target=self._run, args=(made,), daemon=True).start()
        return made.proxy

    def _run(self, made: HandleI) -> None:
        try:
            made.finish(self._steps(made))
        except Ice.Exception as failure:
            made.finish(self._failed("import-request-failure", str(failure)))
        except Exception as failure:  # noqa: BLE001 - OMERO answers whatever an import throws so (ManagedImportRequestI.step)
            traceback.print_exc()
            made.finish(self._failed("import-request-failure", repr(failure)))

    def _steps(self, made: HandleI) -> Any:
        entry = self._store.referring(self._fileset, "FilesetEntry", "fileset")[0]
        file = self._store.require(entry["originalFile"])
        path = self._server.disk.path(file)
        path.chmod(0o444)  # step 0: setReadOnly
        made.step(1)
        asked = self._server.calls.now().import_error
        if asked:
            return self._failed(asked, "so asked for by a test")
        try:
            series = read(path)
            stats = unwrapped(self._settings.noStatsInfo) is not True
            found = [ranges(path, one) if stats else [] for one in series]
        except UnknownFormatError as failure:
            return self._failed("import-unknown-format", str(failure))
        with self._server.lock, self._store.transaction():
            pixels = [self._image(file, one, i, len(series), found[i]) for i, one in enumerate(series)]
            self._finish_jobs()
        for step in range(2, STEPS + 1):
            made.step(step)
        with self._server.lock:
            return self._response(pixels)

    def _image(self, file: Row, one: SeriesInfo, number: int, n_series: int, planes: list[Any]) -> Row:
        settings = self._settings
        given = unwrapped(settings.userSpecifiedName)
        name = given or file["name"]
        if n_series > 1:
            name = f"{name} [{one.name or number}]"
        image = self._insert(
            "Image",
            name=name[:LONGEST_NAME],
            description=unwrapped(settings.userSpecifiedDescription) or one.description,
            acquisitionDate=_milliseconds(one.acquired),
            fileset=self._fileset,
            format=self._enumeration("Format", one.reader),
            series=number,
            archived=False,
            partial=False,
        )
        pixels = self._pixels(image, one)
        for c in range(one.size["C"]):
            named = one.channels[c] if c < len(one.channels) else None
            logical = self._insert("LogicalChannel", name=named)
            stats = self._insert("StatsInfo", globalMin=planes[c].low, globalMax=planes[c].high) if planes else None
            self._insert(
                "Channel", pixels=pixels.ref, logicalChannel=logical.ref, statsInfo=stats.ref if stats else None
            )
        self._link(image)
        return pixels

    def _pixels(self, image: Row, one: SeriesInfo) -> Row:
        values: dict[str, Any] = {f"size{axis}": n for axis, n in one.size.items()}
        given = dict(zip("XYZ", settings_sizes(self._settings), strict=False))
        for axis in "XYZ":
            length = one.physical.get(axis) or ((given[axis], "MICROMETER") if axis in given else None)
            if length is not None:
                values[f"physicalSize{axis}"] = Quantity("LengthI", *length)
        if one.time_increment is not None:
            values["timeIncrement"] = Quantity("TimeI", *one.time_increment)
        return self._insert(
            "Pixels",
            image=image.ref,
            pixelsType=self._enumeration("PixelsType", one.pixels_type),
            dimensionOrder=self._enumeration("DimensionOrder", one.order),
            sha1="Pending...",
            **values,
        )

    def _link(self, image: Row) -> None:
        """Put the image into the dataset and link the annotations, in the same transaction."""
        kind = image.model.cls
        saving = Saving(self._store, self._caller)
        target = self._settings.userSpecifiedTarget
        if isinstance(target, omero.model.Dataset):
            link = omero.model.DatasetImageLinkI()
            link.parent, link.child = omero.model.DatasetI(target.getId().getValue(), False), kind(image.id, False)
            saving.save(link)
        for annotation in self._settings.userSpecifiedAnnotationList or []:
            if annotation is not None:
                link = omero.model.ImageAnnotationLinkI()
                link.parent, link.child = kind(image.id, False), annotation
                saving.save(link)

    def _finish_jobs(self) -> None:
        done = self._enumeration("JobStatus", "Finished")
        for link in self._store.referring(self._fileset, "FilesetJobLink", "parent"):
            job = self._store.require(link["child"])
            values = {"status": done, "message": "Finished", "finished": int(time.time() * 1000)}
            self._store.change(job, values, self._caller.event)

    def _response(self, pixels: list[Row]) -> Any:
        loading = Loading(self._store, self._caller)
        made = [loading.load(row) for row in pixels]
        images = [loading.load(self._store.require(row["image"])) for row in pixels]
        loading.finish()
        return omero.grid.ImportResponse(pixels=made, objects=images)

    def _failed(self, name: str, message: str) -> Any:
        return error(self._request, name, message=message)

    def _insert(self, kind: str, **values: Any) -> Row:
        c = self._caller
        return self._store.insert(kind, values, owner=c.user, group=c.group, creation=c.event, update=c.event)

    def _enumeration(self, kind: str, value: str) -> Ref:
        row = self._store.find(kind, value=value)
        if row is None:
            raise omero.ValidationException(message=f"{kind} has no value {value!r}")
        return row.ref


def unwrapped(value: Any) -> Any:
    """Return the value of an RType, or None."""
    return None if value is None else value.getValue()


def settings_sizes(settings: Any) -> list[float]:
    """Return the sizes that the user gave for files that have none, in micrometres."""
    return list(settings.userSpecifiedPixels or [])


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    parsed = datetime.fromisoformat(text)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
