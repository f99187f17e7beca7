"""Bytes on their way into OMERO: images into the managed repository, attachments, tables."""

from __future__ import annotations

import platform
import time
from typing import Any

import omero
import omero.grid
from omero.cmd import ERR
from omero.model import ChecksumAlgorithmI, DatasetI, FilesetEntryI, FilesetI, NamedValue, UploadJobI
from omero.rtypes import rbool, rstring

import locstream
from locstream.errors import LocstreamError
from locstream.localizations import Localizations
from locstream.omero.faults import tells
from locstream.omero.server import ImageImport, Step
from locstream.omero.trouble import QUEUED

CHECKSUM = "SHA1-160"
READER = "loci.formats.in.OMETiffReader"
ASK_EVERY_S = 0.2
LONGEST_PAUSE_S = 5.0
IMPORT_STEPS = (
    "works",
    "reads the metadata",
    "reads the pixels' layout",
    "makes a thumbnail",
    "processes",
    "collects objects",
)
"""What a server does in the steps of an import, from 1."""


@tells
class IceImport:
    """A file on its way into the managed repository: `locstream.omero.server.Import`."""

    def __init__(self, host: str, process: Any) -> None:
        self.host = host
        self._process = process
        self._store = process.getUploader(0)
        self._sent: Any = None

    def write(self, block: bytes, offset: int) -> None:
        """Begin to send a block, which goes on while the caller reads the next one; a lost one may be sent again."""
        self._arrive()
        self._sent = self._store.begin_write(block, offset, len(block))

    def finish(self, sha1: str, step: Step) -> int:
        """Have the server compare the checksum and read the file; return the image."""
        self._arrive()
        step("the server computes the checksum")
        self._store.close()  # it does so on close
        handle = self._process.verifyUpload([sha1])
        try:
            answer = response_of(self.host, handle, step)
        finally:
            self._process.close()
        return int(answer.pixels[0].image.id.val)

    def _arrive(self) -> None:
        """Wait for the block on its way: the server is never given two at once for a file."""
        sent, self._sent = self._sent, None
        if sent is not None:
            self._store.end_write(sent)


def begin_import(host: str, client: Any, image: ImageImport, marker: Any) -> IceImport:
    """Begin an import.

    Parameters
    ----------
    host
        Name of the server, for errors.
    client
        OMERO's client, with a session.
    image
        What is to be.
    marker
        An annotation that the image has from its first moment.
    """
    fileset, entry, job = FilesetI(), FilesetEntryI(), UploadJobI()
    entry.clientPath = rstring(image.client_path)
    fileset.addFilesetEntry(entry)
    job.versionInfo = [NamedValue(name, value) for name, value in _versions().items()]
    fileset.linkJob(job)
    settings = omero.grid.ImportSettings()
    settings.checksumAlgorithm = ChecksumAlgorithmI()
    settings.checksumAlgorithm.value = rstring(CHECKSUM)
    settings.userSpecifiedTarget = DatasetI(image.dataset, False)
    settings.userSpecifiedName = rstring(image.name)
    settings.userSpecifiedDescription = rstring(image.description)
    settings.userSpecifiedAnnotationList = [marker]
    settings.doThumbnails = rbool(False)  # made at the first look, with the range that is set by then
    settings.noStatsInfo = rbool(True)  # else it reads every plane for the extremes, hours for a long stack
    repository = client.getManagedRepository()
    if repository is None:
        raise LocstreamError(f"{host} has no managed repository", safe=QUEUED, todo="tell its administrator")
    return IceImport(host, repository.importFileset(fileset, settings))


def _versions() -> dict[str, str]:
    """Return what a server keeps of the client that imports."""
    return {
        "locstream.version": locstream.__version__,
        "os.name": platform.system(),
        "os.version": platform.release(),
        "os.architecture": platform.machine(),
        "bioformats.reader": READER,
    }


@tells
class IceUpload:
    """An attachment on its way: `locstream.omero.server.Upload`."""

    def __init__(self, host: str, store: Any, number: int) -> None:
        self.host = host
        self._store, self._number = store, number

    def write(self, block: bytes, offset: int) -> None:
        """Send a block."""
        self._store.write(block, offset, len(block))

    def finish(self) -> tuple[int, str, int]:
        """Close it; return the file's number, and SHA-1 and size as the server has them."""
        saved = self._store.save()
        self._store.close()
        if saved is None:  # nothing was written
            return self._number, "", 0
        return self._number, str(saved.hash.val), int(saved.size.val)


@tells
class IceTable:
    """A table on its way: `locstream.omero.server.Table`."""

    def __init__(self, host: str, table: Any) -> None:
        self.host = host
        self._table, self._begun = table, False

    def add(self, rows: Localizations) -> None:
        """Append rows; the first make the columns."""
        columns = [_column(name, rows) for name in rows.dtype.names or ()]
        if not self._begun:
            self._table.initialize([_column(name, rows[:0]) for name in rows.dtype.names or ()])
            self._begun = True
        self._table.addData(columns)

    def finish(self) -> tuple[int, int]:
        """Close it; return the file's number, and how many rows the server has."""
        number, rows = self._table.getOriginalFile().id.val, self._table.getNumberOfRows() if self._begun else 0
        self._table.close()
        return int(number), int(rows)


def _column(name: str, rows: Localizations) -> Any:
    values = rows[name]
    kind = omero.grid.DoubleColumn if values.dtype.kind == "f" else omero.grid.LongColumn
    return kind(name, "", values.tolist())


def response_of(host: str, handle: Any, step: Step) -> Any:
    """Wait for what a server was asked to do; return its answer.

    Raises
    ------
    LocstreamError
        It could not.
    """
    pause_s = ASK_EVERY_S
    try:
        while (answer := handle.getResponse()) is None:
            current = handle.getStatus().currentStep
            doing = IMPORT_STEPS[current] if 0 < current < len(IMPORT_STEPS) else IMPORT_STEPS[0]
            step(f"the server {doing}")  # also where nothing has changed: whoever wants to stop is heard here
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.3, LONGEST_PAUSE_S)
    finally:
        handle.close()
    if isinstance(answer, ERR):
        told = ", ".join(f"{name}: {text}" for name, text in sorted((answer.parameters or {}).items())[:2])
        raise LocstreamError(
            f"{host} could not do it: {answer.category} {answer.name} ({told[:300]})",
            safe=QUEUED,
            todo="show this to its administrator, then `locstream upload retry`",
        )
    return answer
