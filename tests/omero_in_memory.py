"""An image server in memory, whose client can be killed before or after any of its calls."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from locstream.localizations import Localizations
from locstream.omero.planes import pixels_of
from locstream.omero.server import About, Attached, FileOnServer, ImageImport, Key, Kind, Pixels, Step
from locstream.omero.settings import OmeroSettings


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Memory:
    """What the server keeps, by number."""

    numbers: Any = field(default_factory=lambda: itertools.count(1))
    things: dict[int, dict[str, Any]] = field(default_factory=dict)
    links: set[tuple[int, int]] = field(default_factory=set)
    tables: bool = True
    may_link: bool = True

    def make(self, kind: str, **values: Any) -> int:
        number = next(self.numbers)
        self.things[number] = {"kind": kind, **values}
        return number

    def of(self, kind: str) -> list[tuple[int, dict[str, Any]]]:
        return [(number, thing) for number, thing in self.things.items() if thing["kind"] == kind]

    def census(self) -> list[str]:
        """Return all that there is, with what each thing refers to in place of its number."""
        things = [self.named(number) for number in self.things]
        return sorted([*things, *(f"{self.named(p)} -- {self.named(c)}" for p, c in self.links)])

    def named(self, number: int) -> str:
        shown = {}
        for name, value in self.things[number].items():
            if name in ("dataset", "project", "file", "image") and value is not None:
                shown[name] = self.named(value)
            elif name == "pairs":
                shown[name] = str([(key, self._linked(text)) for key, text in value.items()])
            else:
                shown[name] = str(value)
        return str(sorted(shown.items()))

    def _linked(self, text: str) -> str:
        kind, _, number = text.partition(":")
        return self.named(int(number)) if kind in ("Image", "Dataset") else text


class MemoryServer:
    """A `locstream.omero.server.Server`; every call of it is counted.

    Parameters
    ----------
    memory
        What it works on.
    before, after
        Called with the number of a call, from 1, before and after it has happened: may raise.
    """

    def __init__(
        self,
        memory: Memory,
        before: Callable[[int], None] = lambda call: None,
        after: Callable[[int], None] = lambda call: None,
    ) -> None:
        self.memory, self._before, self._after = memory, before, after
        self.calls = 0
        self.made: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name.startswith("_") or name in ("call", "memory", "calls", "made", "url"):
            return found
        return lambda *arguments: self.call(found, *arguments)

    def call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        self._before(self.calls)
        kept = len(self.memory.things), len(self.memory.links)
        answer = method(*arguments)
        if (len(self.memory.things), len(self.memory.links)) != kept:
            self.made.append(method.__name__)
        self._after(self.calls)
        return answer

    def find(self, key: Key) -> int | None:
        kind = "Dataset" if key.role == "dataset" else "Image"
        return next((n for n, thing in self.memory.of(kind) if thing["key"] == key), None)

    def find_dataset(self, project: str, name: str) -> int | None:
        for number, thing in self.memory.of("Dataset"):
            if (thing["name"], self.memory.things[thing["project"]]["name"]) == (name, project):
                return number
        return None

    def may_link(self, dataset: int) -> bool:
        return self.memory.may_link

    def make_dataset(self, project: str, name: str, description: str, key: Key | None) -> int:
        found = next((n for n, thing in self.memory.of("Project") if thing["name"] == project), None)
        parent = found if found is not None else self.memory.make("Project", name=project)
        return self.memory.make("Dataset", name=name, about=description, key=key, project=parent)

    def adopt(self, client_path: str, key: Key) -> int | None:
        for number, fileset in self.memory.of("Fileset"):
            if fileset["path"] == client_path and fileset["image"] is None:
                del self.memory.things[number]
            elif fileset["path"] == client_path:
                self.memory.things[fileset["image"]]["key"] = key
                return int(fileset["image"])
        return None

    def import_image(self, image: ImageImport) -> MemoryImport:
        return MemoryImport(self, self.memory.make("Fileset", path=image.client_path, image=None), image)

    def pixels(self, image: int) -> Pixels:
        found: Pixels = self.memory.things[image]["pixels"]
        return found

    def shown_range(self, image: int) -> tuple[float, float] | None:
        found: tuple[float, float] | None = self.memory.things[image]["range"]
        return found

    def set_shown_range(self, image: int, low: float, high: float) -> None:
        self.memory.things[image]["range"] = (low, high)

    def find_attachment(self, file: Attached) -> int | None:
        for number, thing in self.memory.of("FileAnnotation"):
            there = self.memory.things[thing["file"]]
            if {**there, "kind": ""} == {**vars(file), "kind": ""}:
                return number
        return None

    def remove_debris(self, folder: str, name: str) -> None:
        used = {thing["file"] for _, thing in self.memory.of("FileAnnotation")}
        for number, thing in self.memory.of("OriginalFile"):
            if (thing["folder"], thing["name"]) == (folder, name) and number not in used:
                del self.memory.things[number]

    def upload(self, file: Attached) -> MemoryUpload:
        return MemoryUpload(self, self.memory.make("OriginalFile", **{**vars(file), "sha1": "", "size": 0}))

    def annotate(self, file: int, description: str) -> int:
        return self.memory.make("FileAnnotation", file=file, about=description)

    def is_linked(self, kind: Kind, parent: int, annotation: int) -> bool:
        return (parent, annotation) in self.memory.links

    def link(self, kind: Kind, parent: int, annotation: int) -> None:
        assert self.memory.things[parent]["kind"] == kind
        assert (parent, annotation) not in self.memory.links, "a link is the only one of its kind"
        self.memory.links.add((parent, annotation))

    def find_table(self, name: str) -> int | None:
        for number, thing in self.memory.of("FileAnnotation"):
            there = self.memory.things[thing["file"]]
            if there["name"] == name and there["mimetype"] == "OMERO.tables":
                return number
        return None

    def new_table(self, name: str) -> MemoryTable | None:
        if not self.memory.tables:
            return None
        about = {"folder": name, "name": name, "mimetype": "OMERO.tables", "sha1": "", "size": 0}
        return MemoryTable(self, self.memory.make("OriginalFile", **about))

    def has_pairs(self, kind: Kind, parent: int, mark: str) -> bool:
        maps = [number for number, thing in self.memory.of("MapAnnotation") if thing["mark"] == mark]
        return any((parent, number) in self.memory.links for number in maps)

    def add_pairs(self, kind: Kind, parent: int, mark: str, pairs: Mapping[str, str]) -> None:
        assert self.memory.things[parent]["kind"] == kind
        self.memory.links.add((parent, self.memory.make("MapAnnotation", mark=mark, pairs=dict(pairs))))

    def find_tag(self, text: str) -> int | None:
        return next((n for n, thing in self.memory.of("TagAnnotation") if thing["text"] == text), None)

    def make_tag(self, text: str) -> int:
        return self.memory.make("TagAnnotation", text=text)

    def files_of(self, image: int) -> list[FileOnServer]:
        return []

    def attachments_of(self, image: int) -> list[FileOnServer]:
        return []

    def read(self, file: int, offset: int, count: int) -> bytes:
        return b""

    def url(self, images: tuple[int, ...]) -> str:
        return "https://server/webclient/?show=" + "|".join(f"image-{image}" for image in images)


class Coming:
    """Bytes on their way; lost with the client."""

    def __init__(self, server: MemoryServer, number: int) -> None:
        self.server, self.number, self.content = server, number, bytearray()

    def write(self, block: bytes, offset: int) -> None:
        def written() -> None:
            self.content[offset : offset + len(block)] = block

        self.server.call(written)

    @property
    def sha1(self) -> str:
        return hashlib.sha1(self.content).hexdigest()


class MemoryImport(Coming):
    def __init__(self, server: MemoryServer, fileset: int, image: ImageImport) -> None:
        super().__init__(server, fileset)
        self.image = image

    def finish(self, sha1: str, step: Step) -> int:
        return int(self.server.call(self._read, sha1))

    def _read(self, sha1: str) -> int:
        assert self.sha1 == sha1
        path = Path(self.image.client_path)
        memory = self.server.memory
        number = memory.make(
            "Image",
            name=self.image.name,
            content=sha1,
            key=self.image.key,
            dataset=self.image.dataset,
            range=None,
            pixels=_read_pixels(path.name, bytes(self.content)),
        )
        memory.things[self.number]["image"] = number
        return number


class MemoryUpload(Coming):
    def finish(self) -> tuple[int, str, int]:
        def kept() -> None:
            self.server.memory.things[self.number].update(sha1=self.sha1, size=len(self.content))

        self.server.call(kept)
        return self.number, self.sha1, len(self.content)


class MemoryTable:
    def __init__(self, server: MemoryServer, number: int) -> None:
        self.server, self.number, self.rows = server, number, 0

    def add(self, rows: Localizations) -> None:
        def kept() -> None:
            self.rows += len(rows)
            self.server.memory.things[self.number]["size"] = self.rows

        self.server.call(kept)

    def finish(self) -> tuple[int, int]:
        self.server.call(lambda: None)
        return self.number, self.rows


def _read_pixels(name: str, content: bytes) -> Pixels:
    with tempfile.NamedTemporaryFile(suffix=name) as file:
        file.write(content)
        file.flush()
        return pixels_of(Path(file.name))


class MemorySession:
    """A `locstream.omero.server.Session`."""

    def __init__(self, server: MemoryServer) -> None:
        self.server: Any = server
        self.closed = False

    def about(self) -> About:
        return About("5.6.0", "ada", "lab", "rwra--", 10**12, self.server.memory.tables)

    def keep(self) -> None:
        self.server.find_tag("alive?")

    def close(self) -> None:
        self.closed = True


SETTINGS = OmeroSettings(host="omero.example.org", tags=("dSTORM",), table=True)
