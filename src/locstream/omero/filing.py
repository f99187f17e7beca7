"""Files a run on an image server: each step looks first, so that it may be cut off anywhere and done again.

dataset → raw stack → reconstruction → attachments and their links → table → tags → key-value pairs that link both ways
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from locstream.bundle.bundle import Bundle
from locstream.errors import LocstreamError
from locstream.localizations import Localizations
from locstream.omero.planes import pixels_of, range_of_reconstruction, range_of_stack
from locstream.omero.server import Attached, ImageImport, Key, Kind, Pixels, Role, Server
from locstream.omero.settings import OmeroSettings
from locstream.omero.told import RunFacts
from locstream.results.reader import ResultsReader
from locstream.upload.filer import Progress, UnreachableError

BLOCK = 4 * 2**20
"""Fastest over Ice: smaller ones pay the network's round trip, larger ones the copies."""
TABLE_ROWS = 100_000
"""Rows in one message; a server takes 250 MB."""
MIMETYPES = {
    ".hdf5": "application/x-hdf5",
    ".h5": "application/x-hdf5",
    ".h5r": "application/x-hdf5",
    ".csv": "text/csv",
    ".json": "application/json",
    ".toml": "application/toml",
    ".yaml": "application/yaml",
    ".png": "image/png",
    ".tif": "image/tiff",
}
OTHER_MIMETYPE = "application/octet-stream"
FOLDER = "locstream"
"""First part of every path that we choose on the server."""


class Filing:
    """One run on its way to one server.

    Parameters
    ----------
    server
        A session in the group in which is filed.
    bundle
        The run; its files have been checked.
    settings
        Where in the server, and what.
    progress
        Told what is being done, and how many bytes have arrived; see `locstream.upload.filer.Progress`.

    Raises
    ------
    LocstreamError
        The bundle's own files cannot be read.
    """

    def __init__(self, server: Server, bundle: Bundle, settings: OmeroSettings, progress: Progress) -> None:
        self._server, self._bundle, self._settings, self._progress = server, bundle, settings, progress
        self._facts = RunFacts(bundle)
        files = bundle.files
        self._images = {role: path for role, path in self._candidates() if path.name in bundle.sha256}
        pictures = (files.stack, files.reconstruction)
        attached = [path for path in bundle.paths if path not in pictures and self._goes(path)]
        self._attached = (*attached, files.crate)
        self._sent = 0
        self._total = sum(path.stat().st_size for path in (*self._images.values(), *self._attached))

    def _candidates(self) -> list[tuple[Role, Path]]:
        raw: list[tuple[Role, Path]] = [("raw", self._bundle.files.stack)] if self._settings.raw else []
        return [*raw, ("reconstruction", self._bundle.files.reconstruction)]

    @property
    def _source(self) -> int | None:
        """The image on this server whose frames were fitted, where they were fetched from it."""
        return source_image(self._facts.header.source, self._settings)

    def _goes(self, path: Path) -> bool:
        if path == self._bundle.files.results:
            return True
        if path.parent != self._bundle.files.folder:
            return False  # a piece of the reconstruction as OME-Zarr, which goes there as OME-TIFF
        return not any(fnmatch.fnmatchcase(path.name, pattern) for pattern in self._settings.without)

    def file(self) -> str:
        """Do what is missing; return the address."""
        source = self._source
        dataset = self._dataset() if source is None else self._dataset_of(source)
        images: dict[Role, int] = {} if source is None else {"raw": source}
        images |= {role: self._image(role, path, dataset) for role, path in self._images.items()}
        parents: list[tuple[Kind, int]] = [("Image", image) for image in images.values()]
        if self._settings.own_dataset and source is None:
            parents.append(("Dataset", dataset))
        for path in self._attached:
            self._attach(path, parents)
        if self._settings.table and self._facts.rows:
            self._table(parents)
        for tag in self._settings.tags:
            found = self._server.find_tag(tag)
            self._hang(found if found is not None else self._server.make_tag(tag), parents)
        self._link_both_ways(dataset, images, parents)
        return self._server.url(tuple(images.values()))

    def _dataset(self) -> int:
        if (given := self._settings.existing_dataset) is not None:
            return self._linkable(given)
        project, name = self._facts.named(self._settings.project), self._facts.named(self._settings.dataset)
        key = Key(self._bundle.uuid, "dataset") if self._settings.own_dataset else None
        found = self._server.find(key) if key is not None else self._server.find_dataset(project, name)
        if found is not None:
            return found
        about = self._description() if key is not None else ""
        return self._server.make_dataset(project, name, about, key)

    def _dataset_of(self, source: int) -> int:
        """Return where the results of an image belong: beside it where we may, else where the settings say."""
        if not self._server.may_annotate(source):
            raise LocstreamError(
                f"you may not annotate Image:{source}, to which the results belong",
                safe="nothing was sent; the run stays queued",
                todo="ask its owner to work in a group in which members may annotate (rwra--)",
            )
        beside = self._server.dataset_of(source)
        return beside if beside is not None and self._server.may_link(beside) else self._dataset()

    def _linkable(self, dataset: int) -> int:
        if not self._server.may_link(dataset):
            raise LocstreamError(
                f"you may not put images into Dataset:{dataset}",
                safe="nothing was sent; the run stays queued",
                todo="ask its owner for a group in which you may, or name a dataset of your own in upload.toml",
            )
        return dataset

    def _description(self) -> str:
        told = self._facts.metadata
        run = str(self._bundle.graph[f"#{self._bundle.files.name}/"].get("description", ""))
        return "\n".join(text for text in (told.title, told.description, run) if text)

    def _image(self, role: Role, path: Path, dataset: int) -> int:
        key = Key(self._bundle.uuid, role)
        client_path = f"{FOLDER}/{self._bundle.uuid}/{role}/{path.name}"
        image = self._server.find(key)
        if image is None:
            image = self._server.adopt(client_path, key)
        if image is not None:
            self._count(path)
        else:
            wanted = ImageImport(client_path, path.name, self._description(), dataset, key)
            coming = self._server.import_image(wanted)
            sha1 = self._send(path, coming.write)
            image = coming.finish(sha1, lambda step: self._tell(f"{path.name}: {step}"))
        self._compare(image, path)
        if self._server.shown_range(image) is None:
            find = range_of_stack if role == "raw" else range_of_reconstruction
            self._server.set_shown_range(image, *find(path))
        return image

    def _compare(self, image: int, path: Path) -> None:
        """See that the server has read what we have written: a file it misunderstands becomes a shorter film."""
        wanted, found = pixels_of(path), self._server.pixels(image)
        if wanted != found:
            raise LocstreamError(
                f"the server read {path.name} as {_words(found)}, and it is {_words(wanted)}",
                safe="the file is as it was; the image on the server is not to be used",
                todo=f"delete Image:{image} in OMERO, then `locstream upload retry`; tell the server's administrator",
            )

    def _attach(self, path: Path, parents: list[tuple[Kind, int]]) -> None:
        folder = f"{FOLDER}/{self._bundle.uuid}/"
        with path.open("rb") as file:
            sha1 = hashlib.file_digest(file, "sha1").hexdigest()  # the server's word for a file; ours is SHA-256
        mimetype = MIMETYPES.get(path.suffix, OTHER_MIMETYPE)
        wanted = Attached(folder, path.name, sha1, path.stat().st_size, mimetype)
        annotation = self._server.find_attachment(wanted)
        if annotation is not None:
            self._count(path)
        else:
            self._server.remove_debris(folder, path.name)
            coming = self._server.upload(wanted)
            self._send(path, coming.write)
            number, there, size = coming.finish()
            if (there, size) != (wanted.sha1, wanted.size):
                raise UnreachableError(f"what arrived of {path.name} is not what was sent")
            annotation = self._server.annotate(number, f"{path.name} of {self._bundle.files.name}")
        self._hang(annotation, parents)

    def _table(self, parents: list[tuple[Kind, int]]) -> None:
        name = f"{FOLDER}/{self._bundle.uuid}/{self._bundle.files.name}_localizations"
        annotation = self._server.find_table(name)
        if annotation is None:
            self._server.remove_debris(name, name)  # the server takes the name for the folder too
            table = self._server.new_table(name)
            if table is None:
                self._tell("the server has no tables: localizations are attached as files only")
                return
            with ResultsReader(self._bundle.files.results) as results:
                for start in range(0, results.n_rows, TABLE_ROWS):
                    self._tell(f"table: {start:,} of {results.n_rows:,} rows")
                    table.add(_for_people(results.rows(start, start + TABLE_ROWS)))
            number, rows = table.finish()
            if rows != self._facts.rows:
                raise UnreachableError(f"the server's table has {rows:,} of {self._facts.rows:,} rows")
            annotation = self._server.annotate(number, f"localizations of {self._bundle.files.name}")
        self._hang(annotation, parents)

    def _hang(self, annotation: int, parents: list[tuple[Kind, int]]) -> None:
        for kind, parent in parents:
            if not self._server.is_linked(kind, parent, annotation):
                self._server.link(kind, parent, annotation)

    def _link_both_ways(self, dataset: int, images: dict[Role, int], parents: list[tuple[Kind, int]]) -> None:
        links = {
            "Raw data": f"Image:{images['raw']}" if "raw" in images else "",
            "Reconstruction": f"Image:{images['reconstruction']}" if "reconstruction" in images else "",
            "Dataset": f"Dataset:{dataset}",
        }
        for kind, parent in parents:
            others = {name: to for name, to in links.items() if to not in ("", f"{kind}:{parent}")}
            if not self._server.has_pairs(kind, parent, self._bundle.uuid):
                self._server.add_pairs(kind, parent, self._bundle.uuid, {**others, **self._facts.pairs()})

    def _send(self, path: Path, write: Callable[[bytes, int], None]) -> str:
        """Send a file, a block at a time; return its SHA-1."""
        sha1, offset = hashlib.sha1(usedforsecurity=False), 0
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                write(block, offset)
                sha1.update(block)
                offset += len(block)
                self._progress(path.name, self._sent + offset, self._total)
        self._sent += offset
        return sha1.hexdigest()

    def _count(self, path: Path) -> None:
        self._sent += path.stat().st_size
        self._progress(path.name, self._sent, self._total)

    def _tell(self, what: str) -> None:
        self._progress(what, self._sent, self._total)


SOURCE = "OMERO image"
"""Where a stack came from OMERO its source says so under this name: ``HOST Image:12``."""


def source_image(details: Mapping[str, str], settings: OmeroSettings) -> int | None:
    """Return the image that a stack was fetched from, None where it was not, or from another server."""
    host, _, image = details.get(SOURCE, "").partition(" ")
    return int(image.removeprefix("Image:")) if host == settings.server else None


def _for_people(rows: Localizations) -> Localizations:
    """Return the columns of a table that are asked for: without bookkeeping."""
    names = [name for name in rows.dtype.names or () if name not in ("iterations", "status")]
    return rows[names]


def _words(pixels: Pixels) -> str:
    return f"{pixels.planes:,} planes of {pixels.size_x} × {pixels.size_y} px, {pixels.pixel_type}"
