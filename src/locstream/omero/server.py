"""What the filing of a run needs of an image server: questions, and steps of which each happens whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from locstream.localizations import Localizations
from locstream.omero.settings import OmeroSettings

Role = Literal["dataset", "raw", "reconstruction"]
Kind = Literal["Dataset", "Image"]

MARKER = "locstream/bundle/v1"
"""Namespace of the machine's own key-value pairs: ``bundle``, the identifier of the acquisition, and ``role``.
OMERO.web shows pairs of a namespace that is not its own without letting anybody edit them."""
CLIENT = "openmicroscopy.org/omero/client/mapAnnotation"
"""Namespace of the pairs that OMERO.web shows, lets people edit, and in which it makes ``Image:12`` a link."""

Step = Callable[[str], None]
"""Told what the server is doing."""


@dataclass(frozen=True)
class Key:
    """By what a dataset or an image of a run is found again.

    Parameters
    ----------
    uuid, role
        Identifier of the acquisition; which of its things.
    """

    uuid: str
    role: Role


@dataclass(frozen=True)
class Attached:
    """By what an attachment is found again.

    Parameters
    ----------
    folder, name
        Where it lies on the server.
    sha1, size
        Its content; bytes.
    mimetype
        What it is.
    """

    folder: str
    name: str
    sha1: str
    size: int
    mimetype: str


@dataclass(frozen=True)
class Pixels:
    """What an image consists of, as the server has read it.

    Parameters
    ----------
    size_x, size_y
        Of a plane, px.
    planes
        How many: Z × C × T.
    pixel_type
        ``uint16``, ``float`` …
    """

    size_x: int
    size_y: int
    planes: int
    pixel_type: str


@dataclass(frozen=True)
class ImageImport:
    """An image that is to be.

    Parameters
    ----------
    client_path
        Where the file came from: ours to choose, kept by the server, and so a second way to find the image again.
    name, description
        What people see.
    dataset
        Where it goes.
    key
        Its marker. Image, marker and place in the dataset come into being together.
    """

    client_path: str
    name: str
    description: str
    dataset: int
    key: Key


@dataclass(frozen=True)
class FileOnServer:
    """A file that can be fetched.

    Parameters
    ----------
    file
        Its number.
    name, size, sha1
        Name, bytes, and the checksum where the server has one; else "".
    """

    file: int
    name: str
    size: int
    sha1: str


class Import(Protocol):
    """A file on its way into the managed repository. Lost with the session unless it is finished."""

    def write(self, block: bytes, offset: int) -> None:
        """Send a block; a lost one may be sent again."""

    def finish(self, sha1: str, step: Step) -> int:
        """Have the server compare the checksum and read the file; return the image."""


class Upload(Protocol):
    """An attachment on its way."""

    def write(self, block: bytes, offset: int) -> None:
        """Send a block."""

    def finish(self) -> tuple[int, str, int]:
        """Close it; return the file's number, and SHA-1 and size as the server has them."""


class Table(Protocol):
    """A table on its way."""

    def add(self, rows: Localizations) -> None:
        """Append rows."""

    def finish(self) -> tuple[int, int]:
        """Close it; return the file's number, and how many rows the server has."""


class Server(Protocol):
    """One session in one group.

    Every method may raise `UnreachableError` (later may help), `SessionLostError` (with a new session at once), or
    another `LocstreamError` (somebody has to do something).
    """

    def find(self, key: Key) -> int | None:
        """Return the dataset or image with this marker."""

    def find_dataset(self, project: str, name: str) -> int | None:
        """Return the oldest dataset of ours of this name in a project of ours of that name."""

    def may_link(self, dataset: int) -> bool:
        """Say whether images may be put into a dataset. Raises `LocstreamError` where it cannot be seen at all."""

    def make_dataset(self, project: str, name: str, description: str, key: Key | None) -> int:
        """Make a dataset with its marker in the project of that name, found or made, in one save."""

    def adopt(self, client_path: str, key: Key) -> int | None:
        """Mark and return the image of a fileset of this path whose marker was lost; remove one without image."""

    def import_image(self, image: ImageImport) -> Import:
        """Begin an import."""

    def pixels(self, image: int) -> Pixels:
        """Return what an image consists of."""

    def shown_range(self, image: int) -> tuple[float, float] | None:
        """Return the extremes of the first channel; None where the server has none."""

    def set_shown_range(self, image: int, low: float, high: float) -> None:
        """Set the extremes of the first channel, which the server would otherwise read every plane for."""

    def find_attachment(self, file: Attached) -> int | None:
        """Return the annotation of a file with exactly these properties."""

    def remove_debris(self, folder: str, name: str) -> None:
        """Remove files of this folder and name that no annotation has: what killed uploads have left."""

    def upload(self, file: Attached) -> Upload:
        """Begin an attachment."""

    def annotate(self, file: int, description: str) -> int:
        """Make the annotation of a file; return it."""

    def is_linked(self, kind: Kind, parent: int, annotation: int) -> bool:
        """Say whether we have hung an annotation on something."""

    def link(self, kind: Kind, parent: int, annotation: int) -> None:
        """Hang an annotation on something."""

    def find_table(self, name: str) -> int | None:
        """Return the annotation of a table of this name."""

    def new_table(self, name: str) -> Table | None:
        """Begin a table of localizations; None where the server has no tables."""

    def has_pairs(self, kind: Kind, parent: int, mark: str) -> bool:
        """Say whether something has key-value pairs that we made under a mark, edited since or not."""

    def add_pairs(self, kind: Kind, parent: int, mark: str, pairs: Mapping[str, str]) -> None:
        """Make key-value pairs of something, in one save."""

    def find_tag(self, text: str) -> int | None:
        """Return a tag of this text; one of ours before one of a colleague's."""

    def make_tag(self, text: str) -> int:
        """Make a tag."""

    def may_annotate(self, image: int) -> bool:
        """Say whether annotations may be hung on an image. Raises `LocstreamError` where it cannot be seen at all."""

    def dataset_of(self, image: int) -> int | None:
        """Return a dataset that an image is in."""

    def files_of(self, image: int) -> list[FileOnServer]:
        """Return the files that an image was imported from."""

    def attachments_of(self, image: int) -> list[FileOnServer]:
        """Return the files attached to an image, the newest first."""

    def read(self, file: int, offset: int, count: int) -> bytes:
        """Return up to so many bytes of a file; fewer only at its end."""

    def url(self, images: tuple[int, ...]) -> str:
        """Return one address under which a browser shows all of them."""


@dataclass(frozen=True)
class About:
    """What an upload would meet.

    Parameters
    ----------
    version
        Of the server.
    user, group, permissions
        Who is logged in, where, and what the group's members may do there (``rwra--`` …).
    free_bytes
        Room for data.
    tables
        Whether the server has OMERO.tables.
    """

    version: str
    user: str
    group: str
    permissions: str
    free_bytes: int
    tables: bool


class Session(Protocol):
    """An open session."""

    server: Server

    def about(self) -> About:
        """Say what an upload would meet."""

    def keep(self) -> None:
        """Keep it alive. Raises `SessionLostError` where it is not."""

    def close(self) -> None:
        """End it."""


Open = Callable[[OmeroSettings], Session]
"""Opens a session in the group of the settings."""
