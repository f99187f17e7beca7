"""`locstream.omero.server.Server` by OMERO's own interface: questions in HQL, saves, deletions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omero.cmd import Delete2
from omero.model import (
    ChecksumAlgorithmI,
    DatasetAnnotationLinkI,
    DatasetI,
    FileAnnotationI,
    ImageAnnotationLinkI,
    ImageI,
    MapAnnotationI,
    NamedValue,
    OriginalFileI,
    ProjectDatasetLinkI,
    ProjectI,
    TagAnnotationI,
)
from omero.rtypes import rdouble, rlong, rstring, unwrap
from omero.sys import ParametersI

from locstream.errors import LocstreamError
from locstream.omero import hql
from locstream.omero.connection import Connection
from locstream.omero.faults import tells, told
from locstream.omero.server import CLIENT, MARKER, Attached, FileOnServer, ImageImport, Key, Kind, Pixels
from locstream.omero.settings import OmeroSettings
from locstream.omero.transfer import CHECKSUM, IceImport, IceTable, IceUpload, begin_import, response_of
from locstream.omero.trouble import QUEUED

_PARENTS = {"Dataset": (DatasetI, DatasetAnnotationLinkI), "Image": (ImageI, ImageAnnotationLinkI)}


@tells
class IceServer:
    """A session on an OMERO server, as the filing of a run needs it.

    Parameters
    ----------
    connection
        The session, in the group in which is filed.
    settings
        Where OMERO.web is.
    """

    def __init__(self, connection: Connection, settings: OmeroSettings) -> None:
        self.host = connection.host
        self._client, self._session = connection.client, connection.session
        with told(self.host):
            self._query = self._session.getQueryService()
            self._update = self._session.getUpdateService()
            self._me: int = self._session.getAdminService().getEventContext().userId
        self._web = settings.web_address
        self._reading: tuple[int, Any] | None = None

    def find(self, key: Key) -> int | None:
        """Return the dataset or image with this marker."""
        kind = "Dataset" if key.role == "dataset" else "Image"
        return self._one(hql.MARKED.format(kind=kind), ns=MARKER, uuid=key.uuid, role=key.role, owner=self._me)

    def find_dataset(self, project: str, name: str) -> int | None:
        """Return the oldest dataset of ours of this name in a project of ours of that name."""
        return self._one(hql.DATASET, project=project, name=name, owner=self._me)

    def may_link(self, dataset: int) -> bool:
        """Say whether images may be put into a dataset; see `locstream.omero.server.Server`."""
        return bool(self._permissions("Dataset", dataset).canLink())

    def make_dataset(self, project: str, name: str, description: str, key: Key | None) -> int:
        """Make a dataset with its marker in the project of that name, found or made, in one save."""
        dataset = DatasetI()
        dataset.name, dataset.description = rstring(name), rstring(description)
        if key is not None:
            dataset.linkAnnotation(_marker(key))
        found = self._one(hql.PROJECT, name=project, owner=self._me)
        parent = ProjectI() if found is None else ProjectI(found, False)
        if found is None:
            parent.name = rstring(project)
        link = ProjectDatasetLinkI()
        link.parent, link.child = parent, dataset
        return int(self._update.saveAndReturnObject(link).child.id.val)

    def adopt(self, client_path: str, key: Key) -> int | None:
        """Mark and return the image of a fileset of this path whose marker was lost; remove one without image."""
        for fileset, image in self._ask(hql.IMPORTED, path=client_path, owner=self._me):
            if image is not None:
                self._save_link("Image", image, _marker(key))
                return int(image)
            self._delete("Fileset", fileset)
        return None

    def import_image(self, image: ImageImport) -> IceImport:
        """Begin an import; see `locstream.omero.transfer`."""
        return begin_import(self.host, self._client, image, _marker(image.key))

    def pixels(self, image: int) -> Pixels:
        """Return what an image consists of."""
        ((size_x, size_y, planes, pixel_type),) = self._ask(hql.PIXELS, image=image)
        return Pixels(size_x, size_y, planes, pixel_type)

    def shown_range(self, image: int) -> tuple[float, float] | None:
        """Return the extremes of the first channel; None where the server has none."""
        for low, high in self._ask(hql.RANGE, image=image):
            return low, high
        return None

    def set_shown_range(self, image: int, low: float, high: float) -> None:
        """Set the extremes of the first channel."""
        pixels = self._one(hql.PIXELS_ID, image=image)
        self._session.getPixelsService().setChannelGlobalMinMax(pixels, 0, float(low), float(high))

    def find_attachment(self, file: Attached) -> int | None:
        """Return the annotation of a file with exactly these properties."""
        where = {"path": file.folder, "name": file.name}
        return self._one(hql.ATTACHED, **where, sha1=file.sha1, size=file.size, owner=self._me)

    def remove_debris(self, folder: str, name: str) -> None:
        """Remove files of this folder and name that no annotation has."""
        for (file,) in self._ask(hql.DEBRIS, path=folder, name=name, owner=self._me):
            self._delete("OriginalFile", file)

    def upload(self, file: Attached) -> IceUpload:
        """Begin an attachment."""
        made = OriginalFileI()
        made.path, made.name, made.mimetype = rstring(file.folder), rstring(file.name), rstring(file.mimetype)
        made.size, made.hash = rlong(0), rstring("")
        made.hasher = ChecksumAlgorithmI()
        made.hasher.value = rstring(CHECKSUM)
        number = self._update.saveAndReturnObject(made).id.val
        store = self._session.createRawFileStore()
        store.setFileId(number)
        return IceUpload(self.host, store, number)

    def annotate(self, file: int, description: str) -> int:
        """Make the annotation of a file; return it."""
        made = FileAnnotationI()
        made.ns, made.description, made.file = rstring(MARKER), rstring(description), OriginalFileI(file, False)
        return int(self._update.saveAndReturnObject(made).id.val)

    def is_linked(self, kind: Kind, parent: int, annotation: int) -> bool:
        """Say whether we have hung an annotation on something."""
        wanted = {"parent": parent, "child": annotation, "owner": self._me}
        return self._one(hql.LINKED.format(kind=kind), **wanted) is not None

    def link(self, kind: Kind, parent: int, annotation: int) -> None:
        """Hang an annotation on something."""
        self._save_link(kind, parent, FileAnnotationI(annotation, False))

    def find_table(self, name: str) -> int | None:
        """Return the annotation of a table of this name."""
        return self._one(hql.TABLE, name=name, owner=self._me)

    def new_table(self, name: str) -> IceTable | None:
        """Begin a table of localizations; None where the server has no tables."""
        resources = self._session.sharedResources()
        if not resources.areTablesEnabled():
            return None
        table = resources.newTable(0, name)  # the server chooses the repository itself (SharedResourcesI.newTable)
        return None if table is None else IceTable(self.host, table)

    def has_pairs(self, kind: Kind, parent: int, mark: str) -> bool:
        """Say whether something has key-value pairs that we made under a mark, edited since or not."""
        query = hql.PAIRS.format(kind=kind)
        return self._one(query, parent=parent, ns=CLIENT, mark=mark, owner=self._me) is not None

    def add_pairs(self, kind: Kind, parent: int, mark: str, pairs: Mapping[str, str]) -> None:
        """Make key-value pairs of something, in one save."""
        made = MapAnnotationI()
        made.ns, made.description = rstring(CLIENT), rstring(mark)
        made.mapValue = [NamedValue(name, value) for name, value in pairs.items()]
        self._save_link(kind, parent, made)

    def find_tag(self, text: str) -> int | None:
        """Return a tag of this text; one of ours before one of a colleague's."""
        found = self._ask(hql.TAG, text=text)
        ours = [tag for tag, owner in found if owner == self._me]
        return next((int(tag) for tag in (*ours, *(tag for tag, _ in found))), None)

    def make_tag(self, text: str) -> int:
        """Make a tag."""
        made = TagAnnotationI()
        made.textValue = rstring(text)
        return int(self._update.saveAndReturnObject(made).id.val)

    def may_annotate(self, image: int) -> bool:
        """Say whether annotations may be hung on an image; see `locstream.omero.server.Server`."""
        return bool(self._permissions("Image", image).canAnnotate())

    def dataset_of(self, image: int) -> int | None:
        """Return a dataset that an image is in."""
        return self._one(hql.DATASET_OF, image=image)

    def files_of(self, image: int) -> list[FileOnServer]:
        """Return the files that an image was imported from."""
        return self._files(hql.FILES, image)

    def attachments_of(self, image: int) -> list[FileOnServer]:
        """Return the files attached to an image, the newest first."""
        return self._files(hql.ATTACHMENTS, image)

    def read(self, file: int, offset: int, count: int) -> bytes:
        """Return up to so many bytes of a file; fewer only at its end."""
        if self._reading is None or self._reading[0] != file:
            store = self._session.createRawFileStore()
            store.setFileId(file)
            self._reading = file, store
        block = bytes(self._reading[1].read(offset, count))
        if len(block) < count:
            self._reading[1].close()
            self._reading = None
        return block

    def url(self, images: tuple[int, ...]) -> str:
        """Return one address under which a browser shows all of them."""
        return f"{self._web}/webclient/?show=" + "|".join(f"image-{image}" for image in images)

    def _ask(self, query: str, **values: int | str | float) -> list[list[Any]]:
        parameters = ParametersI()
        for name, value in values.items():
            wrapped = {int: rlong, float: rdouble, str: rstring}[type(value)]
            parameters.map[name] = wrapped(value)
        return [[unwrap(cell) for cell in row] for row in self._query.projection(query, parameters)]

    def _one(self, query: str, **values: int | str | float) -> int | None:
        rows = self._ask(query, **values)
        return int(rows[0][0]) if rows else None

    def _permissions(self, kind: str, number: int) -> Any:
        found = self._query.find(kind, number)
        if found is None:
            raise LocstreamError(
                f"there is no {kind}:{number} on {self.host} that you can see in this group",
                safe=QUEUED,
                todo="correct the number, or `group` in upload.toml",
            )
        return found.details.permissions

    def _files(self, query: str, image: int) -> list[FileOnServer]:
        rows = self._ask(query, image=image)
        return [FileOnServer(file, name, size or 0, sha1 or "") for file, name, size, sha1 in rows]

    def _save_link(self, kind: str, parent: int, annotation: Any) -> None:
        thing, linking = _PARENTS[kind]
        link = linking()
        link.parent, link.child = thing(parent, False), annotation
        self._update.saveObject(link)

    def _delete(self, kind: str, number: int) -> None:
        handle = self._session.submit(Delete2(targetObjects={kind: [number]}))
        response_of(self.host, handle, lambda said: None)


def _marker(key: Key) -> Any:
    made = MapAnnotationI()
    made.ns = rstring(MARKER)
    made.mapValue = [NamedValue("bundle", key.uuid), NamedValue("role", key.role)]
    return made
