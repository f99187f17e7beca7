"""The managed repository and an import into it.

omero-blitz: `ManagedRepositoryI` (importFileset and its checks), `ManagedImportProcessI` (uploaders, verifyUpload),
`ManagedImportRequestI` (the steps after the upload, and the names of its errors).
"""

import time
from functools import partial
from typing import Any

import omero
from omero.model import IndexingJobI, MetadataImportJobI, OriginalFileI, PixelDataJobI, ThumbnailGenerationJobI
from omero.rtypes import rstring, rtime, unwrap

from .accounts import ENUMERATIONS
from .dispatch import Call, Service, served
from .files import RawFileStoreI
from .import_request import ImportRequest
from .loading import Loading
from .saving import Saving
from .store import Ref

REPOSITORY = "ManagedRepository"
NOT_DONE = {"openmicroscopy.org/omero/import/autoClose", "openmicroscopy.org/omero/import/targetTemplate"}
"""Annotations that ask the server for something (`ManagedImportRequestI.detectKnownAnnotations`)."""


@served
class ManagedRepositoryI(Service, omero.grid.ManagedRepository):
    """Takes filesets."""

    def importFileset(self, call: Call, fileset: Any, settings: Any) -> Any:
        """Check and save a fileset; return the process that takes its files."""
        if fileset is None or fileset.sizeOfUsedFiles() < 1:
            raise omero.ApiUsageException(message="No paths provided")
        if settings is None or settings.checksumAlgorithm is None:
            raise omero.ApiUsageException(message="must specify checksum algorithm")
        if fileset.sizeOfJobLinks() != 1:
            raise omero.ValidationException(message="Found more than one job link. Link only updateJob on creation!")
        job = fileset.copyJobLinks()[0].child
        if job is None:
            raise omero.ValidationException(message="Found null-UploadJob on creation")
        if not isinstance(job, omero.model.UploadJob):
            raise omero.ValidationException(message=f"Found non-UploadJob on creation: {type(job).__name__}")
        paths = [_components(unwrap(entry.clientPath)) for entry in fileset.copyUsedFiles()]
        caller = call.writing()
        self._check_settings(settings)
        _complete(fileset, settings, paths, self._prefix(call), self.server.uuid, call)
        Saving(self.server.store, caller).save(fileset)
        process = ImportProcessI(self.server, self.session, fileset.getId().getValue(), settings)
        process.proxy = omero.grid.ImportProcessPrx.uncheckedCast(self.session.add(process))
        return process.proxy

    def listChecksumAlgorithms(self, call: Call) -> list[Any]:
        store = self.server.store
        loading = Loading(store, call.caller())
        made = [loading.load(row) for row in store.all("ChecksumAlgorithm")]
        loading.finish()
        return made

    def suggestChecksumAlgorithm(self, call: Call, supported: list[Any]) -> Any:
        """Return the first of the server's own list that the client has, or None."""
        names = {unwrap(one.value) for one in supported}
        return next((a for a in self.listChecksumAlgorithms(call) if unwrap(a.value) in names), None)

    def root(self, call: Call) -> Any:
        made = OriginalFileI()
        made.name, made.path = rstring(REPOSITORY), rstring("/")
        return made

    def fileExists(self, call: Call, path: str) -> bool:
        return (self.server.disk.folder / REPOSITORY / path.lstrip("/")).exists()

    def _check_settings(self, settings: Any) -> None:
        """Refuse a target that is neither dataset nor screen, and what is not done here."""
        target = settings.userSpecifiedTarget
        if target is not None and not isinstance(target, omero.model.Dataset | omero.model.Screen):
            raise omero.ApiUsageException(message=f"target is no Dataset or Screen: {type(target).__name__}")
        namespaces = {
            unwrap(a.ns) for a in settings.userSpecifiedAnnotationList or [] if a is not None and a.isLoaded()
        }
        if isinstance(target, omero.model.Screen) or namespaces & NOT_DONE:
            raise omero.InternalException(
                message="the stand-in imports into no screen, by no template, and closes nothing"
            )

    def _prefix(self, call: Call) -> str:
        """Return a folder that is not there yet (omero.fs.repo.path: %user%_%userId%//%year%-%month%/%day%/%time%)."""
        user = self.server.accounts.name_of(call.session.user)
        now = time.time()
        day = time.strftime("%Y-%m/%d/%H-%M-%S", time.gmtime(now))
        while True:
            prefix = f"{user}_{call.session.user}/{day}.{int(now * 1000) % 1000:03d}"
            if not (self.server.disk.folder / REPOSITORY / prefix).exists():
                (self.server.disk.folder / REPOSITORY / prefix).mkdir(parents=True)
                return prefix
            now += 0.001


@served
class ImportProcessI(Service, omero.grid.ImportProcess):
    """One fileset on its way in: the stores that take its files, and the request that makes images of them."""

    def __init__(self, server: Any, session: Any, fileset: int, settings: Any) -> None:
        super().__init__(server, session)
        self.proxy: Any = None
        self._settings = settings
        self._handle: Any = None
        self._fileset = Ref("Fileset", fileset)
        self._uploaders: dict[int, RawFileStoreI] = {}

    def getUploader(self, call: Call, number: int) -> Any:
        """Return the store of one file, the same as long as it is open."""
        if number not in self._uploaders:
            store = RawFileStoreI(self.server, self.session)
            store.open(self._file(number), writable=True)
            store.on_close = partial(self._uploaders.__delitem__, number)
            store.proxy = omero.api.RawFileStorePrx.uncheckedCast(self.session.add(store))
            self._uploaders[number] = store
        return self._uploaders[number].proxy

    def getUploadOffset(self, call: Call, number: int) -> int:
        """Return where the next byte is expected, 0 once the store is closed."""
        return self._uploaders[number].offset if number in self._uploaders else 0

    def verifyUpload(self, call: Call, hashes: list[str]) -> Any:
        entries = self._entries()
        if len(hashes) != len(entries):
            raise omero.ApiUsageException(message=f"hashes size should be {len(entries)} not {len(hashes)}")
        failing = {}
        for i, theirs in enumerate(hashes):
            ours = self._file(i)["hash"]
            if ours is None or ours != theirs:
                failing[i] = ours or ""
        if failing:
            raise omero.ChecksumValidationException(
                serverExceptionClass="omero.ChecksumValidationException",
                message="A checksum mismatch has occurred.",
                failingChecksums=failing,
            )
        request = ImportRequest(self.server, call.writing(), self._fileset, self._settings)
        self._handle = request.start(call)
        return self._handle

    def getHandle(self, call: Call) -> Any:
        return self._handle

    def getImportSettings(self, call: Call) -> Any:
        return self._settings

    def close(self, call: Call) -> None:
        self.session.remove(self.proxy.ice_getIdentity())

    def _entries(self) -> list[Any]:
        return self.server.store.referring(self._fileset, "FilesetEntry", "fileset")

    def _file(self, number: int) -> Any:
        entries = self._entries()
        if not 0 <= number < len(entries):
            raise omero.ApiUsageException(message=f"no file {number} of {len(entries)}")
        return self.server.store.require(entries[number]["originalFile"])


def _components(path: str) -> list[str]:
    """Return the parts of a client's path (`FsFile`: absolute paths lose their root)."""
    parts = [part for part in path.split("/") if part]
    if not parts or any(part in (".", "..") for part in parts):
        raise omero.ApiUsageException(message=f"illegal path: {path!r}")
    return parts


def _complete(fileset: Any, settings: Any, paths: list[list[str]], prefix: str, repo: str, call: Call) -> None:
    """Add what the server adds to a fileset: files, jobs, the folder they go to."""
    common = 0
    while all(len(p) > common + 1 for p in paths) and len({p[common] for p in paths}) == 1:
        common += 1
    fileset.templatePrefix = rstring(f"{prefix}/")
    for entry, path in zip(fileset.copyUsedFiles(), paths, strict=True):
        file = OriginalFileI()
        file.path, file.name = rstring("/".join([prefix, *path[common:-1]]) + "/"), rstring(path[-1])
        file.hasher, file.repo = settings.checksumAlgorithm, rstring(repo)
        file.mimetype = rstring("application/octet-stream")
        entry.originalFile, entry.fileset = file, fileset
    jobs = [MetadataImportJobI(), PixelDataJobI(), IndexingJobI()]
    if settings.doThumbnails is not None and settings.doThumbnails.getValue():
        jobs.insert(2, ThumbnailGenerationJobI())
    for job in jobs:
        fileset.linkJob(job)
    accounts, session = call.server.accounts, call.session
    now = rtime(int(time.time() * 1000))
    for link in fileset.copyJobLinks():
        job = link.child
        job.username = rstring(accounts.name_of(session.user))
        job.groupname = rstring(accounts.group_name(call.caller().group))
        job.type, job.message = rstring("Import"), rstring("Submitted")
        job.status = omero.model.JobStatusI()
        job.status.value = rstring(ENUMERATIONS["JobStatus"][0])
        job.submitted = job.scheduledFor = now
